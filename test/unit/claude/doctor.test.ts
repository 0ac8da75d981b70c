import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { brokerChecks } from '../../../src/claude/checks/broker.ts';
import { runHelper } from '../../../src/claude/doctor/helper.ts';
import { isRunning } from '../../fakes/processes.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { TemporaryHome } from './home.ts';
import { runDoctor } from './run-doctor.ts';
import { statusOf } from './status-sample.ts';

const KEY = 'sk-ant-api03-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const HELPER = '{\n  "apiKeyHelper": "{HOME}/bin/broker-key anthropic"\n}\n';

function homeWithHelper(): TemporaryHome {
  const home = new TemporaryHome();
  home.write('bin/broker-key', `#!/bin/sh\necho ${KEY}\n`, 0o755);
  home.write('.claude/settings.json', HELPER.replace('{HOME}', home.root));
  return home;
}

const idsOf = (out: string): string[] => JSON.parse(out).findings.map(({ id }: { id: string }) => id);

test('names file and line of the profile that a variable comes from', async () => {
  using home = homeWithHelper();
  home.write('.profile', `true\nexport ANTHROPIC_API_KEY=${KEY}\n`);
  const { out, exitCode } = await runDoctor(home, [], { ANTHROPIC_API_KEY: KEY });
  expect(out).toContain(`ANTHROPIC_API_KEY is set in ${home.path('.profile')}:2 and overrides apiKeyHelper`);
  expect(out).toMatch(/\* ANTHROPIC_API_KEY .*wins: terminal, -p, --bare/);
  expect(out).toContain('x-api-key: ANTHROPIC_API_KEY · Authorization: apiKeyHelper');
  expect(out).not.toContain('AAAA');
  expect(exitCode).toBe(2);
});

test('tells a clock that is off, either way, and lets half a minute pass', async () => {
  using home = homeWithHelper();
  const skewed = async (clockSkewSeconds: number) =>
    (await runDoctor(home, ['--json'], {}, { fetchStatus: async () => statusOf({ clockSkewSeconds }) })).out;
  expect(idsOf(await skewed(31))).toContain('clock-skew');
  expect(await skewed(-90)).toContain('90 s behind');
  expect(idsOf(await skewed(29))).not.toContain('clock-skew');
});

test('hints at a keyring that could keep the key of the cache, unless a file was chosen', async () => {
  using home = homeWithHelper();
  const found = async (configuredKeyHome: string | undefined, keyring: 'usable' | 'none') =>
    idsOf(
      (await runDoctor(home, ['--json'], {}, { keyHome: async () => ({ configuredKeyHome, keyring }) })).out,
    ).filter((id) => id.startsWith('key-'));
  expect(await found('auto', 'usable')).toEqual(['key-in-file']);
  expect(await found('file', 'usable')).toEqual([]);
  expect(await found('auto', 'none')).toEqual([]);
  expect(await found('keyring', 'usable')).toEqual(['key-home-differs']);
});

test('tells of a second broker', async () => {
  using home = homeWithHelper();
  const socketOf = (folder: string) => {
    mkdirSync(home.path(folder, 'broker'), { recursive: true, mode: 0o700 });
    return home.path(folder, 'broker', 'broker.sock');
  };
  const runtime = createServer().listen(socketOf('run'));
  const env = { BROKER_SOCKET: '', XDG_RUNTIME_DIR: home.path('run') };
  expect(idsOf((await runDoctor(home, ['--json'], env)).out)).not.toContain('second-broker');
  // A stand-in for another user's /tmp folder: nothing else on this machine is looked at.
  const check = brokerChecks.find(({ id }) => id === 'second-broker');
  expect(check?.find({ broker: { sockets: ['/a', '/b'] } } as never)).toHaveLength(1);
  await new Promise((resolve) => runtime.close(resolve));
});

test('says what it could not look at', async () => {
  using home = homeWithHelper();
  mkdirSync(home.path('.zshrc'));
  execFileSync('mkfifo', [home.path('.bashrc')]);
  const { out } = await runDoctor(home, ['--json']);
  expect(idsOf(out).filter((id) => id === 'profile-unreadable')).toHaveLength(2);
});

test('a helper whose child keeps the output open counts as hanging, and is ended', async () => {
  using home = new TemporaryHome();
  const command = `sleep 60 & echo $! > ${home.path('pid')}; echo ${KEY}`;
  const run = await runHelper({
    command,
    cwd: home.root,
    env: { PATH: '/usr/bin:/bin' },
    clock: realClock,
    ours: false,
    limitMs: 400,
  });
  expect(run.outcome).toBe('hung');
  const pid = Number(readFileSync(home.path('pid'), 'utf8'));
  await expect.poll(() => !isRunning(pid)).toBe(true);
});

test('standard input stays open and silent, as the client leaves it', async () => {
  const run = await runHelper({
    command: 'read x; echo k',
    cwd: '/',
    env: {},
    clock: realClock,
    ours: false,
    limitMs: 300,
  });
  expect(run.outcome).toBe('hung');
});

test('--fix mends modes and intervals, leaves keys, and says so', async () => {
  using home = homeWithHelper();
  const settings = home.write(
    '.claude/settings.json',
    `{"apiKeyHelper":"${home.path('bin/broker-key')} anthropic","env":{"A":"1","CLAUDE_CODE_API_KEY_HELPER_TTL_MS":"0"}}`,
    0o664,
  );
  const profile = home.write('.zshrc', `true\nexport ANTHROPIC_API_KEY=${KEY}\n`);
  home.open();
  const io = await runDoctor(home, ['--fix']);
  expect(JSON.parse(readFileSync(settings, 'utf8')).env).toEqual({ A: '1' });
  expect(statSync(settings).mode & 0o777).toBe(0o644);
  expect(readFileSync(profile, 'utf8')).toContain(KEY);
  expect(io.err).toContain('needs --yes');
  expect(io.out + io.err).not.toContain('AAAA');
  expect(io.exitCode).toBe(1);
});

test('--fix --yes takes the variable out of the profile, and nothing else of its line, with a backup', async () => {
  using home = homeWithHelper();
  const text = `export A=1 ANTHROPIC_API_KEY=${KEY} PATH=$PATH:/x # mine\n`;
  const profile = home.write('.zshrc', text, 0o600);
  const io = await runDoctor(home, ['--fix', '--yes']);
  expect(readFileSync(profile, 'utf8')).toBe('export A=1 PATH=$PATH:/x # mine\n');
  const copy = /as it was: (\S+)/.exec(io.err)?.[1] ?? '';
  expect(readFileSync(copy, 'utf8')).toBe(text);
  expect(statSync(copy).mode & 0o777).toBe(0o600);
  expect(io.exitCode).toBe(0);
});

test('--fix touches no managed and no project settings', async () => {
  using home = homeWithHelper();
  const text = `{"env":{"CLAUDE_CODE_API_KEY_HELPER_TTL_MS":"0"}}`;
  const project = home.write('project/.claude/settings.json', text);
  const io = await runDoctor(home, ['--fix', '--yes']);
  expect(readFileSync(project, 'utf8')).toBe(text);
  expect(io.err).toContain('nothing that --fix can fix');
});

test('connects where the daemon says that it cannot, and tells if it can', async () => {
  using home = homeWithHelper();
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const open = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const status = statusOf({ state: 'failing' });
  const withError = (message: string) => ({
    ...status,
    credentials: status.credentials.map((each) => ({
      ...each,
      lastError: { ...(each.lastError ?? ({} as never)), message },
    })),
  });
  const found = async (message: string, where: string | undefined) => {
    const parts = { fetchStatus: async () => withError(message), addressOf: async () => where };
    return idsOf((await runDoctor(home, ['--json'], {}, parts)).out).includes('daemon-cannot-reach');
  };
  const unreached = 'Vault cannot be reached: there is no route to it (EHOSTUNREACH)';
  expect(await found(unreached, open)).toBe(true);
  expect(await found('Vault is sealed', open)).toBe(false);
  expect(await found(unreached, undefined)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await found(unreached, open)).toBe(false);
});

test('--settings takes JSON as the client does, and says so if it names no file', async () => {
  using home = homeWithHelper();
  const given = JSON.stringify({ env: { ANTHROPIC_API_KEY: KEY } });
  const inline = JSON.parse((await runDoctor(home, ['--json', '--settings', ` ${given} `])).out);
  expect(inline.modes[1].headers).toEqual({ 'x-api-key': 'api-key', authorization: 'helper' });
  const missing = JSON.parse((await runDoctor(home, ['--json', '--settings', 'nosuch.json'])).out);
  expect(missing.modes[1]).toMatchObject({ winner: null, ends: expect.stringContaining('nosuch.json') });
});

test('asks the installed client, believes its version, and tells where it contradicts', async () => {
  using home = homeWithHelper();
  home.write('.claude.json', '{}');
  home.write('system/etc/claude-code/managed-settings.json', '{"requiredMinimumVersion":"99.0.0"}', 0o644);
  const says = (answer: object) =>
    home.write(
      'programs/claude',
      `#!/bin/sh\n[ "$CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC" = 1 ] || exit 9\n[ "$1" = --version ] && echo "2.1.332 (Claude Code)" && exit\necho '${JSON.stringify(answer)}'\nexit 1\n`,
      0o755,
    );
  const env = { PATH: `${home.path('programs')}:/usr/bin:/bin` };
  says({ authMethod: 'claude.ai', apiKeySource: 'none' });
  expect(idsOf((await runDoctor(home, ['--json'], env)).out)).toContain('client-ends');
  home.write('system/etc/claude-code/managed-settings.json', '{"requiredMinimumVersion":"2.0.0"}', 0o644);
  expect(idsOf((await runDoctor(home, ['--json'], env)).out)).toContain('client-disagrees');
  expect(idsOf((await runDoctor(home, ['--json', '--no-client'], env)).out)).not.toContain('client-disagrees');
  says({ authMethod: 'api_key_helper', apiKeySource: 'apiKeyHelper' });
  expect(idsOf((await runDoctor(home, ['--json'], env)).out)).not.toContain('client-disagrees');
});

test('of settings that are a link into a read-only place the remedy names that place, and --fix leaves it alone', async () => {
  using home = homeWithHelper();
  const text = HELPER.replace('{HOME}', home.root).replace('{', '{"env":{"CLAUDE_CODE_API_KEY_HELPER_TTL_MS":"0"},');
  const target = home.write('store/settings.json', text, 0o444);
  rmSync(home.path('.claude/settings.json'));
  symlinkSync(target, home.path('.claude/settings.json'));
  const { findings } = JSON.parse((await runDoctor(home, ['--json'])).out);
  const [found] = findings.filter(({ id }: { id: string }) => id === 'ttl-too-short');
  expect(found).toMatchObject({
    fixable: false,
    remedy: expect.stringContaining(`a link to ${target}, which is read-only`),
  });
  rmSync(target);
  expect(idsOf((await runDoctor(home, ['--json'])).out)).toContain('settings-dangling');
});

test('shows what a helper of somebody else wrote to stderr, without secrets', async () => {
  using home = homeWithHelper();
  const script = home.write('key.sh', `#!/bin/sh\necho "vault: permission denied for ${KEY}" >&2\nexit 3\n`, 0o755);
  home.write('.claude/settings.json', JSON.stringify({ apiKeyHelper: script }));
  const { out } = await runDoctor(home);
  expect(out).toContain('failed with exit code 3 (vault: permission denied for');
  expect(out).not.toContain('AAAA');
});

test('--fix --yes follows the link of a profile into dotfiles, and leaves the link', async () => {
  using home = homeWithHelper();
  const target = home.write('dotfiles/zshrc', `export ANTHROPIC_API_KEY=${KEY} B=2\n`);
  symlinkSync(target, home.path('.zshrc'));
  await runDoctor(home, ['--fix', '--yes']);
  expect(readFileSync(target, 'utf8')).toBe('export B=2\n');
  expect(lstatSync(home.path('.zshrc')).isSymbolicLink()).toBe(true);
});

test.each([
  ['in a condition', `if true; then\n  export ANTHROPIC_API_KEY=${KEY}\nfi\n`],
  ['in a function that is called', `f() {\n  export ANTHROPIC_API_KEY=${KEY}\n}\nf\n`],
  ['in a continued line', `export A=1 \\\n  ANTHROPIC_API_KEY=${KEY}\n`],
  ['asked for elsewhere', `export ANTHROPIC_API_KEY=${KEY}\nexport OTHER=$ANTHROPIC_API_KEY\n`],
  ['the token of a gateway', `export ANTHROPIC_BASE_URL=https://gw.example.com\nexport ANTHROPIC_AUTH_TOKEN=${KEY}\n`],
  ['in a function that nobody calls', `f() {\n  export ANTHROPIC_AUTH_TOKEN=${KEY}\n  claude\n}\n`],
])('--fix --yes leaves what is %s', async (_, text) => {
  using home = homeWithHelper();
  const profile = home.write('.bashrc', text);
  await runDoctor(home, ['--fix', '--yes']);
  expect(readFileSync(profile, 'utf8')).toBe(text);
});
