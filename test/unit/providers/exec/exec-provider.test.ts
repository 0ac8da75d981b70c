import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProviderError } from '../../../../src/errors.ts';
import { execDefinition } from '../../../../src/providers/exec/options.ts';
import { lendsNothing, type Provider } from '../../../../src/providers/provider.ts';
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
    credentials: lendsNothing,
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
  ['#!/bin/sh\r\necho key\r\n', 'has Windows line ends', /^run: perl /],
  ['#!/usr/bin/env sh\r\necho key\r\n', 'exited with status 127', /^run: perl /],
  ['#!/no/such/shell\necho key\n', 'is run by /no/such/shell, which does not exist', /first line of /],
  ['#!/usr/bin/env no-such-shell\necho key\n', 'no-such-shell', /^install no-such-shell/],
])('a script that is there and cannot be run says why: %j', async (script, message, remedy) => {
  const file = join(folder, 'tool.sh');
  await writeFile(file, script, { mode: 0o700 });
  const error = await failure(read(await connect({ command: [file] })));
  expect(error).toMatchObject({ kind: 'misconfigured', message: expect.stringContaining(message) });
  expect(error.remedy).toMatch(remedy);
});

test.each([
  [{ command: ['no-such-tool'] }, 'misconfigured', 'the program "no-such-tool" was not found in the daemon\'s PATH'],
  [{ command: ['/no/such/tool'] }, 'misconfigured', 'the program "/no/such/tool" does not exist'],
  [{ command: ['true'], cwd: '/no/such/folder' }, 'misconfigured', 'the folder /no/such/folder, to run the program'],
  [{ command: ['/etc/passwd'] }, 'misconfigured', 'the program "/etc/passwd" cannot be run (EACCES)'],
  [{ command: ['/etc/passwd/x'] }, 'misconfigured', 'the program "/etc/passwd/x" does not exist'],
  [{}, 'misconfigured', 'provider "tool" and its credential name no command'],
  [{ command: ['true'] }, 'misconfigured', 'the command "true" succeeded but printed nothing'],
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
  expect(error.message).toContain(message);
  expect(error.remedy).toMatch(/\S/);
});

test('a tool that names the login it wants has it as the remedy', async () => {
  const error = await failure(read(await connect(sh('echo "ERROR: run:  gcloud auth login" >&2; exit 1'))));
  expect(error.remedy).toBe('run: gcloud auth login');
});

test.each([
  // What tools say when a person has to do something first; the sources are in the table of src/providers/exec/failures.ts.
  ['op read', '[ERROR] 2026/01/02 03:04:05 authorization prompt dismissed, please try again', 'run: op signin'],
  ['op read', '[ERROR] 2026/01/02 03:04:05 error initializing client: authorization timeout', 'run: op signin'],
  ['op read', 'No accounts configured for use with 1Password CLI.', 'run: op signin'],
  [
    'security find-generic-password',
    'security: SecKeychainSearchCopyNext: User interaction is not allowed.',
    'run: security unlock-keychain',
  ],
  [
    'pass show',
    'gpg: public key decryption failed: Operation cancelled\ngpg: decryption failed: No secret key',
    'log in to pass again',
  ],
  ['gpg -d', 'gpg: public key decryption failed: Inappropriate ioctl for device', 'log in to gpg again'],
  ['rbw get', 'rbw unlock: failed to read password from pinentry: cancelled', 'run: rbw unlock'],
  ['bw get', 'Vault is locked.', 'run: bw unlock'],
  ['bw get', 'You are not logged in.', 'run: bw login'],
  [
    'aws sso-thing --profile dev',
    'Error loading SSO Token: Token for dev does not exist',
    'run: aws sso login --profile dev',
  ],
  ['aws x', 'Error when retrieving token from sso: Token has expired and refresh failed', 'run: aws sso login'],
  ['aws x', 'An error occurred (ExpiredToken) when calling the GetSecretValue operation', 'log in to aws again'],
  ['aws x', 'Unable to locate credentials.', 'log in to aws again'],
  ['az x', 'AADSTS700082: The refresh token has expired due to inactivity.', 'run: az login'],
  [
    'kubelogin x',
    'AADSTS50076: Due to a configuration change you must use multi-factor authentication',
    'log in to kubelogin again',
  ],
  ['gcloud x', 'Reauthentication failed. cannot prompt during non-interactive execution.', 'run: gcloud auth login'],
  ['own-tool x', '{"error":"invalid_grant"}', 'log in to own-tool again'],
  ['own-tool x', 'the keyring is locked', 'log in to own-tool again'],
])(
  'a person has to do something first, and the remedy names the program inside: %s: %s',
  async (tool, said, remedy) => {
    const [program, ...args] = tool.split(' ');
    // Named in the script, and never run.
    const script = `if false; then KEY=$(${program} ${args.join(' ')} | tr -d x); fi; printf '%s\\n' '${said}' >&2; exit 1`;
    const error = await failure(read(await connect(sh(script))));
    expect(error.kind).toBe('login-expired');
    expect(error.remedy).toContain(remedy);
  },
);

test.each([
  'database is locked',
  'could not get lock /var/lib/dpkg/lock',
  'Operation canceled',
  'the key was not found',
])('said by a tool, this is no lost login: %s', async (said) => {
  const error = await failure(read(await connect(sh(`false && my-tool; echo "${said}" >&2; exit 1`))));
  expect(error.kind).toBe('transient');
  expect(error.remedy).toContain('my-tool');
});

test.each([
  ['no-such-tool read', 127, 'no-such-tool'],
  ['exec 2>&1 >/dev/null; /etc/passwd', 126, '/etc/passwd'],
])(
  'a program that is not there, or may not be run, is not tried again and again: sh -c "%s"',
  async (script, status, program) => {
    const error = await failure(read(await connect(sh(script))));
    expect(error).toMatchObject({ kind: 'misconfigured', code: 'ERR_PROVIDER_MISCONFIGURED' });
    expect(error.message).toContain(`exited with status ${status}`);
    if (status === 127) expect(error.remedy).toContain(program);
  },
);

test('a pipeline whose last program succeeds does not hide that the first wants a person', async () => {
  const script = '{ echo "authorization prompt dismissed" >&2; false; } | tr -d x';
  expect(await failure(read(await connect(sh(script))))).toMatchObject({
    kind: 'login-expired',
    remedy: 'run: op signin',
  });
});

test.each([
  ['fails', sh('exit 1')],
  ['wants a login', sh('echo "not logged in" >&2; exit 1')],
  ['is not there', { command: ['/nowhere/tool'] }],
  ['prints nothing', sh('true')],
  ['is late', { ...sh('sleep 60'), timeout: '100ms' }],
])('a command that %s stands in the way of no other', async (_, options) => {
  expect((await failure(read(await connect(options)))).concerns).toBe('secret');
});

test('a prompt that nobody answered in time is not put up again unasked', async () => {
  const tool = join(folder, 'op');
  await writeFile(tool, '#!/bin/sh\nexec sleep 600\n', { mode: 0o700 });
  const late = await failure(read(await connect({ command: [tool], timeout: '200ms' })));
  expect(late).toMatchObject({ kind: 'login-expired', remedy: expect.stringContaining('answer its prompt') });
});

test.each([
  ['UTF-8 with a mark', Buffer.from('\ufeffsk-x\r\n')],
  ['UTF-16, as PowerShell writes it', Buffer.from('\ufeffsk-x\r\n', 'utf16le')],
])('a key in %s is read', async (_name, printed) => {
  await writeFile(join(folder, 'printed'), printed);
  expect(await read(await connect({ command: ['cat', join(folder, 'printed')] }))).toBe('sk-x');
});

test('a long number in JSON keeps its digits', async () => {
  await writeFile(join(folder, 'printed'), '{"key":12345678901234567890}');
  expect(await read(await connect({ command: ['cat', join(folder, 'printed')] }))).toEqual({
    key: 12345678901234567890n,
  });
});

test.each([
  ['Password: Error: EOF reading password', 'Password: Error: EOF reading password'],
  ['Password: Login failed', 'Password: Login failed'],
  ['Enter PIN: Operation cancelled', 'Enter PIN: Operation cancelled'],
  ['your pin 4711 is wrong', 'your pin [redacted] is wrong'],
  [
    'cannot connect to postgres://u:pw@h/db with password=hunter2',
    'cannot connect to postgres://[redacted]@h/db with password=[redacted]',
  ],
])('stderr %j is shown as %j', async (said, shown) => {
  const error = await failure(read(await connect(sh(`echo '${said}' >&2; exit 3`))));
  expect(error.message).toBe(`the command "/bin/sh" exited with status 3: ${shown}`);
});

test.each([
  [
    'gpg: encrypted with 2048-bit RSA key\\ngpg: public key decryption failed: Operation cancelled',
    'gpg: public key decryption failed: Operation cancelled',
  ],
  [
    'Traceback (most recent call last):\\n  File "/x.py", line 1\\nValueError: no such item',
    'ValueError: no such item',
  ],
  ['ERROR: Reauthentication failed.\\nPlease run:\\n  gcloud auth login', 'ERROR: Reauthentication failed.'],
  ['warming up\\nno such item', 'warming up'],
])('of several lines on stderr the one that says why is told: %j', async (said, told) => {
  const error = await failure(read(await connect(sh(`printf '${said}\\n' >&2; exit 1`))));
  expect(error.message).toBe(`the command "/bin/sh" exited with status 1: ${told}`);
});

test("what a command was given with a flag of a secret's name is not repeated", async () => {
  const script = join(folder, 'tool');
  await writeFile(script, '#!/bin/sh\necho "the server does not take $2" >&2; exit 1\n', { mode: 0o700 });
  const error = await failure(read(await connect({ command: [script, '--token', 'swordfish'] })));
  expect(error.message).toContain('the server does not take [redacted]');
});
