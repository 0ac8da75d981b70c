import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProviderError } from '../../../../src/errors.ts';
import { execDefinition } from '../../../../src/providers/exec/options.ts';
import { PRESETS, type PresetName } from '../../../../src/providers/exec/presets.ts';
import { type IssuedSecret, lendsNothing } from '../../../../src/providers/provider.ts';
import { CollectingLog } from '../../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../../fakes/memory-login-store.ts';
import { realClock } from '../../../fakes/real-clock.ts';
import { RECORDED, type Recorded } from './recorded-tools.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'broker-preset-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program of the tool's name that prints what was recorded, and notes how it was called. */
async function pretend(tool: string, { stdout = '', stderr = '', status = 0 }: Partial<Recorded>): Promise<void> {
  await writeFile(join(folder, 'stdout'), stdout);
  await writeFile(join(folder, 'stderr'), stderr);
  const script = `#!/bin/sh\ncd ${folder}\nprintf '%s\\n' "$@" > called\nenv > environment\ncat stdout\ncat stderr >&2\nexit ${status}\n`;
  await writeFile(join(folder, tool), script, { mode: 0o700 });
}

interface Given {
  readonly provider?: object;
  readonly source?: object;
  readonly env?: Readonly<Record<string, string>>;
}

async function read(preset: PresetName, { provider = {}, source = WORDS[preset], env = {} }: Given = {}) {
  const create = await execDefinition.load();
  const tool = create(execDefinition.providerSchema.parse({ preset, ...provider }), {
    name: 'tool',
    clock: realClock,
    log: new CollectingLog(),
    logins: new MemoryLoginStore(),
    credentials: lendsNothing,
    env: { PATH: `${folder}:${process.env['PATH']}`, ...env },
    homeDir: folder,
  });
  const request = { source: execDefinition.credentialSchema.parse(source), wantedLifeMs: 0 };
  try {
    return await tool.issue(request, { signal: new AbortController().signal });
  } finally {
    tool.close();
  }
}

const WORDS: Readonly<Record<PresetName, object>> = {
  '1password': { reference: 'op://dev/claude/key' },
  gcloud: {},
  azure: { resource: 'https://cognitiveservices.azure.com' },
  bitwarden: { reference: '99ee88d2-6046-4ea7-92c2-acac464b1412' },
};

const textOf = ({ content }: IssuedSecret) => (content.kind === 'text' ? content.text.reveal() : undefined);

test.each(RECORDED.filter(({ key }) => key !== undefined))(
  '$preset: the key, and when it expires, out of what the tool prints',
  async (recorded) => {
    await pretend(PRESETS[recorded.preset].tool, recorded);
    const secret = await read(recorded.preset);
    expect(textOf(secret)).toBe(recorded.key);
    expect(secret.expiresAtServerMs).toBe(recorded.expiresAtMs);
  },
);

test.each(RECORDED.filter(({ kind }) => kind !== undefined))('$preset, $status: $stderr is $kind', async (recorded) => {
  await pretend(PRESETS[recorded.preset].tool, recorded);
  const error = await read(recorded.preset).then(
    () => expect.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ProviderError);
  expect(error).toMatchObject({
    kind: recorded.kind,
    remedy: expect.stringContaining(recorded.remedy ?? ''),
    concerns: 'secret',
    retryAfterMs: recorded.retryAfterMs,
  });
});

test.each([
  ['1password', { reference: 'op://dev/claude/key' }, 'read --no-newline op://dev/claude/key'],
  [
    '1password',
    { reference: 'op://dev/claude/key', account: 'corp.1password.com' },
    'read --no-newline --account=corp.1password.com op://dev/claude/key',
  ],
  ['gcloud', {}, 'config config-helper --format=json(credential) --min-expiry=10m'],
  [
    'gcloud',
    { account: 'me@example.com' },
    'config config-helper --format=json(credential) --min-expiry=10m --account=me@example.com',
  ],
  [
    'azure',
    { resource: 'api://x', tenant: 'corp.example' },
    'account get-access-token --output=json --only-show-errors --resource=api://x --tenant=corp.example',
  ],
  ['bitwarden', { reference: 'claude key $&' }, '--nointeraction get password claude key $&'],
  ['bitwarden', { reference: 'claude', args: ['--raw'] }, '--nointeraction get password claude --raw'],
] as const)('%s with %j is run with these arguments', async (preset, source, expected) => {
  const { tool } = PRESETS[preset];
  await pretend(tool, RECORDED.find((each) => each.preset === preset && each.key !== undefined) ?? {});
  await read(preset, { source });
  expect((await readFile(join(folder, 'called'), 'utf8')).trimEnd().split('\n')).toEqual(
    expected.startsWith('--nointeraction get password claude key')
      ? ['--nointeraction', 'get', 'password', 'claude key $&']
      : expected.split(' '),
  );
});

test('a tool that is not in PATH is named by command', async () => {
  await pretend('op-of-mine', { stdout: 'sk-mine' });
  expect(textOf(await read('1password', { provider: { command: [join(folder, 'op-of-mine')] } }))).toBe('sk-mine');
});

test('it gets the variables that its login may come from, and those of env_files, and no others', async () => {
  await pretend('op', { stdout: 'sk-mine' });
  await writeFile(join(folder, 'token'), 'ops_from-a-file\n', { mode: 0o600 });
  await read('1password', {
    provider: { env_files: { OP_SERVICE_ACCOUNT_TOKEN: join(folder, 'token') } },
    env: { OP_ACCOUNT: 'mine', ANTHROPIC_API_KEY: 'private' },
  });
  const environment = await readFile(join(folder, 'environment'), 'utf8');
  expect(environment).toContain('OP_SERVICE_ACCOUNT_TOKEN=ops_from-a-file\n');
  expect(environment).toContain('OP_ACCOUNT=mine\n');
  expect(environment).not.toContain('private');
});

test('a file of env_files that is not there is a login that is missing, and its change is a new one', async () => {
  const file = join(folder, 'session');
  await pretend('bw', { stdout: 'sk-mine' });
  const provider = { env_files: { BW_SESSION: file } };
  await expect(read('bitwarden', { provider })).rejects.toMatchObject({
    kind: 'login-expired',
    message: `the file with the value of BW_SESSION, ${file}, does not exist`,
  });
  const create = await execDefinition.load();
  const host = {
    name: 'x',
    clock: realClock,
    log: new CollectingLog(),
    logins: new MemoryLoginStore(),
    credentials: lendsNothing,
    env: {},
  };
  const tool = create(execDefinition.providerSchema.parse({ preset: 'bitwarden', ...provider }), {
    ...host,
    homeDir: folder,
  });
  expect(tool.loginInputs()).toContain(file);
  expect(tool.loginInputs()).toContain(join(folder, '.config/Bitwarden CLI/data.json'));
});

test('what a tool with a preset prints is the known object or nothing', async () => {
  await pretend('az', { stdout: 'eyJ-not-the-object' });
  await expect(read('azure')).rejects.toMatchObject({
    kind: 'misconfigured',
    message: 'the command "az" printed no JSON object with accessToken in it',
  });
});

test('nobody answered the prompt of a tool that may put one up', async () => {
  await writeFile(join(folder, 'op'), '#!/bin/sh\nexec sleep 600\n', { mode: 0o700 });
  await writeFile(join(folder, 'az'), '#!/bin/sh\nexec sleep 600\n', { mode: 0o700 });
  const provider = { timeout: '200ms' };
  await expect(read('1password', { provider })).rejects.toMatchObject({ kind: 'login-expired' });
  await expect(read('azure', { provider })).rejects.toMatchObject({ kind: 'transient' });
});

function conflict(options: object, source: object) {
  const provider = execDefinition.providerSchema.parse(options);
  const found = execDefinition.conflictOf?.(execDefinition.credentialSchema.parse(source), provider, 'tool');
  return found && `${found.key}: ${found.message}; ${found.remedy}`;
}

test.each([
  [
    {},
    { reference: 'op://a/b/c' },
    'reference: only a preset has reference, and [providers.tool] names none; add preset',
  ],
  [{ preset: '1password' }, {}, 'reference: the preset 1password needs reference; add it; write it like op://dev'],
  [
    { preset: '1password' },
    { reference: 'claude' },
    'reference: this is not the form of reference with the preset 1password; write',
  ],
  [{ preset: '1password' }, { reference: 'op://a/b/c', tenant: 'x' }, 'tenant: the preset 1password has no tenant'],
  [
    { preset: '1password' },
    { reference: 'op://a/b/c', account: '--debug' },
    'account: this is not the form of account',
  ],
  [{ preset: 'gcloud' }, { account: '--verbosity=debug' }, 'account: this is not the form'],
  [{ preset: 'gcloud' }, { command: ['gcloud'] }, 'command: the preset gcloud sets command itself'],
  [{ preset: 'azure' }, { resource: 'https://x', output: 'json' }, 'output: the preset azure sets output itself'],
  [{ preset: 'bitwarden' }, { reference: '--session=x' }, 'reference: this is not the form of reference'],
])('%j with %j is refused', (options, source, expected) => {
  expect(conflict(options, source)).toContain(expected);
});

test.each(Object.entries(WORDS))('%s with its words is accepted', (preset, source) => {
  expect(conflict({ preset }, source)).toBeUndefined();
});
