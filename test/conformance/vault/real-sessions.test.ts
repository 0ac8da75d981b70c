import { expect, test } from 'vitest';
import { loadNative } from '../../../src/platform/native.ts';
import { BrokerHome } from '../../fakes/daemon-process.ts';
import { SessionClient } from '../../fakes/session-client.ts';
import { realVault } from './real-stage.ts';

const real = realVault();
const canWatch = process.platform === 'linux' && loadNative() !== undefined;

/** Tokens are what every server issues without an engine; their accessors end them. */
test.runIf(real !== undefined && canWatch)(
  'a real server sees pid and start time of each session, and its token ends with the process',
  async () => {
    if (real === undefined) return;
    const home = new BrokerHome(`default = "leased"
[providers.vault]
type = "vault"
address = "${real.address}"
auth = { method = "token", token = "${real.token}" }
[credentials.leased]
provider = "vault"
path = "auth/token/create"
method = "POST"
params = { ttl = "15m", display_name = "{session}", no_parent = true }
field = "client_token"
scope = "session"
`);
    const clients = [SessionClient.claude(home.env), SessionClient.claude(home.env)] as const;
    const lookUp = async (token: string) => {
      const answer = await fetch(`${real.address}/v1/auth/token/lookup-self`, { headers: { 'x-vault-token': token } });
      const { data } = (await answer.json()) as { data?: { display_name: string } };
      return { status: answer.status, name: data?.display_name };
    };
    try {
      await home.start();
      const tokens = [await clients[0].key(), await clients[1].key()] as const;
      expect(tokens[0]).not.toBe(tokens[1]);
      for (const [at, client] of clients.entries()) {
        // The server writes a dash for what it does not take in a name.
        expect((await lookUp(tokens[at] ?? '')).name).toMatch(new RegExp(`^token-${client.pid}[.-]\\d+$`));
      }
      await clients[0].exit();
      await expect.poll(async () => (await lookUp(tokens[0])).status, { timeout: 5_000 }).toBe(403);
      expect((await lookUp(tokens[1])).status).toBe(200);
    } finally {
      for (const client of clients) await client.exit();
      await home.close();
    }
  },
);
