import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { logInInteractively } from '../../../src/providers/oauth2/interactive.ts';
import { oauth2Definition } from '../../../src/providers/oauth2/options.ts';
import { OAuth2Provider } from '../../../src/providers/oauth2/provider.ts';
import { type LoginDialogue, lendsNothing, type ProviderHost } from '../../../src/providers/provider.ts';
import { Browser } from '../../fakes/browser.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { freePort } from '../../fakes/loopback.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { CertifiedServer, CLIENT_SECRET } from './certified-server.ts';

let server: CertifiedServer;
let folder: string;
const log = new CollectingLog();

beforeAll(async () => {
  // It says a lot about what a test does not need.
  for (const word of ['info', 'warn'] as const) vi.spyOn(console, word).mockImplementation(() => undefined);
  folder = mkdtempSync(join(tmpdir(), 'broker-oidc-'));
  server = await CertifiedServer.start();
  writeFileSync(join(folder, 'secret'), CLIENT_SECRET, { mode: 0o600 });
  writeFileSync(join(folder, 'key.pem'), server.signingKey.privateKey, { mode: 0o600 });
});

afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function hostWith(logins = new MemoryLoginStore()): ProviderHost {
  return { name: 'corp', clock: realClock, log, logins, credentials: lendsNothing, env: {}, homeDir: folder };
}

const optionsFor = (more: object) => oauth2Definition.providerSchema.parse({ issuer: server.issuer, ...more });
const sourceFor = (more: object = {}) => oauth2Definition.credentialSchema.parse(more);
const never = () => ({ signal: new AbortController().signal });

async function tokenFrom(provider: OAuth2Provider, source = sourceFor()) {
  const { content, expiresAtServerMs, serverTimeMs } = await provider.issue({ source, wantedLifeMs: 0 }, never());
  const token = content.kind === 'text' ? content.text.reveal() : expect.fail('a token is a text');
  return { token, lastsMs: (expiresAtServerMs ?? 0) - (serverTimeMs ?? 0) };
}

/** Somebody who opens the page and enters what it wants. */
function person(code?: { value: string }): LoginDialogue & { readonly pages: Promise<{ text: string }>[] } {
  const pages: Promise<{ text: string }>[] = [];
  return {
    pages,
    canAskAgain: false,
    say: (text) => {
      if (code !== undefined) code.value = text;
    },
    askPassword: () => expect.fail('nobody asks for a password'),
    askPasscode: () => expect.fail('nobody asks for a passcode'),
    chooseFactor: () => expect.fail('there is no second factor'),
    showPage: async (address) => {
      pages.push(new Browser({ login: 'ada', password: 'any' }).visit(address));
    },
  };
}

async function loggedIn(more: object) {
  const options = optionsFor(more);
  const logins = new MemoryLoginStore();
  const dialogue = person();
  using token = await logInInteractively(options, hostWith(logins), dialogue, never());
  const provider = new OAuth2Provider(options, hostWith(logins));
  await provider.takeLogin(token, never());
  return { options, logins, provider, pages: dialogue.pages };
}

const inBrowser = async () => ({
  grant: 'authorization_code',
  client_id: 'browser',
  callback_port: await freePort(),
  login_params: { prompt: 'consent' },
});

describe('a machine', () => {
  test.each([
    ['with a secret, basic', { client_id: 'machine' }],
    ['with a secret in the body', { client_id: 'machine-post', client_auth: 'post' }],
  ])('%s', async (_, more) => {
    const provider = new OAuth2Provider(
      optionsFor({ ...more, client_secret_file: join(folder, 'secret') }),
      hostWith(),
    );
    const { token, lastsMs } = await tokenFrom(provider, sourceFor({ scopes: ['api'] }));
    expect(token).toMatch(/^\S{20,}$/);
    expect(lastsMs).toBe(60_000);
    await provider.close();
  });

  test('with a key that it signs with', async () => {
    const options = optionsFor({ client_id: 'signer', private_key_file: join(folder, 'key.pem') });
    const provider = new OAuth2Provider(options, hostWith());
    expect((await tokenFrom(provider)).token).toMatch(/^\S{20,}$/);
    await provider.close();
  });

  test('with a wrong secret: told once, and not tried again', async () => {
    writeFileSync(join(folder, 'wrong'), 'canary-wrong', { mode: 0o600 });
    const options = optionsFor({ client_id: 'machine', client_secret_file: join(folder, 'wrong') });
    const provider = new OAuth2Provider(options, hostWith());
    const before = server.errors.length;
    for (let time = 0; time < 3; time += 1) {
      await expect(tokenFrom(provider)).rejects.toMatchObject({
        kind: 'login-expired',
        isRefusedLogin: true,
        message: expect.stringMatching(
          /does not accept this client, which shows itself with the file .*wrong \(invalid_client\)/,
        ),
      });
    }
    expect(server.errors.length - before).toBe(1);
    await provider.close();
  });

  test('that asks for a scope that it may not have is told so, and others go on', async () => {
    const options = optionsFor({ client_id: 'machine', client_secret_file: join(folder, 'secret') });
    const provider = new OAuth2Provider(options, hostWith());
    await expect(tokenFrom(provider, sourceFor({ scopes: 'openid' }))).rejects.toMatchObject({
      kind: 'misconfigured',
      concerns: 'secret',
    });
    expect((await tokenFrom(provider)).token).toMatch(/\S/);
    await provider.close();
  });
});

describe('a person', () => {
  test('logs in on another device; its refresh token is replaced at every use and outlives a restart', async () => {
    const { options, logins, provider, pages } = await loggedIn({ grant: 'device_code', client_id: 'device' });
    expect((await pages[0])?.text).toMatch(/sign-in success/i);
    const first = await tokenFrom(provider);
    const stored = () => logins.load().map(({ token }) => token.reveal());
    const before = stored();
    const second = await tokenFrom(provider);
    expect(second.token).not.toBe(first.token);
    expect(stored()).not.toEqual(before);
    await provider.close();
    const next = new OAuth2Provider(options, hostWith(logins));
    expect((await tokenFrom(next)).token).not.toBe(second.token);
    await next.close();
  });

  test('logs in with the browser, which comes back with a code', async () => {
    const { provider, pages } = await loggedIn(await inBrowser());
    expect((await pages[0])?.text).toContain('You are logged in');
    const [access, identity] = [await tokenFrom(provider), await tokenFrom(provider, sourceFor({ token: 'id_token' }))];
    expect(access.token).toMatch(/^\S{20,}$/);
    const claims = JSON.parse(Buffer.from(identity.token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ iss: server.issuer, aud: 'browser', sub: 'ada' });
    await provider.close();
  });

  test('stays logged in while fifty ask at once: one refresh token is on its way at a time', async () => {
    const { provider } = await loggedIn(await inBrowser());
    const before = server.errors.length;
    const tokens = await Promise.all(Array.from({ length: 50 }, () => tokenFrom(provider)));
    expect(new Set(tokens.map(({ token }) => token)).size).toBe(50);
    expect(server.errors.slice(before)).toEqual([]);
    await provider.close();
  });

  test('whose refresh token somebody else has used is logged out by the server, and told how to log in', async () => {
    const { options, logins, provider } = await loggedIn(await inBrowser());
    const [copy = expect.fail('nothing is stored')] = logins.load();
    const thief = new MemoryLoginStore();
    thief.save(copy.login, copy.token);
    const other = new OAuth2Provider(options, hostWith(thief));
    await tokenFrom(other);
    await expect(tokenFrom(provider)).rejects.toMatchObject({
      kind: 'login-expired',
      remedy: 'run: broker login corp',
      message: expect.stringContaining('the login to provider "corp" is over (invalid_grant)'),
    });
    await Promise.all([provider.close(), other.close()]);
  });

  test('a login that is given up by its asker is finished all the same', async () => {
    const { provider } = await loggedIn(await inBrowser());
    const asker = new AbortController();
    const asked = provider.issue({ source: sourceFor(), wantedLifeMs: 0 }, { signal: asker.signal });
    asker.abort(new Error('hung up'));
    await expect(asked).rejects.toThrow('hung up');
    expect((await tokenFrom(provider)).token).toMatch(/\S/);
    await provider.close();
  });
});

test('an issuer that calls itself otherwise is told as what it is', async () => {
  const issuer = server.issuer.replace('127.0.0.1', 'localhost');
  const options = optionsFor({ issuer, client_id: 'machine', client_secret_file: join(folder, 'secret') });
  const provider = new OAuth2Provider(options, hostWith());
  await expect(tokenFrom(provider)).rejects.toMatchObject({
    kind: 'misconfigured',
    message: expect.stringContaining(`calls itself ${server.issuer}`),
  });
  await provider.close();
});

test('nothing of it was logged that is secret', () => {
  expect(JSON.stringify(log)).not.toContain('canary');
});
