import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheDump } from '../fakes/cache-dump.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { enrolLaptop, laptopConfig } from '../fakes/laptop.ts';

const FIRST = 'sk-ant-canary-first-0123456789';
const SECOND = 'sk-ant-canary-second-0123456789';

let vault: DevVault;
let home: BrokerHome;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now(), secretPrefix: 'canary-' });
  vault.policies.write('claude', ['secret/data/claude', 'apikeys/creds/dev', 'sys/leases/*']);
  vault.kv.writeV2('secret/claude', { api_key: FIRST });
  home = new BrokerHome(config());
  enrolLaptop(vault, home.folder);
});

afterEach(async () => {
  await home.close();
  await vault.stop();
});

const config = (extra?: string) => laptopConfig(vault.address, extra);
const reads = () => vault.count(/secret\/data\/claude/);

const status = () => home.status();

describe('the daemon, the helper and Vault, all real', () => {
  it('serves a key, asks the provider once, and shows it in the status', async () => {
    await home.start();
    expect(await home.key()).toEqual({ code: 0, stdout: `${FIRST}\n`, stderr: '' });
    expect(await home.key('anthropic')).toMatchObject({ stdout: `${FIRST}\n` });
    expect(await home.broker('get')).toEqual({ code: 0, stdout: `${FIRST}\n`, stderr: '' });
    expect(reads()).toBe(1);
    const [credential] = (await status()).credentials;
    expect(credential).toMatchObject({ name: 'anthropic', state: 'fresh', version: '1', timesServed: 3 });
  });

  it('serves after kill -9 with the provider down', async () => {
    const daemon = await home.start();
    await home.key();
    await daemon.end('SIGKILL');
    await vault.stop();
    await home.start();
    expect(await home.key()).toEqual({ code: 0, stdout: `${FIRST}\n`, stderr: '' });
    await vault.comeUp();
  });

  it('leaves no byte of a key, a token or a secret-id in the state folder, the logs or the events', async () => {
    home.configure(config('[daemon]\nlog_level = "trace"\n'));
    const daemon = await home.start();
    await home.key();
    vault.kv.writeV2('secret/claude', { api_key: SECOND });
    await home.broker('refresh', 'anthropic');
    expect((await home.key()).stdout).toBe(`${SECOND}\n`);
    const events = await home.broker('events', '--json');
    const everything = [daemon.log, events.stdout, (await home.broker('status')).stdout];
    for (const name of readdirSync(home.stateDir)) everything.push(readFileSync(join(home.stateDir, name), 'latin1'));
    const dump = cacheDump(home.stateDir);
    expect(dump).toContain('anthropic');
    everything.push(dump);
    for (const text of everything) expect(text).not.toContain('canary');
    expect(events.stdout).toContain('refreshed');
    for (const name of readdirSync(home.stateDir)) {
      expect(statSync(join(home.stateDir, name)).mode & 0o077, name).toBe(0);
    }
  });

  it('refreshes and invalidates by hand', async () => {
    await home.start();
    await home.key();
    vault.kv.writeV2('secret/claude', { api_key: SECOND });
    expect((await home.key()).stdout).toBe(`${FIRST}\n`);
    expect((await home.broker('invalidate', 'anthropic')).code).toBe(0);
    expect((await home.key()).stdout).toBe(`${SECOND}\n`);
  });

  it('refuses a second daemon and says who holds the folder', async () => {
    const daemon = await home.start();
    const second = await home.broker('daemon');
    expect(second.code).toBe(69);
    expect(second.stderr).toContain(`pid ${daemon.pid}`);
    expect((await home.key()).code).toBe(0);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('stops in order on %s and leaves no socket', async (signal) => {
    const daemon = await home.start();
    await home.key();
    expect(await daemon.end(signal)).toBe(0);
    expect(existsSync(home.socket)).toBe(false);
    const asked = await home.key();
    expect(asked).toMatchObject({ code: 69, stdout: '' });
    expect(asked.stderr).toMatch(/^broker-key: .*broker daemon.*\n$/);
  });

  it('takes over a changed configuration and keeps the last good one', async () => {
    const daemon = await home.start();
    await home.key();
    home.configure(config('[credentials.other]\nprovider = "vault"\npath = "secret/data/claude"\nfield = "api_key"\n'));
    await daemon.whenLogged('took over the changed configuration');
    expect((await home.key('other')).stdout).toBe(`${FIRST}\n`);
    home.configure(config('nonsense = 1\n'));
    await daemon.whenLogged('is not taken over');
    expect((await home.key('other')).stdout).toBe(`${FIRST}\n`);
    expect((await status()).daemon.configProblem).toContain('nonsense');
  });

  it('says what a missing field, a denied path and an unknown name need', async () => {
    home.configure(
      config(
        '[credentials.nofield]\nprovider = "vault"\npath = "secret/data/claude"\nfield = "apikey"\n' +
          '[credentials.denied]\nprovider = "vault"\npath = "secret/data/else"\nfield = "x"\n',
      ),
    );
    await home.start();
    expect(await home.key('nofield')).toMatchObject({
      code: 78,
      stdout: '',
      stderr: expect.stringContaining('api_key'),
    });
    expect(await home.key('denied')).toMatchObject({
      code: 77,
      stdout: '',
      stderr: expect.stringContaining('secret/data/else'),
    });
    expect(await home.key('nowhere')).toMatchObject({
      code: 78,
      stdout: '',
      stderr: expect.stringContaining('nowhere'),
    });
    expect(await home.key('bad/name')).toMatchObject({ code: 64, stdout: '' });
  });

  it('refuses a configuration that others can write', async () => {
    chmodSync(home.configFile, 0o666);
    const run = await home.broker('daemon');
    expect(run.code).toBe(78);
    expect(run.stderr).toContain('chmod');
  });

  it('says 69 with Vault down and nothing cached, and recovers by itself', async () => {
    await vault.stop();
    await home.start();
    const asked = await home.key();
    expect(asked).toMatchObject({ code: 69, stdout: '' });
    expect(asked.stderr.length).toBeLessThanOrEqual(401);
    await vault.comeUp();
    expect((await home.broker('refresh')).code).toBe(0);
    expect((await home.key()).stdout).toBe(`${FIRST}\n`);
  });

  it('takes a mended login at once', async () => {
    const good = readFileSync(join(home.folder, 'secret-id'));
    writeFileSync(join(home.folder, 'secret-id'), 'wrong', { mode: 0o600 });
    await home.start();
    const asked = await home.key();
    expect(asked.stdout).toBe('');
    expect([77, 78]).toContain(asked.code);
    const logins = vault.count(/auth\/approle\/login/);
    expect((await home.key()).code).toBe(asked.code);
    expect(vault.count(/auth\/approle\/login/)).toBe(logins);
    writeFileSync(join(home.folder, 'secret-id'), good, { mode: 0o600 });
    expect((await home.key()).stdout).toBe(`${FIRST}\n`);
  });

  it('renews a lease and its login over a restart instead of taking new ones', async () => {
    vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
    home.configure(config('[credentials.leased]\nprovider = "vault"\npath = "apikeys/creds/dev"\nfield = "api_key"\n'));
    const daemon = await home.start();
    const first = await home.key('leased');
    expect(first.code).toBe(0);
    await daemon.end('SIGTERM');
    await home.start();
    expect((await home.key('leased')).stdout).toBe(first.stdout);
    expect(vault.count(/apikeys\/creds\/dev/)).toBe(1);
    expect(vault.count(/auth\/approle\/login/)).toBe(1);
  });

  it('revokes leases on a real stop if told to', async () => {
    vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
    home.configure(
      config(
        '[credentials.leased]\nprovider = "vault"\npath = "apikeys/creds/dev"\nfield = "api_key"\n[daemon]\nrevoke_on_exit = true\n',
      ),
    );
    const daemon = await home.start();
    expect((await home.key('leased')).code).toBe(0);
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(vault.count(/sys\/leases\/revoke/)).toBe(1);
    expect(vault.leases.live()).toHaveLength(0);
  });

  it('keeps nothing on the disk with cache = "memory", and revokes on a real stop what no other daemon could', async () => {
    vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
    home.configure(
      config(
        '[credentials.leased]\nprovider = "vault"\npath = "apikeys/creds/dev"\nfield = "api_key"\n[daemon]\ncache = "memory"\n',
      ),
    );
    const daemon = await home.start();
    expect((await home.key('leased')).code).toBe(0);
    const { stdout } = await home.broker('status');
    expect(stdout).toContain('cache in memory alone, as configured');
    expect(readdirSync(home.stateDir).toSorted()).toEqual(['lock', 'running']);
    expect(await home.broker('rotate-key')).toMatchObject({
      code: 74,
      stderr: expect.stringContaining('ends with the daemon'),
    });
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(vault.leases.live()).toHaveLength(0);
    expect(readdirSync(home.stateDir)).toEqual(['lock']);
  });

  it('says that a cache from before cache = "memory" is still there', async () => {
    home.configure(config(''));
    await (await home.start()).end('SIGTERM');
    home.configure(config('[daemon]\ncache = "memory"\n'));
    const daemon = await home.start();
    expect(daemon.log).toContain('is still on the disk');
    expect(readdirSync(home.stateDir)).toContain('cache.db');
  });

  it('stops although the provider hangs when leases are to be revoked, and leaves them to the next daemon', async () => {
    vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
    const leased =
      '[credentials.leased]\nprovider = "vault"\npath = "apikeys/creds/dev"\nfield = "api_key"\n[daemon]\nrevoke_on_exit = true\n';
    home.configure(config(leased));
    const daemon = await home.start();
    expect((await home.key('leased')).code).toBe(0);
    const hanging = vault.faults.plan({ kind: 'hang' }, { path: /leases\/revoke/, times: Number.POSITIVE_INFINITY });
    // The hang lasts; that it ends at all shows that nobody waits for it.
    expect(await daemon.end('SIGTERM')).toBe(0);
    expect(vault.leases.live()).toHaveLength(1);
    hanging.clear();
  });
});
