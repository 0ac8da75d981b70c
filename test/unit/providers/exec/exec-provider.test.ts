import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProviderError } from '../../../../src/errors.ts';
import { execDefinition } from '../../../../src/providers/exec/options.ts';
import type { Provider } from '../../../../src/providers/provider.ts';
import { CollectingLog } from '../../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../../fakes/memory-login-store.ts';
import { isRunning, until } from '../../../fakes/processes.ts';
import { realClock } from '../../../fakes/real-clock.ts';

let folder: string;
let provider: Provider | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'broker-exec-'));
});

afterEach(async () => {
  provider?.close();
  provider = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function connect(options: object, env: Record<string, string> = {}): Promise<Provider> {
  const create = await execDefinition.load();
  provider = create(execDefinition.providerSchema.parse(options), {
    name: 'tool',
    clock: realClock,
    log: new CollectingLog(),
    logins: new MemoryLoginStore(),
    env: { PATH: process.env['PATH'], ...env },
    homeDir: folder,
  });
  return provider;
}

async function read(tool: Provider, source: object = {}, signal = new AbortController().signal): Promise<unknown> {
  const request = { source: execDefinition.credentialSchema.parse(source), wantedLifeMs: 0 };
  const { content } = await tool.issue(request, { signal });
  return content.kind === 'json' ? content.json : content.text.reveal();
}

const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] });

async function failure(work: Promise<unknown>): Promise<ProviderError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ProviderError);
  return error as ProviderError;
}

test('arguments are no shell text, and those of the credential come last', async () => {
  const tool = await connect({ command: ['printf', '%s|'] });
  expect(await read(tool, { args: ['$HOME; `id`', '*'] })).toBe('$HOME; `id`|*|');
});

test("a credential's own command replaces the provider's", async () => {
  expect(await read(await connect({ command: ['false'] }), { command: ['echo', 'mine'] })).toBe('mine');
});

test.each([
  ['auto', '{"key":"v"}', { key: 'v' }],
  ['auto', '{not json', '{not json'],
  ['auto', '[1]', '[1]'],
  ['text', '{"key":"v"}', '{"key":"v"}'],
  ['json', ' {"key":"v"} ', { key: 'v' }],
])('output %s of %s', async (output, printed, expected) => {
  expect(await read(await connect({ command: ['printf', '%s', printed] }), { output })).toEqual(expected);
});

test('the environment holds what a tool needs, what was named, and nothing else', async () => {
  const tool = await connect(
    { command: ['env'], pass_env: ['OP_TOKEN', 'NOT_SET'], env: { CLOUDSDK_CORE_PROJECT: 'p' } },
    { LANG: 'C', OP_TOKEN: 'given', ANTHROPIC_API_KEY: 'private', AWS_SECRET_ACCESS_KEY: 'private' },
  );
  const names = String(await read(tool))
    .split('\n')
    .map((line) => line.split('=')[0])
    .sort();
  expect(names).toEqual(['CLOUDSDK_CORE_PROJECT', 'HOME', 'LANG', 'OP_TOKEN', 'PATH']);
});

test('stdin is at its end, the folder is the home folder', async () => {
  expect(await read(await connect(sh('cat; pwd')))).toBe(folder);
});

test('a command runs once at a time, however many ask', async () => {
  const tool = await connect(sh(`mkdir ${folder}/lock || exit 1; sleep 0.05; rmdir ${folder}/lock; echo key`));
  expect(await Promise.all([read(tool), read(tool), read(tool)])).toEqual(['key', 'key', 'key']);
});

test('a run that everybody gave up is gone before the next one starts', async () => {
  const tool = await connect(
    sh(`if mkdir ${folder}/lock; then trap 'sleep 0.2; rmdir ${folder}/lock; exit 1' TERM; else echo overlap; exit; fi
      if [ -e ${folder}/second ]; then echo key; rmdir ${folder}/lock; exit; fi
      : > ${folder}/second; while :; do sleep 0.01; done`),
  );
  const controller = new AbortController();
  const first = failure(
    read(tool, {}, controller.signal).catch(() => Promise.reject(new ProviderError('transient', 'x'))),
  );
  await until(() => existsSync(join(folder, 'second')));
  controller.abort();
  await first;
  expect(await read(tool)).toBe('key');
});

test('at its time limit a command is stopped with everything it started', async () => {
  const tool = await connect({ ...sh(`sleep 600 & echo $! > ${folder}/pid; wait`), timeout: '300ms' });
  const { kind, message } = await failure(read(tool));
  expect({ kind, message }).toEqual({
    kind: 'transient',
    message: 'the command "/bin/sh" gave no answer within 0.3 s and was stopped',
  });
  const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
  await until(() => !isRunning(pid));
});

test('close() kills a command that ignores polite signals', async () => {
  const tool = await connect(
    sh(`trap '' TERM; echo $$ > ${folder}/pid.new; mv ${folder}/pid.new ${folder}/pid; while :; do sleep 0.05; done`),
  );
  const call = failure(read(tool));
  await until(() => existsSync(join(folder, 'pid')));
  const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
  tool.close();
  expect((await call).message).toBe('the provider "tool" was closed');
  await until(() => !isRunning(pid));
});

test('a helper that the command leaves behind does not hold up the key', async () => {
  const started = Date.now();
  expect(await read(await connect(sh(`sleep 60 & echo $! > ${folder}/pid; echo key`)))).toBe('key');
  expect(Date.now() - started).toBeLessThan(30_000);
  process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')));
});

test.each([
  [{ command: ['no-such-tool'] }, 'misconfigured', 'the program "no-such-tool" was not found in the daemon\'s PATH'],
  [{ command: ['/no/such/tool'] }, 'misconfigured', 'the program "/no/such/tool" or the folder FOLDER does not exist'],
  [{ command: ['true'], cwd: '/no/such/folder' }, 'misconfigured', 'the program "true" was not found'],
  [{ command: ['/etc/passwd'] }, 'misconfigured', 'the program "/etc/passwd" cannot be run (EACCES)'],
  [{ command: ['/etc/passwd/x'] }, 'misconfigured', 'the program "/etc/passwd/x" or the folder FOLDER does not exist'],
  [{}, 'misconfigured', 'provider "tool" and its credential name no command'],
  [{ command: ['true'] }, 'misconfigured', 'the command of provider "tool" succeeded but printed nothing'],
  [sh('exit 3'), 'transient', 'the command "/bin/sh" exited with status 3 and said nothing'],
  [sh('kill -9 $$'), 'transient', 'the command "/bin/sh" was killed by SIGKILL and said nothing'],
  [{ ...sh('echo no >&2; exit 4'), denied_status: [4] }, 'denied', 'the command "/bin/sh" exited with status 4: no'],
  [
    sh('echo "run az login first" >&2; exit 1'),
    'login-expired',
    'the command "/bin/sh" exited with status 1: run az login first',
  ],
  [
    sh('echo "You are not currently signed in." >&2; exit 1'),
    'login-expired',
    'the command "/bin/sh" exited with status 1: You are not currently signed in.',
  ],
  [sh('head -c 2000000 /dev/zero'), 'misconfigured', 'the command "/bin/sh" printed over 1 MiB and was stopped'],
  [
    sh('echo hunter22; echo "no hunter22 here" >&2; exit 1'),
    'transient',
    'the command "/bin/sh" exited with status 1: no [redacted] here',
  ],
])('%j is %s', async (options, kind, message) => {
  const error = await failure(read(await connect(options)));
  expect(error.kind).toBe(kind);
  expect(error.message).toContain(message.replace('FOLDER', folder));
  expect(error.remedy).toMatch(/\S/);
});

test('a tool that names the login it wants has it as the remedy', async () => {
  const error = await failure(read(await connect(sh('echo "ERROR: run:  gcloud auth login" >&2; exit 1'))));
  expect(error.remedy).toBe('run: gcloud auth login');
});
