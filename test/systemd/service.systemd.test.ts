import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { helperPath } from '../../src/platform/native.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { until } from '../fakes/processes.ts';
import { Desk, missingPrograms } from '../keyring/desk.ts';
import { expectFailure, expectKey, type Outcome, run } from '../native/run-helper.ts';
import {
  broker,
  CONFIG,
  dropIn,
  emptyHome,
  enabledUnits,
  env,
  HOME,
  property,
  ROOT,
  SOCKET,
  STATE,
  systemctl,
  UNITS,
} from './session.ts';

const KEY = 'sk-test';
const helper = helperPath() ?? '';

/** 1,000 while something is broken for good reason; 200 where every minute counts. */
const CALLS = Number(process.env['BROKER_TEST_CALLS'] ?? 200);

const hasJournal = existsSync(`/run/systemd/journal/stdout`);
if (!hasJournal) console.warn('skipped: there is no journald here');

const ask = (more: Record<string, string> = {}): Promise<Outcome> => run(helper, [], { ...env, ...more });
const mainPid = (): number => Number(property('MainPID'));

function configure(value = KEY, more = ''): void {
  configureText(
    `default = "key"\n[providers.command]\ntype = "exec"\n[credentials.key]\nprovider = "command"\ncommand = ["echo", "${value}"]\n${more}`,
  );
}

function configureText(text: string): void {
  mkdirSync(path.dirname(CONFIG), { recursive: true, mode: 0o700 });
  writeFileSync(CONFIG, text, { mode: 0o600 });
}

beforeAll(async () => {
  configure();
  const outcome = await broker('service', 'install', '--json');
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  const { manager, daemon, files } = JSON.parse(outcome.stdout);
  expect(manager).toBe('systemd');
  expect(files.map((file: { path: string }) => path.basename(file.path)).sort()).toEqual([
    'broker.service',
    'broker.socket',
  ]);
  expect(daemon.pid).toBe(mainPid());
});

afterAll(emptyHome);

test('is sandboxed as far as this user may, and still knows who asks', async () => {
  if (process.getuid?.() !== 0) expect(property('PrivateUsers')).toBe('yes');
  expect(property('Type')).toBe('notify');
  expect(property('MemorySwapMax')).toBe('0');
  const asker = path.join(HOME, 'asker.mjs');
  writeFileSync(asker, `import { execFileSync } from 'node:child_process'; execFileSync(${JSON.stringify(helper)});`);
  expect(await run(process.execPath, [asker], env)).toMatchObject({ code: 0 });
  expectKey(await ask(), KEY);
  const { stdout } = await broker('status', '--json');
  expect(JSON.parse(stdout).daemon).toMatchObject({ peerCredentials: 'kernel', stateDir: STATE });
  const events = (await broker('events', '--json')).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(JSON.stringify(events)).toMatch(/"pid":\d+/);
});

test('installed again: nothing changes', async () => {
  const pid = mainPid();
  expect(await broker('service', 'install')).toMatchObject({ code: 0, stderr: '' });
  expect(mainPid()).toBe(pid);
});

test('the socket alone starts it for any client', async () => {
  systemctl('stop', 'broker.service');
  expect(property('ActiveState')).toBe('inactive');
  expectKey(await ask(), KEY);
  expect(property('ActiveState')).toBe('active');
});

test('killed, it is there again at once', async () => {
  const pid = mainPid();
  process.kill(pid, 'SIGKILL');
  expectKey(await ask(), KEY);
  await until(() => mainPid() > 0 && mainPid() !== pid);
});

test('hanging, it is replaced by the watchdog', async () => {
  dropIn('WatchdogSec=1s');
  systemctl('restart', 'broker.service');
  const pid = mainPid();
  process.kill(pid, 'SIGSTOP');
  expectKey(await ask(), KEY);
  expect(mainPid()).not.toBe(pid);
  dropIn('');
  systemctl('restart', 'broker.service');
});

test('reloaded, it has the new configuration and is the same process', async () => {
  const pid = mainPid();
  configure('sk-reloaded');
  systemctl('reload', 'broker.service');
  await until(async () => (await ask()).stdout === 'sk-reloaded\n');
  expect(mainPid()).toBe(pid);
  configure();
  systemctl('reload', 'broker.service');
  await until(async () => (await ask()).stdout === `${KEY}\n`);
});

test('keeps a token in a file in the runtime folder, which its sandbox lets it write, and takes it away when it stops', async () => {
  const file = path.join(path.dirname(SOCKET), 'identity-token');
  const claims = Buffer.from(JSON.stringify({ exp: Math.floor(Date.now() / 1000) + 3600 })).toString('base64url');
  const token = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.x`;
  configure(token, '[credentials.key.sink]\nfile = "{runtime}/identity-token"\n');
  systemctl('reload', 'broker.service');
  await until(() => existsSync(file));
  expect(readFileSync(file, 'utf8')).toBe(token);
  const { stdout } = await broker('status', '--json');
  expect(JSON.parse(stdout).credentials[0].sink).toMatchObject({ file, written: true, problem: null });
  systemctl('restart', 'broker.service');
  await until(() => existsSync(file));
  configure();
  systemctl('reload', 'broker.service');
  await until(() => !existsSync(file));
  expectKey(await ask(), KEY);
});

test('stops within five seconds', async () => {
  const started = performance.now();
  systemctl('stop', 'broker.service');
  expect(performance.now() - started).toBeLessThan(5_000);
  expect(property('Result')).toBe('success');
});

test(`${CALLS} helpers during restarts and kill -9: none fails`, { timeout: 600_000 }, async () => {
  expectKey(await ask(), KEY);
  const disturbances = 40;
  let asked = 0;
  const failures: Outcome[] = [];
  const helpers = Array.from({ length: 4 }, async () => {
    while (asked < CALLS) {
      asked += 1;
      const outcome = await ask();
      if (outcome.stdout !== `${KEY}\n`) failures.push(outcome);
    }
  });
  const done = Promise.all(helpers);
  let over = false;
  void done.then(() => {
    over = true;
  });
  // Spread over the calls: the next one when so many have been made.
  for (let round = 0; round < disturbances && !over; round++) {
    await until(() => over || asked >= (round * CALLS) / disturbances);
    if (round % 2 === 0) systemctl('restart', 'broker.service');
    else {
      const pid = mainPid();
      if (pid > 0) process.kill(pid, 'SIGKILL');
    }
  }
  await done;
  expect(failures).toEqual([]);
});

test('with a faulty configuration, helpers are told what is wrong with it', async () => {
  systemctl('stop', 'broker.service');
  configure(KEY, '[daemon]\nturn_margim = "2m"\n');
  for (let round = 0; round < 3; round++) expectFailure(await ask(), 78, /turn_margim/);
  expect(property('ActiveState', 'broker.socket')).toBe('active');
  configure();
  // The start that failed last has said so to everybody who came meanwhile.
  await until(() => property('ActiveState') === 'failed');
  expectKey(await ask(), KEY);
});

test('stopped by systemctl alone, it is started by the helper', async () => {
  systemctl('stop', 'broker.socket', 'broker.service');
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => ask()));
  for (const outcome of outcomes) expectKey(outcome, KEY);
  expect(property('ActiveState', 'broker.socket')).toBe('active');
});

test('stopped on purpose, it stays so until it is started', async () => {
  expect(await broker('service', 'stop')).toMatchObject({ code: 0 });
  expectFailure(await ask(), 69, /stopped with `broker service stop`/);
  expect(await broker('service', 'status')).toMatchObject({
    code: 69,
    stdout: expect.stringContaining('stopped on purpose'),
  });
  expect(property('ActiveState', 'broker.socket')).toBe('inactive');
  expect(await broker('service', 'start')).toMatchObject({ code: 0 });
  expectKey(await ask(), KEY);
  expect(await broker('service', 'status')).toMatchObject({ code: 0 });
});

test('takes over from a daemon that a helper started', async () => {
  systemctl('stop', 'broker.socket', 'broker.service');
  const program = [path.join(ROOT, 'bin', 'broker.mjs'), 'daemon'];
  const own: ChildProcess = spawn(process.execPath, program, {
    env: { ...env, BROKER_STARTED_BY: 'helper' },
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => own.once('exit', (code, signal) => resolve(signal ?? code)));
  await until(async () => (await ask({ BROKER_NO_AUTOSTART: '1' })).code === 0);
  expect(await broker('service', 'start')).toMatchObject({ code: 0 });
  // Its helper, if it still waits, is to see that it was stopped and did not fail.
  expect(await ended).toBe('SIGTERM');
  expectKey(await ask(), KEY);
  expect(mainPid()).not.toBe(own.pid);
});

test.skipIf(!hasJournal)('a start that fails says what the journal has of it, and nothing older', async () => {
  dropIn('ExecStart=\nExecStart=/bin/sh -c "echo out of cheese; exit 3"\nRestart=no');
  const outcome = await broker('service', 'restart');
  expect(outcome).toMatchObject({ code: 69, stdout: '' });
  expect(outcome.stderr).toMatch(/^error: the service ended with exit code 3\nThe newest lines of its log:\n/);
  expect(outcome.stderr).toContain('  out of cheese\n');

  dropIn('ExecStart=\nExecStart=/home/u/.nvm/versions/node/v22/bin/node daemon\nRestart=no');
  const gone = await broker('service', 'restart');
  expect(gone).toMatchObject({ code: 69, stdout: '' });
  expect(gone.stderr).toMatch(/^error: the service cannot run \/home\/u\/.nvm\/[^\n]*node, which is gone/);
  expect(gone.stderr).toMatch(/status=203\/EXEC/);
  expect(gone.stderr).not.toMatch(/cheese/);
  expect(gone.stderr).toMatch(/^hint: run broker service install again/m);

  dropIn('');
  systemctl('stop', 'broker.service');
  configure(KEY, '[daemon]\nturn_margim = "2m"\n');
  const faulty = await broker('service', 'install');
  expect(faulty).toMatchObject({ code: 78, stdout: '' });
  expect(faulty.stderr).toMatch(/^error: the service refuses its configuration\n/);
  expect(faulty.stderr).toMatch(
    / {2}error: \S+config.toml:\d+: daemon.turn_margim: [^\n]+\n {2}hint: write turn_margin/,
  );

  configure();
  expect(await broker('service', 'restart')).toMatchObject({ code: 0, stderr: '' });
  expect((await broker('service', 'logs', '-n', '3')).stdout).toMatch(/broker is ready/);
});

test('a start that fails where the journal cannot be read says what systemd knows', async () => {
  const folder = path.join(HOME, 'programs');
  mkdirSync(folder);
  // A journal that is kept in memory alone belongs to root: this is what its users see.
  const nothing = '#!/bin/sh\necho "No journal files were found." >&2\necho "-- No entries --"\n';
  writeFileSync(path.join(folder, 'journalctl'), nothing, { mode: 0o755 });
  const elsewhere = { ...env, PATH: `${folder}:${env.PATH}` };
  const blind = (...args: string[]) =>
    run(process.execPath, [path.join(ROOT, 'bin', 'broker.mjs'), ...args], elsewhere);
  dropIn('ExecStart=\nExecStart=/bin/sh -c "exit 3"\nRestart=no');
  const outcome = await blind('service', 'restart');
  expect(outcome).toMatchObject({ code: 69, stdout: '' });
  expect(outcome.stderr).toMatch(
    /Its log cannot be read or is empty. The service manager says:\n {2}\S+ broker.service/,
  );
  expect(outcome.stderr).toMatch(/Process: \d+ ExecStart=.* status=3/);
  expect(await blind('service', 'logs')).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/hint: .*\/var\/log\/journal/),
  });
  dropIn('');
  expect(await broker('service', 'restart')).toMatchObject({ code: 0 });
});

test('with revoke_on_exit a restart keeps leases, and a real stop revokes them', async () => {
  const vault = await DevVault.start({ nowMs: () => Date.now() });
  try {
    vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
    const token = path.join(HOME, 'vault-token');
    writeFileSync(token, vault.rootToken, { mode: 0o600 });
    configureText(`default = "leased"
[providers.vault]
type = "vault"
address = "${vault.address}"
auth = { method = "token", token_file = "${token}" }
[credentials.leased]
provider = "vault"
path = "apikeys/creds/dev"
field = "api_key"
[daemon]
revoke_on_exit = true
`);
    const revocations = () => vault.count(/sys\/leases\/revoke/);
    // Vault answers from this process, which must not wait for systemctl with its hands folded.
    const tell = (verb: string) => run('systemctl', ['--user', verb, 'broker.service'], env);
    await tell('restart');
    const first = await ask();
    expect(first).toMatchObject({ code: 0 });
    for (const verb of ['restart', 'try-restart', 'reload-or-restart']) {
      await tell(verb);
      expect(await ask(), verb).toMatchObject({ code: 0, stdout: first.stdout });
      expect(revocations(), verb).toBe(0);
    }
    await tell('stop');
    expect(revocations()).toBe(1);
  } finally {
    await vault.stop();
    configure();
    systemctl('restart', 'broker.service');
  }
});

test('the key-encryption key as a credential of the unit', async () => {
  expect(await broker('service', 'stop')).toMatchObject({ code: 0 });
  for (const file of readdirSync(STATE)) if (/^(?:cache|kek)/.test(file)) rmSync(path.join(STATE, file));
  const file = path.join(HOME, 'broker-kek');
  writeFileSync(file, randomBytes(32), { mode: 0o600 });
  dropIn(`LoadCredential=broker-kek:${file}`);
  expect(await broker('service', 'start')).toMatchObject({ code: 0 });
  expectKey(await ask(), KEY);
  const { cache } = JSON.parse((await broker('status', '--json')).stdout).daemon;
  expect(cache).toMatchObject({ persistent: true, keyEncryptionKey: 'systemd credential broker-kek' });
});

test.skipIf(missingPrograms())(
  'the key-encryption key in the keyring of the session, through the sandbox',
  async () => {
    await using desk = new Desk({ home: HOME, runtime: env.XDG_RUNTIME_DIR });
    await desk.start();
    expect(await broker('service', 'stop')).toMatchObject({ code: 0 });
    for (const file of readdirSync(STATE)) if (/^(?:cache|kek)/.test(file)) rmSync(path.join(STATE, file));
    dropIn('');
    expect(await broker('service', 'start')).toMatchObject({ code: 0 });
    expectKey(await ask(), KEY);
    const cacheState = async () => JSON.parse((await broker('status', '--json')).stdout).daemon.cache;
    expect(await cacheState()).toMatchObject({ persistent: true, keyHome: 'keyring' });
    expect(await desk.accounts()).toHaveLength(1);
    expect(await broker('service', 'restart')).toMatchObject({ code: 0 });
    expect(await cacheState()).toMatchObject({ persistent: true, keyHome: 'keyring' });
    expect(await broker('rotate-key', '--to', 'file')).toMatchObject({ code: 0 });
    expect(await desk.accounts()).toEqual([]);
  },
);

test('uninstalled, nothing but the state is left', async () => {
  const outcome = await broker('service', 'uninstall');
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  expect(outcome.stdout).toContain(STATE);
  expect(existsSync(path.join(UNITS, 'broker.service'))).toBe(false);
  expect(existsSync(path.join(UNITS, 'broker.socket'))).toBe(false);
  expect(existsSync(path.join(STATE, 'launch'))).toBe(false);
  expect(existsSync(SOCKET)).toBe(false);
  expect(enabledUnits()).toEqual([]);
  expect(property('LoadState')).toBe('not-found');
  expectFailure(await ask(), 69, /nothing answers/);
  expect((await broker('service', 'uninstall')).stdout).toContain('no service was installed');
  expect(readFileSync(CONFIG, 'utf8')).toContain(KEY);
});
