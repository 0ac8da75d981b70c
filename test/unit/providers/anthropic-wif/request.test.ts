import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SecretBytes } from '../../../../src/credential/secret.ts';
import type { ProviderError } from '../../../../src/errors.ts';
import { wifDefinition } from '../../../../src/providers/anthropic-wif/options.ts';
import { type CredentialLender, lendsNothing, type Provider } from '../../../../src/providers/provider.ts';
import { CollectingLog } from '../../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../../fakes/memory-login-store.ts';
import { realClock } from '../../../fakes/real-clock.ts';
import { ACCOUNT, IdentityIssuer, ORGANIZATION, RULE, TokenExchangeServer } from '../../../fakes/token-exchange.ts';

const issuer = new IdentityIssuer();
let server: TokenExchangeServer;
let folder: string;
let tokenFile: string;
const open: Provider[] = [];

beforeEach(async () => {
  server = await TokenExchangeServer.start();
  folder = mkdtempSync(join(tmpdir(), 'broker-wif-'));
  tokenFile = join(folder, 'token');
  present(issuer.token());
});

afterEach(async () => {
  for (const provider of open.splice(0)) provider.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function present(token: string): void {
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
}

async function connect(options: object = {}, credentials: CredentialLender = lendsNothing): Promise<Provider> {
  const create = await wifDefinition.load();
  const configured = {
    federation_rule_id: RULE,
    organization_id: ORGANIZATION,
    service_account_id: ACCOUNT,
    identity: { file: tokenFile },
    base_url: server.url,
    ...options,
  };
  const provider = create(wifDefinition.providerSchema.parse(configured), {
    name: 'claude',
    clock: realClock,
    log: new CollectingLog(),
    logins: new MemoryLoginStore(),
    credentials,
    env: {},
    homeDir: folder,
  });
  open.push(provider);
  return provider;
}

async function read(provider: Provider, source: object = {}) {
  const request = { source: wifDefinition.credentialSchema.parse(source), wantedLifeMs: 0 };
  const { content, ...rest } = await provider.issue(request, { signal: new AbortController().signal });
  return { ...rest, token: content.kind === 'text' ? content.text.reveal() : undefined };
}

async function failure(provider: Provider, source: object = {}): Promise<ProviderError> {
  return await read(provider, source).then(
    () => expect.fail('it succeeded'),
    (reason) => reason,
  );
}

test.each([undefined, 'wrkspc_01Test'])(
  'the request is that of @anthropic-ai/sdk, byte for byte where it matters (workspace %s)',
  async (workspace) => {
    server.exchange.takesOnce = false;
    await read(await connect(), workspace === undefined ? {} : { workspace_id: workspace });
    const env = {
      ANTHROPIC_FEDERATION_RULE_ID: RULE,
      ANTHROPIC_ORGANIZATION_ID: ORGANIZATION,
      ANTHROPIC_SERVICE_ACCOUNT_ID: ACCOUNT,
      ANTHROPIC_IDENTITY_TOKEN_FILE: tokenFile,
      ANTHROPIC_CONFIG_DIR: folder,
      ...(workspace === undefined ? {} : { ANTHROPIC_WORKSPACE_ID: workspace }),
    };
    await asTheSdk(env);
    const [ours, theirs] = server.exchange.seen;
    expect(theirs?.status).toBe(200);
    expect(ours?.text).toBe(theirs?.text);
    for (const part of ['method', 'path'] as const) expect(ours?.[part]).toBe(theirs?.[part]);
    for (const header of ['content-type', 'anthropic-beta', 'content-length', 'authorization', 'x-api-key']) {
      expect(ours?.headers[header], header).toBe(theirs?.headers[header]);
    }
  },
);

/** The exchange that the SDK makes before its first request, of which only that is wanted. */
async function asTheSdk(variables: Readonly<Record<string, string>>): Promise<void> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('ANTHROPIC_'));
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  for (const name of names) delete process.env[name];
  Object.assign(process.env, variables);
  try {
    await new Anthropic({ baseURL: server.url, maxRetries: 0 }).models.list().catch(() => undefined);
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

test('the token is the key, and lives as long as the answer says from the start of the request on', async () => {
  const { token, expiresAtServerMs = 0, serverTimeMs = 0, lease, version } = await read(await connect());
  expect(token).toMatch(/^sk-ant-oat01-/);
  expect(expiresAtServerMs - serverTimeMs).toBe(600_000);
  expect({ lease, version }).toEqual({ lease: undefined, version: undefined });
});

test('the file is read again for every exchange', async () => {
  const provider = await connect();
  await read(provider);
  present(issuer.token());
  await read(provider);
  const [first, second] = server.exchange.seen.map(({ form }) => form['assertion']);
  expect(second).not.toBe(first);
});

test('an identity token that was exchanged before is told as that, and its replacement is taken', async () => {
  const provider = await connect();
  await read(provider);
  expect(await failure(provider)).toMatchObject({
    kind: 'login-expired',
    concerns: 'login',
    message:
      'Anthropic does not take the identity token again, with which a token was issued before (401 authentication_error): Authentication failed',
    remedy: `let the file ${tokenFile} have a new one: each can be exchanged once`,
  });
  expect(provider.loginInputs()).toEqual([tokenFile]);
  present(issuer.token());
  await read(provider);
});

test.each([
  [{ exp: 1_700_000_000 }, 'login-expired', 'says that the identity token has expired'],
  [{ nbf: 4_000_000_000, exp: 4_000_000_100 }, 'transient', 'finds that the identity token is not valid yet'],
  [{ iss: 'https://other.example.com' }, 'login-expired', 'does not accept the identity token'],
])('its own claims say why %j is not accepted: %s', async (claims, kind, words) => {
  present(issuer.token(claims));
  const error = await failure(await connect());
  expect(error).toMatchObject({ kind, concerns: 'login', message: expect.stringContaining(words) });
});

test('what has to be compared with the rule is shown, and nothing of the signature', async () => {
  present(issuer.token({ iss: 'https://other.example.com' }));
  const { remedy, message } = await failure(await connect());
  expect(remedy).toContain('iss https://other.example.com, sub system:serviceaccount:dev:claude, aud https://api.');
  expect(`${message} ${remedy}`).not.toMatch(/eyJ/);
});

test.each([
  ['not.a.jwt', 'misconfigured', 'is not a JWT'],
  [`${issuer.token({ padding: 'x'.repeat(17_000) })}`, 'misconfigured', 'has 23 KiB, and Anthropic takes at most 16'],
])('%.12s… is not sent: %s', async (token, kind, words) => {
  present(token);
  expect(await failure(await connect())).toMatchObject({ kind, message: expect.stringContaining(words) });
  expect(server.exchange.seen).toEqual([]);
});

test.each([
  [{ federation_rule_id: 'fdrl_02Other' }, 'misconfigured', 'check federation_rule_id, organization_id'],
  [{ service_account_id: 'svac_02Other' }, 'denied', 'have an administrator'],
])('%j is %s', async (options, kind, remedy) => {
  const error = await failure(await connect(options));
  expect(error).toMatchObject({ kind, concerns: 'login', remedy: expect.stringContaining(remedy) });
});

type Sent = readonly [status: number, body: unknown, headers?: Readonly<Record<string, string>>];

function answering([status, body, headers = {}]: Sent): void {
  server.exchange.fault = (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

const said = (type: string, message = type) => ({ type: 'error', error: { type, message } });

test.each<readonly [Sent, string, object]>([
  [[429, said('rate_limit_error'), { 'retry-after': '7' }], 'transient', { retryAfterMs: 7000, isOverloaded: true }],
  [[529, said('overloaded_error')], 'transient', { isOverloaded: true }],
  [[500, said('api_error')], 'transient', { isOverloaded: true }],
  [[400, { error: 'invalid_grant', error_description: 'assertion has expired' }], 'login-expired', {}],
  [[400, { error: 'invalid_grant', error_description: 'assertion is not yet valid' }], 'transient', {}],
  [[400, { error: 'invalid_request', error_description: 'workspace_id is required' }], 'misconfigured', {}],
  [[404, said('not_found_error', 'federation rule not found')], 'misconfigured', {}],
  [[401, said('authentication_error', 'federation rule fdrl_01Test is archived')], 'misconfigured', {}],
  [[403, said('permission_error')], 'denied', {}],
  [[401, '<html>sign in</html>', { 'content-type': 'text/html' }], 'transient', { concerns: 'address' }],
  [[403, { error: { code: 403 } }], 'transient', { concerns: 'address' }],
  [[401, {}], 'transient', { concerns: 'address' }],
  [[404, { message: 'no route' }], 'transient', { concerns: 'address' }],
  [[302, '', { location: 'https://login.example.com/x?y' }], 'transient', { concerns: 'address' }],
  [[200, {}], 'transient', { concerns: 'address' }],
  [[200, { access_token: 'sk-ant-oat01-x', token_type: 'mac', expires_in: 60 }], 'transient', {}],
  [[200, { access_token: 'sk-ant-oat01-x', token_type: 'Bearer' }], 'transient', {}],
])('%j is %s', async (sent, kind, more) => {
  answering(sent);
  expect(await failure(await connect())).toMatchObject({ kind, remedy: expect.stringMatching(/\S/), ...more });
});

test('a redirect is not followed', async () => {
  const other = await TokenExchangeServer.start();
  answering([307, '', { location: `${other.url}/v1/oauth/token` }]);
  await failure(await connect());
  expect(other.exchange.seen).toEqual([]);
  await other.stop();
});

test('what the endpoint repeats of the identity token is not shown', async () => {
  const token = issuer.token();
  present(token);
  answering([401, said('authentication_error', `bad assertion ${token} with ${token.slice(-40)}`)]);
  const { message, remedy } = await failure(await connect());
  expect(`${message} ${remedy}`).not.toContain(token.slice(-30));
});

/** Keys as a credential has them: another one after each that was handed in as used. */
function lender() {
  const asked: (string | undefined)[] = [];
  let current = issuer.token();
  const lend: CredentialLender['lend'] = async (_name, _call, refused) => {
    asked.push(refused);
    if (refused === current) current = issuer.token();
    return { secret: SecretBytes.fromString(current), version: current };
  };
  return { asked, lend };
}

test('of another credential a new identity token is asked for once one was exchanged', async () => {
  const credentials = lender();
  const provider = await connect({ identity: { credential: 'jwt' } }, credentials);
  await read(provider);
  await read(provider);
  expect(credentials.asked).toEqual([undefined, server.exchange.seen[0]?.form['assertion']]);
  expect(server.exchange.seen.map(({ status }) => status)).toEqual([200, 200]);
});

test('one that another process has exchanged before is replaced, once', async () => {
  const credentials = lender();
  await read(await connect({ identity: { credential: 'jwt' } }, credentials));
  await read(await connect({ identity: { credential: 'jwt' } }, credentials));
  expect(server.exchange.seen.map(({ status }) => status)).toEqual([200, 401, 200]);
  server.exchange.issuer = 'https://elsewhere.example.com';
  await failure(await connect({ identity: { credential: 'jwt' } }, credentials));
  expect(server.exchange.seen.slice(3).map(({ status }) => status)).toEqual([401, 401]);
});

test('a command is run for each exchange', async () => {
  const script = join(folder, 'issue');
  writeFileSync(script, `#!/bin/sh\ncat ${tokenFile}\n`, { mode: 0o700 });
  expect((await read(await connect({ identity: { command: [script] } }))).token).toMatch(/^sk-ant-oat01-/);
});

test.each([
  [{ federation_rule_id: 'rule' }, 'fdrl_'],
  [{ organization_id: 'mine' }, 'UUID'],
  [{ service_account_id: 'me' }, 'svac_'],
  [{ base_url: 'http://api.anthropic.com' }, 'https'],
  [{ workspace_id: 'main' }, 'wrkspc_'],
])('%j is refused', (wrong, words) => {
  const good = {
    federation_rule_id: RULE,
    organization_id: ORGANIZATION,
    service_account_id: ACCOUNT,
    identity: { file: '/token' },
  };
  expect(wifDefinition.providerSchema.safeParse(good).success).toBe(true);
  const { error } = wifDefinition.providerSchema.safeParse({ ...good, ...wrong });
  expect(error?.issues.map(({ message }) => message).join()).toContain(words);
});
