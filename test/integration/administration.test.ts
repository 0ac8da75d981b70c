import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfigReport, RotationReport } from '../../src/protocol/reports.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';

const KEY = 'sk-ant-canary-0123456789';

let vault: DevVault;
let home: BrokerHome;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now(), secretPrefix: 'canary-' });
  vault.kv.writeV2('secret/claude', { api_key: KEY });
  home = new BrokerHome(`default = "anthropic"
[providers.vault]
type = "vault"
[providers.vault.auth]
method = "token"
token_file = "~/token"
[credentials.anthropic]
provider = "vault"
path = "secret/data/claude"
field = "api_key"
`);
  writeFileSync(join(home.folder, 'token'), vault.rootToken, { mode: 0o600 });
});

afterEach(async () => {
  await home.close();
  await vault.stop();
});

const start = () => home.start({ VAULT_ADDR: vault.address });
const kek = () => readFileSync(join(home.stateDir, 'kek'));

describe('rotate-key', () => {
  it('asks the daemon: another key, everything readable with it, also after a restart', async () => {
    const daemon = await start();
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    const before = kek();
    const run = await home.broker('rotate-key');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toMatch(/^new key-encryption key \S+ in .*; 1 record wrapped with it\n$/);
    expect(kek().equals(before)).toBe(false);
    await daemon.end('SIGKILL');
    await vault.stop();
    await start();
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    await vault.comeUp();
  });

  it('does it itself where no daemon runs', async () => {
    const daemon = await start();
    await home.key();
    await daemon.end('SIGTERM');
    const before = kek();
    const { stdout, code } = await home.broker('rotate-key', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ rewrapped: 1, setAside: null } satisfies Partial<RotationReport>);
    expect(kek().equals(before)).toBe(false);
    await vault.stop();
    await start();
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    await vault.comeUp();
  });

  it('touches nothing while a daemon that does not answer here holds the folder', async () => {
    await start();
    const run = await home.brokerWith({ env: { BROKER_SOCKET: join(home.folder, 'run', 'other.sock') } }, 'rotate-key');
    expect(run).toMatchObject({ code: 69, stdout: '' });
    expect(run.stderr).toMatch(/daemon with pid \d+ .* holds/);
  });

  it('survives kill -9 at any moment: the key is served from the cache afterwards', async () => {
    let daemon = await start();
    await home.key();
    await vault.stop();
    for (const delayMs of [0, 1, 3, 8, 20]) {
      const asked = home.post('/v1/rotate-key').catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await daemon.end('SIGKILL');
      await asked;
      daemon = await start();
      expect((await home.key()).stdout).toBe(`${KEY}\n`);
    }
    await vault.comeUp();
  });

  it.each(['with a daemon', 'without'] as const)('a lost key is given up only on demand, %s', async (how) => {
    const daemon = await start();
    await home.key();
    await daemon.end('SIGTERM');
    rmSync(join(home.stateDir, 'kek'));
    if (how === 'with a daemon') {
      await start();
      expect((await home.key()).stdout).toBe(`${KEY}\n`);
    }
    const refused = await home.broker('rotate-key');
    expect(refused.code).toBe(74);
    expect(refused.stderr).toContain('broker rotate-key --discard');
    const run = await home.broker('rotate-key', '--discard');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toMatch(/set aside as .*discarded/);
    expect(readdirSync(home.stateDir).filter((name) => name.includes('discarded'))).not.toEqual([]);
    if (how === 'without') await start();
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect((await home.broker('status', '--json')).stdout).toContain('"persistent": true');
  });
});

describe('the configuration in force', () => {
  it('GET /v1/config tells every value, its origin, and no secret', async () => {
    await start();
    const { status, body } = await home.get('/v1/config');
    expect(status).toBe(200);
    const report = JSON.parse(body) as ConfigReport;
    expect(report.file).toBe(home.configFile);
    const origin = { kind: 'env', variable: 'VAULT_ADDR' };
    expect(report.values).toContainEqual({ key: 'providers.vault.address', value: vault.address, origin });
    expect(report.values).toContainEqual({
      key: 'credentials.anthropic.ttl',
      value: '15m',
      origin: { kind: 'default' },
    });
    expect(body).not.toContain(vault.rootToken);
  });

  it('config show and doctor say where this shell differs', async () => {
    await start();
    const env = { VAULT_ADDR: 'https://elsewhere.example:8200' };
    const { stdout } = await home.brokerWith({ env }, 'config', 'show');
    expect(stdout).toMatch(new RegExp(`providers.vault.address = "${vault.address}" +# from VAULT_ADDR`));
    expect(stdout).toContain('# providers.vault.address = "https://elsewhere.example:8200"  (from VAULT_ADDR)');
    const doctor = await home.brokerWith({ env }, 'doctor', '--json');
    expect(doctor.stdout).toContain('config-differs');
    expect((await home.brokerWith({ env: { VAULT_ADDR: vault.address } }, 'doctor', '--json')).stdout).not.toContain(
      'config-differs',
    );
  });
});
