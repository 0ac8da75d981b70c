import { afterEach, beforeEach, expect, test } from 'vitest';
import { sealable } from '../../src/providers/oauth2/session.ts';
import { cacheDump } from '../fakes/cache-dump.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { personConfig } from '../fakes/laptop.ts';
import { TokenServer } from '../fakes/token-server.ts';

let home: BrokerHome;
let server: TokenServer;

beforeEach(async () => {
  server = new TokenServer();
  await server.start();
});

afterEach(async () => {
  await home.close();
  await server.stop();
});

test('who logs out of an identity provider is logged out there, and nothing that the login gave is served any more', async () => {
  home = new BrokerHome(`default = "gateway"
[providers.corp]
type = "oauth2"
issuer = "${server.url}"
grant = "device_code"
client_id = "broker"
client_secret = "secret"
[credentials.gateway]
provider = "corp"
`);
  const first = server.logIn();
  await home.start();
  using token = sealable({ refreshToken: first });
  await home.post('/v1/providers/corp/login', token.reveal());
  expect((await home.key()).code).toBe(0);
  expect(await home.broker('logout', 'corp')).toEqual({ code: 0, stdout: 'logged out of corp\n', stderr: '' });
  expect(server.isLoggedIn(first)).toBe(false);
  const after = await home.key();
  expect(after).toMatchObject({ code: 77, stdout: '' });
  expect(after.stderr).toContain('run: broker login corp');
  expect((await home.broker('events')).stdout).toContain('logged-out');
  expect(await home.broker('logout', 'corp', '--json')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('"corp"'),
  });
});

test('who logs out of Vault has their token revoked', async () => {
  const vault = await DevVault.start({ nowMs: () => Date.now() });
  try {
    vault.policies.write('claude', ['secret/data/claude']);
    vault.kv.writeV2('secret/claude', { api_key: 'sk-1' });
    vault.logins.user('userpass', 'ada', 'canary-horse', {
      policies: ['claude'],
      ttlMs: 3_600_000,
      maxTtlMs: 36_000_000,
    });
    home = new BrokerHome(personConfig(vault.address, 'method = "userpass"\nusername = "ada"'));
    await home.start();
    await home.brokerWith({ input: 'canary-horse\n' }, 'login', 'corp', '--password-stdin');
    expect((await home.key()).code).toBe(0);
    const before = vault.tokens.live().length;
    expect((await home.broker('logout', 'corp')).code).toBe(0);
    expect(vault.tokens.live().length).toBe(before - 1);
    expect(await home.key()).toMatchObject({ code: 77, stdout: '' });
    expect(cacheDump(home.stateDir)).not.toContain('canary');
  } finally {
    await vault.stop();
  }
});

test('a provider that logs in automatically cannot be logged out of', async () => {
  home = new BrokerHome(`default = "gateway"
[providers.corp]
type = "oauth2"
issuer = "${server.url}"
client_id = "broker"
client_secret = "secret"
[credentials.gateway]
provider = "corp"
`);
  await home.start();
  const said = await home.broker('logout', 'corp');
  expect(said.code).toBe(64);
  expect(said.stderr).toContain('logs in automatically, with grant client_credentials');
  expect((await home.broker('logout', 'nobody')).stderr).toContain('there is no provider "nobody"');
});
