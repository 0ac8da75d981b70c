import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { readLockHolder } from '../../src/platform/state-lock.ts';
import type { RotationReport } from '../../src/protocol/reports.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { SetupHome } from '../fakes/setup-home.ts';
import { Desk, missingPrograms } from './desk.ts';

const skipped = missingPrograms();

const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "sk-test"]
`;

let desk: Desk;
let home: BrokerHome;

beforeEach(async () => {
  desk = new Desk();
  home = new BrokerHome(CONFIG);
  if (skipped === undefined) await desk.start();
});

afterEach(async () => {
  await home.close();
  await desk[Symbol.asyncDispose]();
});

const cacheState = async () => JSON.parse((await home.get('/v1/status')).body).daemon.cache;
const kekFiles = () => readdirSync(home.stateDir).filter((name) => name.startsWith('kek'));

describe.skipIf(skipped)('a daemon at a desk with a keyring', () => {
  it('keeps its key there, over restarts; rotate-key moves it with and without the daemon', async () => {
    const daemon = await home.start(desk.session);
    expect((await home.key()).stdout).toBe('sk-test\n');
    expect(await cacheState()).toMatchObject({
      persistent: true,
      keyHome: 'keyring',
      keyEncryptionKey: 'keyring (Secret Service)',
    });
    expect(kekFiles()).toEqual([]);
    const first = await home.broker('rotate-key', '--json');
    const report: RotationReport = JSON.parse(first.stdout);
    expect(report).toMatchObject({ home: 'keyring (Secret Service)', rewrapped: 1, left: null, setAside: null });
    expect(await desk.accounts()).toEqual([report.keyId]);
    expect(daemon.log).not.toMatch(/broker-kek-1/);
    await daemon.end('SIGTERM');

    const toFile = await home.brokerWith({ env: desk.session }, 'rotate-key', '--to', 'file');
    expect(toFile).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/ in file .*\/kek; 1 record wrapped/),
    });
    expect([kekFiles(), await desk.accounts()]).toEqual([['kek'], []]);

    const again = await home.start(desk.session);
    expect(again.log).not.toMatch(/warn|error/);
    expect(await home.broker('rotate-key', '--to', 'keyring')).toMatchObject({ code: 0, stderr: '' });
    expect([kekFiles(), await desk.accounts()]).toMatchObject([[], [expect.any(String)]]);
    const wrong = await home.broker('rotate-key', '--to', 'sock-drawer');
    expect(wrong).toMatchObject({ code: 64, stdout: '' });
    expect(await home.post('/v1/rotate-key?to=sock-drawer')).toMatchObject({ status: 400 });
  });

  it('serves from memory while the keyring is locked, and says what to do', async () => {
    await (await startedOnce()).end('SIGTERM');
    const before = readFileSync(`${home.stateDir}/cache.db`);
    await desk.restartKeyring('locked');
    const daemon = await home.start(desk.session);
    expect(daemon.log).toContain('the cache works from memory only: the Secret Service is locked');
    expect((await home.key()).stdout).toBe('sk-test\n');
    expect(await cacheState()).toMatchObject({
      persistent: false,
      keyHome: null,
      problem: 'the Secret Service is locked',
    });
    expect(readFileSync(`${home.stateDir}/cache.db`)).toEqual(before);
    expect((await home.broker('status')).stdout).toMatch(/the Secret Service is locked\n +hint: Unlock it/);
    const refused = await home.broker('rotate-key');
    expect(refused).toMatchObject({ code: 74, stdout: '' });
    expect(refused.stderr).toContain('broker rotate-key --discard --to file');
    expect(desk.prompts).toBe(0);

    await desk.restartKeyring('unlocked');
    // A person who asks need not wait for the next look.
    expect(await home.broker('rotate-key', '--discard')).toMatchObject({ code: 0, stderr: '' });
    expect(await cacheState()).toMatchObject({ persistent: true, keyHome: 'keyring', problem: null });
  });

  it('has the stored key for the first ask, although the keyring answers late: the provider is not asked again', async () => {
    const runs = join(home.folder, 'runs');
    home.configure(
      CONFIG.replace('["echo", "sk-test"]', JSON.stringify(['sh', '-c', `echo >> '${runs}'; echo sk-test`])),
    );
    await (await startedOnce()).end('SIGTERM');
    const frozen = desk.freezeKeyring();
    const starting = home.start(desk.session);
    await frozen.asked();
    desk.thawKeyring();
    await starting;
    expect((await home.key()).stdout).toBe('sk-test\n');
    expect(await cacheState()).toMatchObject({ persistent: true, keyHome: 'keyring' });
    expect(readFileSync(runs, 'utf8')).toBe('\n');
  });

  it('starts in time although the keyring hangs, with the configuration as it is by then', async () => {
    await (await startedOnce()).end('SIGTERM');
    desk.freezeKeyring();
    const started = performance.now();
    const starting = home.start(desk.session);
    // Its only child by then is what asks the keyring.
    await expect.poll(() => childrenOf(lockHolder()), { interval: 5 }).not.toBe('');
    home.configure(CONFIG.replace('sk-test', 'sk-changed'));
    await starting;
    expect(performance.now() - started).toBeLessThan(30_000);
    expect((await home.key()).stdout).toBe('sk-changed\n');
    expect((await cacheState()).problem).toContain('did not answer in time');
  });
});

describe.skipIf(skipped)('at a desk with a keyring', () => {
  it('doctor hints at it where the key is in a file, and the remedy is one', async () => {
    home.configure(`${CONFIG}[daemon]\nkey_home = "file"\n`);
    const daemon = await home.start(desk.session);
    expect(await hints()).toEqual([]);
    home.configure(CONFIG);
    daemon.kill('SIGHUP');
    await daemon.whenLogged('took over the changed configuration');
    expect(await hints()).toEqual([['key-in-file', expect.stringMatching(/^move it: broker rotate-key --to keyring/)]]);
    expect((await home.broker('rotate-key', '--to', 'keyring')).code).toBe(0);
    expect(await hints()).toEqual([]);
    expect((await home.broker('status')).stdout).toContain('\ncache encrypted, its key in keyring (Secret Service)\n');
    expect((await home.broker('config', 'show')).stdout).toMatch(/^daemon\.key_home = "auto" +# default$/m);
  });

  it('a setup that is taken back leaves no key in it', async () => {
    const vault = await DevVault.start({ nowMs: () => Date.now() });
    const setup = new SetupHome();
    onTestFinished(async () => {
      await setup.close();
      await vault.stop();
    });
    vault.policies.write('claude', ['secret/data/claude']);
    vault.kv.writeV2('secret/claude', { api_key: 'sk-ant-api03-0123456789' });
    writeFileSync(join(setup.folder, 'token'), vault.tokens.create({ policies: ['claude'] }).id, { mode: 0o600 });
    let held: Promise<string[]> | undefined;
    const onStderr = (text: string) => {
      if (text.includes('configuration: wrote')) vault.policies.write('claude', []);
      if (text.includes('the key is in keyring')) held ??= desk.accounts();
    };
    const flags = ['--provider', 'vault', '--address', vault.address, '--auth', 'token', '--no-service', '--yes'];
    const where = ['--token-file', join(setup.folder, 'token'), '--path', 'secret/data/claude'];
    const run = await setup.brokerWith({ env: desk.session, onStderr }, 'setup', ...flags, ...where);
    expect(run.stderr).toMatch(/daemon: taken back/);
    expect(await held).toHaveLength(1);
    expect(await desk.accounts()).toEqual([]);
  });
});

async function hints() {
  const { stdout } = await home.brokerWith({ env: desk.session }, 'doctor', '--json');
  const findings: { id: string; remedy: string }[] = JSON.parse(stdout).findings;
  return findings.filter(({ id }) => id.startsWith('key-')).map(({ id, remedy }) => [id, remedy]);
}

const lockHolder = () => readLockHolder(join(home.stateDir, 'lock'))?.pid ?? 0;

function childrenOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return '';
  }
}

async function startedOnce() {
  const daemon = await home.start(desk.session);
  await home.key();
  expect(await cacheState()).toMatchObject({ keyHome: 'keyring' });
  return daemon;
}
