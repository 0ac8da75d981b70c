import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ConfigValue } from '../../src/protocol/reports.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { type ForwardProxy, startForwardProxy } from '../fakes/forward-proxy.ts';
import { enrolLaptop, laptopConfig } from '../fakes/laptop.ts';
import { SetupHome } from '../fakes/setup-home.ts';

const KEY = 'sk-ant-api03-canary-0123456789';
const HOST = 'vault.invalid';

let vault: DevVault;
let home: SetupHome;
let proxy: ForwardProxy;
/** What only the proxy can resolve. */
let address: string;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: () => Date.now() });
  vault.policies.write('claude', ['secret/data/claude']);
  vault.kv.writeV2('secret/claude', { api_key: KEY });
  proxy = await startForwardProxy({ [HOST]: '127.0.0.1' });
  address = `http://${HOST}:${new URL(vault.address).port}`;
  home = new SetupHome();
  enrolLaptop(vault, home.folder);
});

afterEach(async () => {
  await home.close();
  await vault.stop();
});

function configure(providerKeys: string, at = address): void {
  home.folderFor('.config', 'broker');
  const text = laptopConfig(at).replace('type = "vault"\n', `type = "vault"\n${providerKeys}`);
  writeFileSync(home.config, text, { mode: 0o600 });
}

const values = async (): Promise<readonly ConfigValue[]> =>
  (JSON.parse((await home.broker('config', 'show', '--json')).stdout) as { values: ConfigValue[] }).values;

describe('a provider behind a proxy', () => {
  it('is reached through the proxy that the configuration names, with none in the environment', async () => {
    configure(`proxy = "${proxy.address}"\n`);
    await home.start();
    expect(await home.key()).toEqual({ code: 0, stdout: `${KEY}\n`, stderr: '' });
    expect(proxy.asked).not.toEqual([]);
  });

  it('is not without one', async () => {
    configure('');
    await home.start();
    expect(await home.key()).toMatchObject({ code: 69, stdout: '' });
    expect(proxy.asked).toEqual([]);
  });

  it("is reached directly if the configuration says so, whatever the daemon's environment says", async () => {
    configure('proxy = "direct"\n', vault.address);
    await home.start({ HTTP_PROXY: proxy.address, http_proxy: proxy.address });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect(proxy.asked).toEqual([]);
  });

  it('config show tells where the proxy comes from, without its password, and doctor where this shell differs', async () => {
    configure('');
    const withPassword = proxy.address.replace('//', '//ada:canary-word@');
    await home.start({ HTTP_PROXY: withPassword });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    const shown = (await values()).find(({ key }) => key === 'providers.vault.proxy');
    expect(shown?.origin).toEqual({ kind: 'env', variable: 'HTTP_PROXY' });
    expect(shown?.value).toBe(proxy.address.replace('//', '//ada:********@'));
    const doctor = await home.broker('doctor');
    expect(doctor.stdout).toMatch(/disagree about providers\.vault\.proxy/);
    expect(doctor.stdout).not.toContain('canary-word');
    const env = { HTTP_PROXY: withPassword };
    expect((await home.brokerWith({ env }, 'doctor')).stdout).not.toContain('config-differs');
  });

  it('a variable for the other scheme, or an address that NO_PROXY exempts, contributes nothing', async () => {
    configure('', vault.address);
    await home.start({ HTTPS_PROXY: proxy.address });
    expect((await home.key()).stdout).toBe(`${KEY}\n`);
    expect((await values()).map(({ key }) => key)).not.toContain('providers.vault.proxy');
    expect(proxy.asked).toEqual([]);
  });
});

describe('setup where there is no direct way', () => {
  const flags = () => [
    ...['--provider', 'vault', '--auth', 'approle', '--role-id-file', '~/role-id', '--secret-id-file', '~/secret-id'],
    ...['--path', 'secret/data/claude', '--no-service', '--yes'],
  ];

  it("writes the shell's proxy into the configuration, so that the daemon gets there without that shell", async () => {
    const env = { VAULT_ADDR: address, HTTP_PROXY: proxy.address };
    const run = await home.brokerWith({ env }, 'setup', ...flags());
    expect(run).toMatchObject({ code: 0 });
    expect(readFileSync(home.config, 'utf8')).toContain(`proxy = "${proxy.address}"`);
    const asked = proxy.asked.length;
    expect((await home.broker('refresh')).code).toBe(0);
    expect(proxy.asked.length).toBeGreaterThan(asked);
    expect((await home.broker('doctor')).stdout).not.toContain('config-differs');
  });

  it('takes the proxy from a flag', async () => {
    const run = await home.broker('setup', '--address', address, '--proxy', proxy.address, ...flags());
    expect(run).toMatchObject({ code: 0 });
    expect(readFileSync(home.config, 'utf8')).toContain(`proxy = "${proxy.address}"`);
  });

  it('writes none where NO_PROXY or the flag says so', async () => {
    const env = { VAULT_ADDR: vault.address, HTTP_PROXY: 'http://127.0.0.1:1', NO_PROXY: 'localhost,127.0.0.1' };
    expect(await home.brokerWith({ env }, 'setup', ...flags())).toMatchObject({ code: 0 });
    expect(readFileSync(home.config, 'utf8')).not.toContain('proxy');
  });
});
