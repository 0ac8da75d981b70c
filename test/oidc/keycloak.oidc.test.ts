import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logInInteractively } from '../../src/providers/oauth2/interactive.ts';
import { oauth2Definition } from '../../src/providers/oauth2/options.ts';
import { OAuth2Provider } from '../../src/providers/oauth2/provider.ts';
import { lendsNothing, type ProviderHost } from '../../src/providers/provider.ts';
import { Browser } from '../fakes/browser.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import { MemoryLoginStore } from '../fakes/memory-login-store.ts';
import { realClock } from '../fakes/real-clock.ts';
import { CLIENT_SECRET, type KeycloakFacts, PERSON } from './keycloak.ts';

const { issuer, callbackPort, signingKey } = JSON.parse(process.env['BROKER_TEST_KEYCLOAK'] ?? '{}') as KeycloakFacts;

let folder: string;
const file = (name: string) => join(folder, name);
const never = () => ({ signal: new AbortController().signal });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'broker-oidc-'));
  writeFileSync(file('secret'), CLIENT_SECRET, { mode: 0o600 });
  writeFileSync(file('key.pem'), signingKey, { mode: 0o600 });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function hostWith(logins = new MemoryLoginStore()): ProviderHost {
  const log = new CollectingLog();
  return { name: 'corp', clock: realClock, log, logins, credentials: lendsNothing, env: {}, homeDir: folder };
}

const optionsFor = (more: object) => oauth2Definition.providerSchema.parse({ issuer, ...more });

async function claimsFrom(provider: OAuth2Provider, source: object = {}) {
  const request = { source: oauth2Definition.credentialSchema.parse(source), wantedLifeMs: 0 };
  const { content } = await provider.issue(request, never());
  const token = content.kind === 'text' ? content.text.reveal() : '';
  return claimsIn(token);
}

const claimsIn = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;

async function loggedIn(more: object) {
  const options = optionsFor(more);
  const logins = new MemoryLoginStore();
  const visits: Promise<{ text: string }>[] = [];
  const dialogue = {
    canAskAgain: false,
    say: () => undefined,
    askPassword: () => expect.fail('nobody asks'),
    askPasscode: () => expect.fail('nobody asks'),
    chooseFactor: () => expect.fail('nobody asks'),
    showPage: async (address: string) => void visits.push(new Browser(PERSON).visit(address)),
  };
  using token = await logInInteractively(options, hostWith(logins), dialogue, never());
  const provider = new OAuth2Provider(options, hostWith(logins));
  await provider.takeLogin(token, never());
  return { options, logins, provider, page: (await visits[0])?.text ?? '' };
}

const inBrowser = () => ({ grant: 'authorization_code', client_id: 'browser', callback_port: callbackPort });

describe('a machine', () => {
  test('client credentials with a secret', async () => {
    const provider = new OAuth2Provider(
      optionsFor({ client_id: 'machine', client_secret_file: file('secret') }),
      hostWith(),
    );
    expect(await claimsFrom(provider)).toMatchObject({ iss: issuer, azp: 'machine' });
    provider.close();
  });

  test('client credentials with a key that signs (private_key_jwt)', async () => {
    const more = { client_id: 'signer', private_key_file: file('key.pem'), private_key_id: 'signer' };
    const provider = new OAuth2Provider(optionsFor(more), hostWith());
    expect(await claimsFrom(provider)).toMatchObject({ azp: 'signer' });
    provider.close();
  });

  test('a client that may not exchange is told so', async () => {
    writeFileSync(file('assertion'), 'eyJhbGciOiJub25lIn0.e30.', { mode: 0o600 });
    const more = {
      client_id: 'machine',
      client_secret_file: file('secret'),
      grant: 'token_exchange',
      assertion: { file: file('assertion') },
    };
    const provider = new OAuth2Provider(optionsFor(more), hostWith());
    const said = await claimsFrom(provider).catch((error: unknown) => error);
    expect(said).toMatchObject({
      kind: expect.stringMatching(/misconfigured|login-expired|denied/),
      remedy: expect.stringMatching(/\S/),
    });
    provider.close();
  });
});

describe('a person', () => {
  test('logs in on another device, with PKCE demanded', async () => {
    const { provider } = await loggedIn({ grant: 'device_code', client_id: 'device', scope: 'openid' });
    expect(await claimsFrom(provider)).toMatchObject({ azp: 'device', preferred_username: 'ada' });
    provider.close();
  });

  test('logs in with the browser, with PKCE demanded', async () => {
    const { provider, page } = await loggedIn({ ...inBrowser(), scope: 'openid' });
    expect(page).toContain('You are logged in');
    expect(await claimsFrom(provider)).toMatchObject({ azp: 'browser', preferred_username: 'ada' });
    expect(await claimsFrom(provider, { token: 'id_token' })).toMatchObject({
      aud: 'browser',
      preferred_username: 'ada',
    });
    provider.close();
  });

  test('with offline_access is given an offline token', async () => {
    const { provider } = await loggedIn({ ...inBrowser(), scope: 'openid offline_access' });
    expect(await claimsFrom(provider)).toMatchObject({
      preferred_username: 'ada',
      scope: expect.stringContaining('offline_access'),
    });
    provider.close();
  });

  test('stays logged in while fifty ask at once', async () => {
    const { provider } = await loggedIn({ ...inBrowser(), scope: 'openid' });
    const all = await Promise.all(Array.from({ length: 50 }, () => claimsFrom(provider)));
    expect(new Set(all.map(({ jti }) => jti)).size).toBe(50);
    provider.close();
  });

  test('whose refresh token was used by somebody else is logged out, and told how to log in', async () => {
    const { options, logins, provider } = await loggedIn({ ...inBrowser(), scope: 'openid' });
    const [copy = expect.fail('nothing is stored')] = logins.load();
    const thief = new MemoryLoginStore();
    thief.save(copy.login, copy.token);
    const other = new OAuth2Provider(options, hostWith(thief));
    await claimsFrom(other);
    await expect(claimsFrom(provider)).rejects.toMatchObject({
      kind: 'login-expired',
      remedy: 'run: broker login corp',
    });
    provider.close();
    other.close();
  });
});

describe('the daemon', () => {
  test('exchanges the key of one credential for another (RFC 8693)', async () => {
    const home = new BrokerHome(`default = "gateway"
[providers.machine]
type = "oauth2"
issuer = "${issuer}"
client_id = "machine"
client_secret_file = "${file('secret')}"
[credentials.identity]
provider = "machine"
[providers.exchange]
type = "oauth2"
issuer = "${issuer}"
client_id = "exchanger"
client_secret_file = "${file('secret')}"
grant = "token_exchange"
subject_token_type = "access_token"
assertion = { credential = "identity" }
[credentials.gateway]
provider = "exchange"
audience = "gateway"
`);
    try {
      await home.start();
      const { code, stdout, stderr } = await home.key();
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(claimsIn(stdout)).toMatchObject({ azp: 'exchanger', aud: 'gateway' });
    } finally {
      await home.close();
    }
  });

  test('takes over a login by broker login, and serves on after kill -9', async () => {
    const home = new BrokerHome(`default = "corp"
[providers.corp]
type = "oauth2"
issuer = "${issuer}"
grant = "device_code"
client_id = "device"
scope = "openid"
[credentials.corp]
provider = "corp"
`);
    try {
      const daemon = await home.start();
      expect((await home.key()).stderr).toContain('run: broker login corp');
      let visit: Promise<unknown> | undefined;
      const onStderr = (text: string) => {
        const page = /https?:\/\/\S+device\S+(?=\n)/.exec(text)?.[0];
        if (page !== undefined) visit ??= new Browser(PERSON).visit(page);
      };
      const run = await home.brokerWith({ onStderr }, 'login', 'corp', '--no-browser');
      await visit;
      expect(run).toMatchObject({ code: 0, stdout: expect.stringContaining('logged in to corp') });
      expect(claimsIn((await home.key()).stdout)).toMatchObject({ preferred_username: 'ada' });
      await daemon.end('SIGKILL');
      await home.start();
      expect((await home.broker('refresh')).code).toBe(0);
    } finally {
      await home.close();
    }
  });
});
