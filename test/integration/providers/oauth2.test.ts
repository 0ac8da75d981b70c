import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SecretBytes } from '../../../src/credential/secret.ts';
import { logInInteractively } from '../../../src/providers/oauth2/interactive.ts';
import { oauth2Definition } from '../../../src/providers/oauth2/options.ts';
import { OAuth2Provider } from '../../../src/providers/oauth2/provider.ts';
import { sealable } from '../../../src/providers/oauth2/session.ts';
import {
  type CredentialLender,
  type LoginDialogue,
  lendsNothing,
  type ProviderHost,
} from '../../../src/providers/provider.ts';
import { hasOpenssl, makeCertificate } from '../../fakes/certificates.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { freePort } from '../../fakes/loopback.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { answerJson, TokenServer } from '../../fakes/token-server.ts';

let server: TokenServer;
let folder: string;
let open: OAuth2Provider[] = [];

beforeEach(async () => {
  server = new TokenServer();
  await server.start();
  folder = mkdtempSync(join(tmpdir(), 'broker-oauth2-'));
});

afterEach(async () => {
  for (const provider of open) provider.close();
  open = [];
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content, { mode: 0o600 });
  return join(folder, name);
}

function providerWith(more: object, parts: Partial<ProviderHost> = {}): OAuth2Provider {
  const host = {
    name: 'corp',
    clock: realClock,
    log: new CollectingLog(),
    logins: new MemoryLoginStore(),
    credentials: lendsNothing,
    env: {},
    homeDir: folder,
  };
  const options = oauth2Definition.providerSchema.parse({ token_endpoint: `${server.url}/token`, ...more });
  const provider = new OAuth2Provider(options, { ...host, ...parts });
  open.push(provider);
  return provider;
}

async function tokenFrom(provider: OAuth2Provider, source: object = {}): Promise<string> {
  const request = { source: oauth2Definition.credentialSchema.parse(source), wantedLifeMs: 0 };
  const { content } = await provider.issue(request, { signal: new AbortController().signal });
  return content.kind === 'text' ? content.text.reveal() : '';
}

const form = () => Object.fromEntries(server.asked.at(-1) ?? []);
const MACHINE = { client_id: 'broker', client_secret: 'secret' };

/** Nobody has to show who they are. */
function takesEverybody(): void {
  server.behaviour = ({ response }) => answerJson(response, 200, { access_token: 'access-1', token_type: 'Bearer' });
}

describe('what is asked', () => {
  test('scopes, audiences, resources and parameters: those of the credential before those of the provider', async () => {
    const common = { scope: 'a b', audience: 'one', params: { tenant: 't1', region: 'eu' } };
    const provider = providerWith({ ...MACHINE, ...common });
    await tokenFrom(provider);
    expect(form()).toMatchObject({
      grant_type: 'client_credentials',
      scope: 'a b',
      audience: 'one',
      tenant: 't1',
      region: 'eu',
    });
    await tokenFrom(provider, {
      scopes: ['c', 'd'],
      audience: ['two', 'three'],
      resource: 'https://r',
      params: { tenant: 't2' },
    });
    expect(form()).toMatchObject({ scope: 'c d', resource: 'https://r', tenant: 't2', region: 'eu' });
    expect(server.asked.at(-1)?.getAll('audience')).toEqual(['two', 'three']);
  });

  test('an exchange without a client names none', async () => {
    takesEverybody();
    await tokenFrom(
      providerWith({ grant: 'token_exchange', assertion: { file: file('jwt', 'a.b.c') }, scope: 'all-apis' }),
    );
    expect(form()).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'a.b.c',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      scope: 'all-apis',
    });
  });

  test('a JWT bearer grant hands in what a command prints', async () => {
    server.assertions.add('a.b.c');
    const more = { ...MACHINE, grant: 'jwt_bearer', assertion: { command: ['/bin/echo', 'a.b.c'] } };
    expect(await tokenFrom(providerWith(more))).toMatch(/^access-/);
    expect(form()).toMatchObject({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: 'a.b.c' });
  });

  test('a secret comes from a variable of the daemon', async () => {
    const provider = providerWith(
      { client_id: 'broker', client_secret: { env: 'SECRET' } },
      { env: { SECRET: 'secret' } },
    );
    expect(await tokenFrom(provider)).toMatch(/^access-/);
    expect(provider.loginInputs()).toContain('SECRET');
  });

  test('a JWT of another system stands for the client', async () => {
    takesEverybody();
    await tokenFrom(providerWith({ client_id: 'broker', client_assertion: { file: file('jwt', 'a.b.c') } }));
    expect(form()).toMatchObject({
      client_id: 'broker',
      client_assertion: 'a.b.c',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    });
  });
});

describe('the key of another credential', () => {
  /** The broker's side: the first one it lends, then after a refusal the next. */
  function lender(...keys: readonly string[]): CredentialLender & { readonly refused: (string | undefined)[] } {
    const refused: (string | undefined)[] = [];
    return {
      refused,
      lend: async (_credential, _call, refusedOne) => {
        refused.push(refusedOne);
        const at = refusedOne === undefined ? 0 : Math.min(keys.indexOf(refusedOne) + 1, keys.length - 1);
        const key = keys[at] ?? '';
        return { secret: SecretBytes.fromString(key), version: key };
      },
    };
  }
  const exchanging = { ...MACHINE, grant: 'jwt_bearer', assertion: { credential: 'identity' } };

  test('is handed in; one that is refused is had once more, and a new one is used at once', async () => {
    server.assertions.add('new');
    const credentials = lender('old', 'new');
    expect(await tokenFrom(providerWith(exchanging, { credentials }))).toMatch(/^access-/);
    expect(credentials.refused).toEqual([undefined, 'old']);
  });

  test('if it is the same again, that is a refused login, told with its name', async () => {
    const credentials = lender('old');
    await expect(tokenFrom(providerWith(exchanging, { credentials }))).rejects.toMatchObject({
      kind: 'login-expired',
      isRefusedLogin: true,
      message: expect.stringContaining('does not accept the assertion from the credential "identity" (invalid_grant)'),
    });
    expect(server.asked).toHaveLength(2);
  });

  test('as a client secret, too', async () => {
    const credentials = lender('wrong', 'secret');
    const provider = providerWith(
      { client_id: 'broker', client_secret: { credential: 'corp-secret' } },
      { credentials },
    );
    expect(await tokenFrom(provider)).toMatch(/^access-/);
    expect(credentials.refused).toEqual([undefined, 'wrong']);
  });

  test('is named to the configuration, wherever it is used', () => {
    const options = oauth2Definition.providerSchema.parse({
      ...{ token_endpoint: 'https://x.example/token', client_id: 'b', grant: 'jwt_bearer' },
      ...{ client_secret: { credential: 'one' }, assertion: { credential: 'two' } },
    });
    expect(oauth2Definition.borrows?.(options)).toEqual([
      { path: ['client_secret', 'credential'], credential: 'one' },
      { path: ['assertion', 'credential'], credential: 'two' },
    ]);
  });
});

function logInAt(more: object, said: string[], showPage: LoginDialogue['showPage']) {
  const dialogue: LoginDialogue = {
    canAskAgain: false,
    say: (words) => void said.push(words),
    askPassword: () => expect.fail('nobody asks'),
    askPasscode: () => expect.fail('nobody asks'),
    chooseFactor: () => expect.fail('nobody asks'),
    showPage,
  };
  const options = oauth2Definition.providerSchema.parse({ issuer: server.url, client_id: 'broker', ...more });
  const host = { name: 'corp', clock: realClock, log: new CollectingLog(), logins: new MemoryLoginStore() };
  const rest = { credentials: lendsNothing, env: {}, homeDir: folder };
  return logInInteractively(options, { ...host, ...rest }, dialogue, { signal: new AbortController().signal });
}

describe('a browser login', () => {
  /** The person has logged in, and the browser comes back. */
  async function logIn(sentBack: (state: string) => string) {
    const more = { grant: 'authorization_code', callback_port: await freePort() };
    return await logInAt(more, [], async (address) => {
      const asked = new URL(address).searchParams;
      void fetch(`${asked.get('redirect_uri')}?${sentBack(asked.get('state') ?? '')}`).catch(() => undefined);
    });
  }

  test('at a server of OAuth alone, which has no ID tokens, needs none', async () => {
    server.behaviour = ({ response }) => answerJson(response, 200, { access_token: 'a', refresh_token: 'r-1' });
    using token = await logIn((state) => `state=${state}&code=c-1`);
    expect(Buffer.from(token.reveal(), 'base64url').toString()).toBe('{"refreshToken":"r-1"}');
  });

  test.each([
    ['without a code', ''],
    ['from another issuer', '&code=c-1&iss=https://evil.example.com'],
  ])('that comes back %s is to be tried again', async (_name, more) => {
    await expect(logIn((state) => `state=${state}${more}`)).rejects.toMatchObject({
      kind: 'login-expired',
      message: expect.stringContaining('not of this login'),
      remedy: 'try again: broker login corp',
    });
    expect(server.asked).toEqual([]);
  });
});

describe('a device login', () => {
  const said: string[] = [];

  function logIn() {
    said.length = 0;
    return logInAt({ grant: 'device_code' }, said, async (address) => void said.push(address));
  }

  /** Answers one after the other, the last one again and again. */
  function answering(...answers: readonly (readonly [status: number, body: object])[]) {
    const waiting = [...answers];
    server.behaviour = ({ response }) => {
      const [status, body] = (waiting.length > 1 ? waiting.shift() : waiting[0]) ?? [500, {}];
      answerJson(response, status, body);
    };
  }

  const pending = [400, { error: 'authorization_pending' }] as const;
  const granted = [200, { access_token: 'a', token_type: 'Bearer', refresh_token: 'r-1' }] as const;

  test('shows the page and the code, asks until somebody has entered it, and proves that it is the one who began', async () => {
    answering(pending, pending, granted);
    using token = await logIn();
    expect(said.splice(0)).toEqual([`${server.url}/page?code=ABCD`, 'The code there must be: ABCD']);
    expect(Buffer.from(token.reveal(), 'base64url').toString()).toBe('{"refreshToken":"r-1"}');
    expect(form()).toMatchObject({
      device_code: 'canary-device',
      code_verifier: expect.stringMatching(/^[\w.~-]{43,}$/),
    });
  });

  test('a server that gives no refresh token is told of, and what it gave is handed over', async () => {
    answering([200, { access_token: 'a-1', token_type: 'Bearer', expires_in: 60 }]);
    using token = await logIn();
    expect(said.splice(0).at(-1)).toContain('offline_access');
    expect(JSON.parse(Buffer.from(token.reveal(), 'base64url').toString())).toMatchObject({ accessToken: 'a-1' });
  });

  test.each([
    ['a number as text and the name of Google', { interval: '0.01', expires_in: '60', verification_uri: undefined }],
    ['no interval that could be waited and no end', { interval: 0, expires_in: undefined }],
  ])('a code with %s is shown all the same', { timeout: 20_000 }, async (_name, device) => {
    server.device = { verification_url: `${server.url}/page`, ...device };
    answering(granted);
    using token = await logIn();
    expect(said.splice(0)[0]).toBe(`${server.url}/page?code=ABCD`);
    expect(token.bytes.length).toBeGreaterThan(0);
  });

  test('a code that is over is not asked for any longer, whatever the server says', async () => {
    server.device = { expires_in: 0.3 };
    answering(pending);
    await expect(logIn()).rejects.toMatchObject({ kind: 'login-expired', message: expect.stringContaining('in time') });
  });

  test.each([
    ['authorization_declined', 'login-expired', /the login to provider "corp" was refused/],
    ['access_denied', 'login-expired', /the login to provider "corp" was refused/],
    ['expired_token', 'login-expired', /nobody completed the login in time/],
    ['invalid_client', 'login-expired', /does not accept this client/],
    ['unauthorized_client', 'misconfigured', /may not use grant device_code/],
  ])('%s ends it as %s', async (error, kind, message) => {
    answering(pending, [400, { error, error_description: 'canary-device' }]);
    const failure = await logIn().then(
      () => expect.fail('it succeeded'),
      (fault: unknown) => fault,
    );
    expect(failure).toMatchObject({
      kind,
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(/\S/),
    });
    expect(String(failure)).not.toContain('canary');
  });
});

describe('an answer that is not quite as RFC 6749 has it', () => {
  const HOUR = { access_token: 'access-1', token_type: 'Bearer', expires_in: 3600 };

  test.each<[string, object, number?]>([
    ['whose life is null', { ...HOUR, expires_in: null }],
    ['whose life is -1', { ...HOUR, expires_in: -1 }],
    ['whose life is a word', { ...HOUR, expires_in: 'never' }],
    ['whose life no calendar holds', { ...HOUR, expires_in: 9_007_199_254_740_991 }],
    ['without a type', { access_token: 'access-1' }],
    ['with a scope of null and an empty refresh token', { ...HOUR, scope: null, refresh_token: '' }],
    ['of 201', HOUR, 201],
  ])('%s is served', async (_name, body, status = 200) => {
    server.behaviour = ({ response }) => answerJson(response, status, body);
    expect(await tokenFrom(providerWith(MACHINE))).toBe('access-1');
  });

  test('a type that is no bearer token is told as what it is', async () => {
    server.behaviour = ({ response }) => answerJson(response, 200, { ...HOUR, token_type: 'mac' });
    await expect(tokenFrom(providerWith(MACHINE))).rejects.toMatchObject({
      kind: 'misconfigured',
      message: expect.stringContaining('token_type'),
    });
  });

  test.each([
    ['a bad ID token', { id_token: 'x.y' }],
    ['a type that nobody can use', { token_type: 'mac' }],
    ['no access token', { access_token: undefined }],
  ])('with %s logs nobody out: the refresh token in it is kept', async (_name, more) => {
    const person = { grant: 'device_code', client_id: 'broker', issuer: server.url, token_endpoint: undefined };
    const provider = providerWith({ ...person, client_secret: 'secret' });
    using token = sealable({ refreshToken: server.logIn() });
    await provider.takeLogin(token, { signal: new AbortController().signal });
    server.more = more;
    await expect(tokenFrom(provider)).rejects.toMatchObject({ name: 'ProviderError' });
    server.more = {};
    expect(await tokenFrom(provider)).toMatch(/^access-/);
    expect(server.reuses).toBe(0);
  });
});

describe('what an issuer tells of itself', () => {
  test('is asked again when an endpoint is not there any more', async () => {
    const provider = providerWith({ ...MACHINE, token_endpoint: undefined, issuer: server.url });
    expect(await tokenFrom(provider)).toMatch(/^access-/);
    server.behaviour = ({ request, response }) => {
      if (request.url === '/moved') answerJson(response, 200, { access_token: 'access-moved', token_type: 'Bearer' });
      else response.writeHead(404).end();
    };
    server.metadata = { token_endpoint: `${server.url}/moved` };
    await expect(tokenFrom(provider)).rejects.toMatchObject({ kind: 'transient', concerns: 'address' });
    expect(await tokenFrom(provider)).toBe('access-moved');
  });

  test('an endpoint in the clear is not used', async () => {
    server.metadata = { token_endpoint: 'http://login.example.com/token' };
    await expect(
      tokenFrom(providerWith({ ...MACHINE, token_endpoint: undefined, issuer: server.url })),
    ).rejects.toMatchObject({
      kind: 'misconfigured',
      message: expect.stringContaining('names a token_endpoint that is reached in the clear'),
    });
    expect(server.asked).toEqual([]);
  });

  test('a missing endpoint is told', async () => {
    server.metadata = { token_endpoint: undefined };
    await expect(
      tokenFrom(providerWith({ ...MACHINE, token_endpoint: undefined, issuer: server.url })),
    ).rejects.toMatchObject({
      kind: 'misconfigured',
      message: expect.stringMatching(/cannot be used with grant client_credentials: .*token_endpoint/),
      remedy: expect.stringContaining('token_endpoint'),
    });
  });
});

describe('the network', () => {
  test.runIf(hasOpenssl)(
    'a client certificate shows who the broker is, over an authority that the configuration names',
    async () => {
      const issuer = makeCertificate(folder, 'ca', { commonName: 'Example Corp Root', isAuthority: true });
      const own = makeCertificate(folder, 'server', { commonName: 'login', issuer });
      const client = makeCertificate(folder, 'client', { commonName: 'broker', issuer });
      const seen: string[] = [];
      const options = { key: own.key, cert: own.cert, ca: issuer.cert, requestCert: true, rejectUnauthorized: true };
      const tls = createServer(options, async (request, response) => {
        seen.push(
          `${(request.socket as never as { getPeerCertificate(): { subject: { CN: string } } }).getPeerCertificate().subject.CN}`,
        );
        await text(request);
        answerJson(response, 200, { access_token: 'access-1', token_type: 'Bearer', expires_in: 60 });
      });
      await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
      try {
        const token_endpoint = `https://127.0.0.1:${(tls.address() as AddressInfo).port}/token`;
        const more = {
          token_endpoint,
          client_id: 'broker',
          client_cert_file: client.certFile,
          client_key_file: client.keyFile,
        };
        expect(await tokenFrom(providerWith({ ...more, ca_file: issuer.certFile }))).toBe('access-1');
        expect(seen).toEqual(['broker']);
        await expect(tokenFrom(providerWith(more))).rejects.toMatchObject({
          kind: 'transient',
          concerns: 'address',
          message: expect.stringContaining('unknown authority'),
        });
      } finally {
        tls.closeAllConnections();
        tls.close();
      }
    },
  );

  test('a token that says nothing of its life has the life that the configuration gives it', async () => {
    takesEverybody();
    const provider = providerWith(MACHINE);
    const request = { source: oauth2Definition.credentialSchema.parse({}), wantedLifeMs: 0 };
    expect(await provider.issue(request, { signal: new AbortController().signal })).toMatchObject({
      expiresAtServerMs: undefined,
    });
  });
});
