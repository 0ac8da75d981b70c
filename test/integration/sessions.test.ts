import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadNative } from '../../src/platform/native.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { SessionClient } from '../fakes/session-client.ts';

let vault: DevVault;
let home: BrokerHome;
const clients: SessionClient[] = [];

/** Only there a process can be watched without looking for it. */
const canWatch = process.platform === 'linux' && loadNative() !== undefined;

beforeEach(async () => {
  vault = await DevVault.start({ nowMs: Date.now });
  vault.engines.role('dev', { ttlMs: 900_000, maxTtlMs: 3_600_000 });
  vault.engines.role('told', { ttlMs: 900_000, maxTtlMs: 3_600_000, post: true });
  home = new BrokerHome(`default = "leased"
[providers.vault]
type = "vault"
address = "${vault.address}"
auth = { method = "token", token = "${vault.rootToken}" }
[credentials.leased]
provider = "vault"
path = "apikeys/creds/dev"
field = "api_key"
scope = "session"
[credentials.told]
provider = "vault"
path = "apikeys/creds/told"
method = "POST"
params = { who = "{client}/{session}" }
field = "who"
scope = "session"
`);
});

afterEach(async () => {
  for (const client of clients.splice(0)) await client.exit();
  await home.close();
  await vault.stop();
});

function newClient(client = SessionClient.claude(home.env)): SessionClient {
  clients.push(client);
  return client;
}

const live = () => vault.leases.live().length;

test.runIf(canWatch)('each client process has its own lease, which ends within seconds of the process', async () => {
  await home.start();
  const [one, two] = [newClient(), newClient()];
  const keys = [await one.key(), await two.key()];
  expect(new Set(keys).size).toBe(2);
  expect([await one.key(), await two.key()]).toEqual(keys);
  expect(live()).toBe(2);
  await one.exit();
  await expect.poll(live, { timeout: 5_000 }).toBe(1);
  expect(await two.key()).toBe(keys[1]);
  const { stdout } = await home.broker('events');
  expect(stdout).toMatch(/session-opened.*leased[\s\S]*session-ended.*leased/);
});

test.runIf(canWatch)('Codex has a lease of its own, which ends with its process', async () => {
  await home.start();
  const [codex, claude] = [newClient(SessionClient.codex(home.env, home.folder)), newClient()];
  const keys = [await codex.key(), await claude.key()];
  expect(new Set(keys).size).toBe(2);
  expect(await codex.key()).toBe(keys[0]);
  expect(live()).toBe(2);
  const { stdout } = await home.broker('events');
  expect(stdout).toMatch(new RegExp(`session-opened.*codex.*${codex.pid}`));
  await codex.exit();
  await expect.poll(live, { timeout: 5_000 }).toBe(1);
  expect(await claude.key()).toBe(keys[1]);
});

test.runIf(canWatch)('a daemon that was killed meanwhile leaves no lease of a client that has exited', async () => {
  const daemon = await home.start();
  const [one, two] = [newClient(), newClient()];
  const [, kept] = [await one.key(), await two.key()];
  await daemon.end('SIGKILL');
  await one.exit();
  await home.start();
  await expect.poll(live, { timeout: 5_000 }).toBe(1);
  expect(await two.key()).toBe(kept);
  await two.exit();
  await expect.poll(live, { timeout: 5_000 }).toBe(0);
});

test.runIf(canWatch)('the provider is told pid and start time of the client, and nothing else', async () => {
  await home.start();
  const client = newClient();
  const { pid } = client;
  expect(await client.key('told')).toMatch(new RegExp(`^${pid}/${pid}\\.\\d+$`));
});
