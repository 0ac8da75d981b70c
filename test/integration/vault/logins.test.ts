import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SecretBytes } from '../../../src/credential/secret.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { failure, fields, HOUR_MS, read, VaultFixture } from './vault-fixture.ts';

const LOGIN = /POST auth\/approle\/login/;
const LOOKUP = /GET auth\/token\/lookup-self/;
const RENEWAL = /POST auth\/token\/renew-self/;
const GRANT = { ttlMs: HOUR_MS, maxTtlMs: 24 * HOUR_MS };

async function start(): Promise<VaultFixture> {
  const fixture = await VaultFixture.start({ namespaces: ['team-a', 'team-b'] });
  fixture.vault.kv.writeV1('kv/claude', { key: 'sk-1' });
  fixture.vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 4 * HOUR_MS });
  return fixture;
}

describe('a login', () => {
  test('is taken once for many credentials at once, and again once when it is lost', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    await Promise.all(Array.from({ length: 20 }, () => read(provider, 'kv/claude')));
    expect(fixture.vault.count(LOGIN)).toBe(1);
    for (const { id } of fixture.vault.tokens.live()) if (id !== 'dev-root') fixture.vault.tokens.revoke(id);
    fixture.clock.pass(10_000);
    await Promise.all(Array.from({ length: 20 }, () => read(provider, 'kv/claude')));
    expect(fixture.vault.count(LOGIN)).toBe(2);
  });

  test('outlives a restart: the next provider neither logs in nor looks up', async () => {
    const fixture = await start();
    (await fixture.withAppRole(GRANT)).close();
    const first = await fixture.withAppRole(GRANT);
    await read(first, 'kv/claude');
    first.close();
    const before = fixture.vault.seen.length;
    await read(await fixture.withAppRole(GRANT), 'kv/claude');
    expect(fixture.vault.seen.slice(before).map(({ path }) => path)).toEqual(['kv/claude']);
  });

  test.each([
    { name: 'a period of 20 s, a wrapped secret-id', grant: { periodMs: 20_000 }, wrapped: true },
    { name: 'a ttl of 40 s, at most 24 h', grant: { ttlMs: 40_000, maxTtlMs: 24 * HOUR_MS }, wrapped: false },
  ])('that was renewed before a restart is renewed on after it ($name)', async ({ grant, wrapped }) => {
    const fixture = await start();
    const role_id = fixture.vault.logins.appRole('laptop', { policies: ['reader'], ...grant });
    const handed = wrapped ? fixture.vault.wrapSecretId('laptop') : fixture.vault.logins.secretId('laptop');
    const secret_id_file = await fixture.file('secret-id', handed);
    const auth = { method: 'approle', role_id, secret_id_file, secret_id_wrapped: wrapped };
    fixture.vault.engines.role('brief', { ttlMs: 30_000, maxTtlMs: 24 * HOUR_MS });
    let provider = await fixture.provider({ options: { auth } });
    const { lease } = await read(provider, 'apikeys/creds/brief', undefined, 0);
    const lastsMs = grant.periodMs ?? grant.ttlMs ?? 0;
    for (const restarts of [false, false, false, true, false, true, false, false]) {
      fixture.clock.pass(lastsMs * 0.6);
      if (restarts) {
        provider.close();
        provider = await fixture.provider({ options: { auth } });
      }
      await read(provider, 'kv/claude', undefined, 0);
    }
    expect(fixture.vault.count(RENEWAL)).toBe(8);
    expect(fixture.vault.count(LOGIN)).toBe(1);
    expect(fixture.vault.count(/sys\/wrapping\/unwrap/)).toBe(wrapped ? 1 : 0);
    expect(provider.login?.(lease?.loginId ?? '')).toMatchObject({ grantedMs: lastsMs, maxExpiresAtMs: undefined });
  });

  test('that a person made is renewed on after a restart, to its max TTL', async () => {
    const fixture = await start();
    const [ttlMs, maxTtlMs] = [40_000, HOUR_MS / 4];
    const auth = { method: 'userpass', username: 'ada' };
    const made = fixture.vault.tokens.create({ policies: ['reader'], ttlMs, maxTtlMs }, 'auth/userpass/login/ada');
    let provider = await fixture.provider({ options: { auth } });
    await provider.takeLogin?.(SecretBytes.fromString(made.id), call());
    for (let renewals = 0; fixture.clock.now() < made.createdAtMs + maxTtlMs - ttlMs; renewals += 1) {
      if (renewals === 4 || renewals === 20) {
        provider.close();
        provider = await fixture.provider({ options: { auth } });
      }
      fixture.clock.pass(ttlMs * 0.6);
      await read(provider, 'kv/claude');
    }
    fixture.clock.pass(ttlMs);
    expect(await failure(read(provider, 'kv/claude'))).toMatchObject({ kind: 'login-expired' });
  });

  test('that a version of the program stored which did not note what was granted is renewed, and noted', async () => {
    const fixture = await start();
    const first = await fixture.withAppRole(GRANT);
    await read(first, 'kv/claude');
    first.close();
    for (const { login, token } of fixture.logins.load()) {
      fixture.logins.save({ ...login, grantedMs: undefined }, token);
    }
    await read(await fixture.withAppRole(GRANT), 'kv/claude');
    expect(fixture.vault.count(RENEWAL)).toBe(1);
    expect(fixture.logins.load()[0]?.login.grantedMs).toBe(HOUR_MS);
  });

  test('that expired meanwhile is not taken from the store, and goes from it', async () => {
    const fixture = await start();
    const first = await fixture.withAppRole(GRANT);
    await read(first, 'kv/claude');
    first.close();
    const stale = fixture.logins.load()[0]?.login.id ?? '';
    fixture.clock.pass(2 * HOUR_MS);
    await read(await fixture.withAppRole(GRANT), 'kv/claude');
    expect(fixture.vault.count(LOGIN)).toBe(2);
    expect(fixture.logins.load().map(({ login }) => login.id)).not.toContain(stale);
  });

  test('is renewed past its half, by a read', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    await read(provider, 'kv/claude');
    fixture.clock.pass(0.4 * HOUR_MS);
    await read(provider, 'kv/claude');
    expect(fixture.vault.count(RENEWAL)).toBe(0);
    for (let night = 0; night < 10; night += 1) {
      fixture.clock.pass(0.55 * HOUR_MS);
      await read(provider, 'kv/claude');
    }
    expect(fixture.vault.count(RENEWAL)).toBe(10);
    expect(fixture.vault.count(LOGIN)).toBe(1);
  });

  test('that a wanted life would outlive has a successor; the old one stays until it is retired', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole({ ttlMs: HOUR_MS, maxTtlMs: HOUR_MS });
    const first = await read(provider, 'apikeys/creds/hourly', undefined, HOUR_MS);
    const early = await read(provider, 'apikeys/creds/hourly', undefined, 4 * HOUR_MS);
    expect(early.lease?.loginId).toBe(first.lease?.loginId);
    fixture.clock.pass(0.7 * HOUR_MS);
    const second = await read(provider, 'apikeys/creds/hourly', undefined, HOUR_MS / 2);
    const [oldId, newId] = [first.lease?.loginId ?? '', second.lease?.loginId ?? ''];
    expect(newId).not.toBe(oldId);
    expect(fixture.vault.count(LOGIN)).toBe(2);
    expect(provider.login?.(oldId)).toMatchObject({ id: oldId, ours: true });
    expect(fixture.vault.leases.find(first.lease?.id ?? '')).toBeDefined();
    await provider.retireLogin?.(oldId, call());
    expect(provider.login?.(oldId)).toBeUndefined();
    expect(fixture.vault.leases.find(first.lease?.id ?? '')).toBeUndefined();
    expect(fixture.vault.leases.find(second.lease?.id ?? '')).toBeDefined();
    await provider.retireLogin?.(newId, call());
    expect(provider.login?.(newId)).toBeDefined();
  });

  test('shows its max TTL when a renewal falls short', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole({ ttlMs: HOUR_MS, maxTtlMs: 1.5 * HOUR_MS });
    const { lease } = await read(provider, 'apikeys/creds/hourly');
    const id = lease?.loginId ?? '';
    expect(provider.login?.(id)?.maxExpiresAtMs).toBeUndefined();
    fixture.clock.pass(0.8 * HOUR_MS);
    const renewed = await provider.renewLogin?.(id, call());
    expect((renewed?.maxExpiresAtMs ?? 0) - fixture.clock.now()).toBeCloseTo(0.7 * HOUR_MS, -4);
    expect(fixture.logins.load()[0]?.login).toEqual(renewed);
  });

  test('that Vault does not know any more cannot be renewed', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    const { lease } = await read(provider, 'apikeys/creds/hourly');
    for (const { id } of fixture.vault.tokens.live()) if (id !== 'dev-root') fixture.vault.tokens.revoke(id);
    const id = lease?.loginId ?? '';
    expect(await failure(provider.renewLogin?.(id, call()) ?? Promise.resolve())).toMatchObject({ kind: 'gone' });
    expect(provider.login?.(id)).toBeUndefined();
    expect(await failure(provider.renewLogin?.(id, call()) ?? Promise.resolve())).toMatchObject({ kind: 'gone' });
  });

  test('that is denied a path is asked about once, and kept', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    await read(provider, 'kv/claude');
    fixture.clock.pass(10_000);
    const error = await failure(read(provider, 'sys/policies/acl/root'));
    expect(error).toMatchObject({ kind: 'denied', exitCode: 77 });
    expect(error.remedy).toMatch(/allow read on sys\/policies/);
    expect(fixture.vault.count(LOGIN)).toBe(1);
    expect(fixture.vault.count(LOOKUP)).toBe(1);
  });

  test('whose policy lacks even lookup-self is denied, not lost, after one more login', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole({ ...GRANT, noDefaultPolicy: true });
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
    expect(await failure(read(provider, 'sys/policies/acl/root'))).toMatchObject({ kind: 'denied' });
    expect(fixture.vault.count(LOGIN)).toBe(2);
  });

  test('on a cluster whose standbys lag is tried again on the same token', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    const body = JSON.stringify({ errors: ['permission denied'] });
    fixture.vault.faults.plan({ kind: 'answer', status: 403, body }, { path: /^kv/, times: 2 });
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
    expect(fixture.vault.count(LOGIN)).toBe(1);
    expect(fixture.vault.count(LOOKUP)).toBe(0);
  });

  test('repeats the state it has seen, and waits for a standby that lacks it', async () => {
    const fixture = await VaultFixture.start({ sendsIndex: true });
    fixture.vault.kv.writeV1('kv/claude', { key: 'sk' });
    const provider = await fixture.withAppRole(GRANT);
    const body = JSON.stringify({ errors: ['required index state not present'] });
    fixture.vault.faults.plan({ kind: 'answer', status: 412, body }, { path: /^kv/ });
    await read(provider, 'kv/claude');
    const [login, first, second] = fixture.vault.seen.map(({ headers }) => headers['x-vault-index']);
    expect([login, first, second]).toEqual([undefined, 'v1:1', 'v1:1']);
    fixture.vault.faults.plan({ kind: 'answer', status: 412, body }, { path: /^kv/, times: 9 });
    expect(await failure(read(provider, 'kv/claude'))).toMatchObject({ kind: 'transient' });
  });
});

describe('refused logins', () => {
  test.each([
    ['a spent secret-id', 400, 'invalid role or secret ID', 'login-expired', /renew the secret/],
    ['no role-id', 400, 'missing role_id', 'misconfigured', /role/],
    ['an unknown JWT role', 400, 'role "ci" could not be found', 'misconfigured', /role/],
    [
      'an address that is not bound',
      403,
      'permission denied',
      'login-expired',
      /mounted at approle\/: .*renew its secret/,
    ],
    ['a name that cannot be', 404, 'unsupported path', 'misconfigured', /names in \[providers\.prod\.auth\]/],
    ['a namespace that is not there', 404, 'namespace not found', 'misconfigured', /correct namespace/],
    ['a mount that is not there', 404, 'no handler for route "auth/approle/login"', 'misconfigured', /mount/],
    ['a sealed Vault', 503, 'Vault is sealed', 'transient', /unseal/],
    ['too many', 429, 'rate limit quota exceeded', 'transient', /quota/],
  ])('%s', async (_name, status, words, kind, remedy) => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    const secretId = await import('node:fs').then(({ readFileSync }) =>
      readFileSync(`${fixture.folder}/secret-id`, 'utf8'),
    );
    const body = JSON.stringify({ errors: [`${words} (${secretId})`] });
    fixture.vault.faults.plan({ kind: 'answer', status, body }, { path: /login/ });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error.kind).toBe(kind);
    expect(error.message).toContain(words.slice(0, 12));
    expect(error.message).not.toContain(secretId);
    expect(error.remedy).toMatch(remedy);
  });

  test('a missing secret-id file says which, and a new one mends it', async () => {
    const fixture = await start();
    const role_id = fixture.vault.logins.appRole('broker', { ...GRANT, policies: ['reader'] });
    const secret_id_file = `${fixture.folder}/late-secret-id`;
    const provider = await fixture.provider({ options: { auth: { method: 'approle', role_id, secret_id_file } } });
    expect(provider.loginInputs()).toEqual([secret_id_file]);
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'login-expired', exitCode: 77 });
    expect(`${error.message} ${error.remedy}`).toContain(secret_id_file);
    await fixture.file('late-secret-id', fixture.vault.logins.secretId('broker'));
    provider.forgetLogin();
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
  });
});

describe('AppRole', () => {
  test('a wrapped secret-id is unwrapped once, remembered, and its file removed if so wished', async () => {
    const fixture = await start();
    const role_id = fixture.vault.logins.appRole('broker', { ...GRANT, policies: ['reader'] });
    const secret_id_file = await fixture.file('wrapped', fixture.vault.wrapSecretId('broker'));
    const wishes = { secret_id_wrapped: true, remove_secret_id_file: true };
    const auth = { method: 'approle', role_id, secret_id_file, ...wishes };
    const provider = await fixture.provider({ options: { auth } });
    await read(provider, 'kv/claude');
    expect(existsSync(secret_id_file)).toBe(false);
    provider.forgetLogin();
    await read(provider, 'kv/claude');
    expect(fixture.vault.count(/sys\/wrapping\/unwrap/)).toBe(1);
    expect(fixture.vault.count(LOGIN)).toBe(2);
  });

  test('a wrapping token that somebody has used says so', async () => {
    const fixture = await start();
    const role_id = fixture.vault.logins.appRole('broker', GRANT);
    const secret_id_file = await fixture.file('wrapped', 'hvs.somebodyelsehasusedthis');
    const auth = { method: 'approle', role_id, secret_id_file, secret_id_wrapped: true };
    const error = await failure(read(await fixture.provider({ options: { auth } }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'login-expired' });
    expect(error.message).toMatch(/wrapping token is spent, expired or forged/);
    expect(error.remedy).toMatch(/somebody else has/);
  });

  test.each([
    [true, /holds a secret-id as it is/, 'remove secret_id_wrapped from [providers.prod.auth]'],
    [false, /holds a wrapping token/, 'add secret_id_wrapped = true to [providers.prod.auth]'],
  ])('a secret-id of the wrong form (secret_id_wrapped = %s) is no wrong login', async (wrapped, message, remedy) => {
    const fixture = await start();
    const role_id = fixture.vault.logins.appRole('broker', GRANT);
    const handed = wrapped ? fixture.vault.logins.secretId('broker') : fixture.vault.wrapSecretId('broker');
    const secret_id_file = await fixture.file('secret-id', handed);
    const auth = { method: 'approle', role_id, secret_id_file, secret_id_wrapped: wrapped };
    const error = await failure(read(await fixture.provider({ options: { auth } }), 'kv/claude'));
    expect(error).toMatchObject({ kind: 'login-expired', message: expect.stringMatching(message), remedy });
    expect(fixture.vault.count(/sys\/wrapping\/unwrap/)).toBe(0);
    expect(fixture.vault.count(LOGIN)).toBe(0);
  });

  test('a role without secret-ids needs none; a role-id may lie in a file', async () => {
    const fixture = await start();
    const roleId = fixture.vault.logins.appRole('open', { ...GRANT, policies: ['reader'] }, { bindSecretId: false });
    const role_id_file = await fixture.file('role-id', `${roleId}\n`);
    const provider = await fixture.provider({ options: { auth: { method: 'approle', role_id_file } } });
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
  });
});

describe('other methods', () => {
  test('ldap and jwt', async () => {
    const fixture = await start();
    const grant = { ...GRANT, policies: ['reader'] };
    fixture.vault.logins.user('ldap', 'ada', 'geheim', grant);
    fixture.vault.logins.jwtRole('jwt', 'ci', 'eyJ.ci.token', grant);
    const jwt_file = await fixture.file('jwt', 'eyJ.ci.token\n');
    const ldap = { method: 'ldap', username: 'ada', password: 'geheim' };
    for (const auth of [ldap, { method: 'jwt', role: 'ci', jwt_file }]) {
      const provider = await fixture.provider({ options: { auth }, logins: new MemoryLoginStore() });
      await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
    }
  });

  test('a batch token is not renewed, and no lease outlives it', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole({ ttlMs: HOUR_MS / 2, type: 'batch' });
    const { lease } = await read(provider, 'apikeys/creds/hourly');
    const login = provider.login?.(lease?.loginId ?? '');
    expect(login).toMatchObject({ renewable: false, ours: true, maxExpiresAtMs: login?.expiresAtMs });
    // Without an accessor it is named at random: a digest of it would be one of a secret.
    expect(login?.id).toMatch(/^token-[0-9a-f-]{36}$/);
    expect(lease?.durationMs).toBeLessThanOrEqual(HOUR_MS / 2);
    await read(provider, 'kv/claude', undefined, 4 * HOUR_MS);
    expect(fixture.vault.count(LOGIN)).toBe(1);
    fixture.clock.pass(0.3 * HOUR_MS);
    await read(provider, 'kv/claude', undefined, HOUR_MS / 4);
    expect(fixture.vault.count(RENEWAL)).toBe(0);
    expect(fixture.vault.count(LOGIN)).toBe(2);
  });

  test('a second factor is a matter for the configuration', async () => {
    const fixture = await start();
    const provider = await fixture.withAppRole(GRANT);
    const auth = { client_token: '', mfa_requirement: { mfa_request_id: '1' } };
    fixture.vault.faults.plan({ kind: 'answer', status: 200, body: JSON.stringify({ request_id: '1', auth }) });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'misconfigured', message: expect.stringContaining('second factor') });
  });
});

describe('a token that was handed in', () => {
  test('comes from token, token_file, VAULT_TOKEN, ~/.vault-token, in that order', async () => {
    const fixture = await start();
    const token = () => fixture.vault.createToken({ policies: ['reader'], ttlMs: HOUR_MS }).id;
    const tokens = { inline: token(), file: token(), env: token(), home: token() };
    const token_file = await fixture.file('token', `${tokens.file}\n`);
    await fixture.file('.vault-token', tokens.home);
    const env = { VAULT_TOKEN: tokens.env };
    const used = async (auth: object, variables: Record<string, string>) => {
      const provider = await fixture.provider({ options: { auth: { method: 'token', ...auth } }, env: variables });
      await read(provider, 'kv/claude');
      return { token: fixture.vault.seen.at(-1)?.headers['x-vault-token'], inputs: provider.loginInputs() };
    };
    expect((await used({ token: tokens.inline }, env)).token).toBe(tokens.inline);
    expect(await used({ token_file }, env)).toEqual({ token: tokens.file, inputs: [token_file] });
    expect((await used({}, env)).token).toBe(tokens.env);
    expect(await used({}, {})).toEqual({
      token: tokens.home,
      inputs: ['VAULT_TOKEN', `${fixture.folder}/.vault-token`],
    });
  });

  test('none at all says what to run', async () => {
    const fixture = await start();
    const error = await failure(read(await fixture.provider({ options: { auth: { method: 'token' } } }), 'kv/claude'));
    expect(error).toMatchObject({
      kind: 'login-expired',
      exitCode: 77,
      remedy: expect.stringContaining('vault login'),
    });
  });

  test('is renewed, never revoked, and looked up once', async () => {
    const fixture = await start();
    const { id } = fixture.vault.createToken({ policies: ['reader'], periodMs: HOUR_MS });
    const provider = await fixture.provider({ options: { auth: { method: 'token', token: id } } });
    const { lease } = await read(provider, 'apikeys/creds/hourly');
    const login = provider.login?.(lease?.loginId ?? '');
    expect(login).toMatchObject({ ours: false, renewable: true, maxExpiresAtMs: undefined });
    fixture.clock.pass(0.6 * HOUR_MS);
    await read(provider, 'kv/claude');
    expect(fixture.vault.count(RENEWAL)).toBe(1);
    expect(fixture.vault.count(LOOKUP)).toBe(1);
    provider.forgetLogin();
    await provider.retireLogin?.(login?.id ?? '', call());
    expect(fixture.vault.tokens.find(id)).toBeDefined();
    expect(fixture.vault.count(/revoke-self/)).toBe(0);
  });

  test('with an explicit maximum says when it ends for good', async () => {
    const fixture = await start();
    const { id } = fixture.vault.createToken({ policies: ['reader'], ttlMs: HOUR_MS, explicitMaxTtlMs: 2 * HOUR_MS });
    const provider = await fixture.provider({ options: { auth: { method: 'token', token: id } } });
    const { lease } = await read(provider, 'apikeys/creds/hourly');
    const end = provider.login?.(lease?.loginId ?? '')?.maxExpiresAtMs ?? 0;
    expect(Math.abs(end - fixture.clock.now() - 2 * HOUR_MS)).toBeLessThan(60_000);
  });

  test('that is over is named with its source; a new one in the same file is taken up', async () => {
    const fixture = await start();
    const { id } = fixture.vault.createToken({ policies: ['reader'], ttlMs: HOUR_MS });
    const token_file = await fixture.file('token', id);
    const provider = await fixture.provider({ options: { auth: { method: 'token', token_file } } });
    await read(provider, 'kv/claude');
    fixture.vault.tokens.revoke(id);
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'login-expired', exitCode: 77 });
    expect(error.message).toContain(token_file);
    expect(`${error.message}${error.remedy}`).not.toContain(id);
    const sinceLost = fixture.vault.seen.length;
    expect(await failure(read(provider, 'kv/claude'))).toMatchObject({ kind: 'login-expired' });
    expect(fixture.vault.seen.length - sinceLost).toBe(1);
    await fixture.file('token', fixture.vault.createToken({ policies: ['reader'], ttlMs: HOUR_MS }).id);
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
  });

  test('that an older Vault refuses in fewer words is told apart by the read', async () => {
    const fixture = await start();
    const provider = await fixture.provider({ options: { auth: { method: 'token', token: 'hvs.long-forgotten' } } });
    const body = JSON.stringify({ errors: ['permission denied'] });
    fixture.vault.faults.plan({ kind: 'answer', status: 403, body }, { times: Number.POSITIVE_INFINITY });
    const error = await failure(read(provider, 'kv/claude'));
    expect(error).toMatchObject({ kind: 'login-expired', message: expect.stringContaining('[providers.prod.auth]') });
  });

  test('whose policy denies lookup-self works all the same', async () => {
    const fixture = await start();
    const { id } = fixture.vault.createToken({ policies: ['reader'], ttlMs: HOUR_MS, noDefaultPolicy: true });
    const provider = await fixture.provider({ options: { auth: { method: 'token', token: id } } });
    await expect(read(provider, 'kv/claude')).resolves.toBeDefined();
  });
});

describe('a namespace', () => {
  test('is used for login and read, and may differ for a credential', async () => {
    const fixture = await start();
    fixture.vault.kv.writeV1('kv/claude', { key: 'sk-a' }, 'team-a');
    fixture.vault.kv.writeV1('kv/claude', { key: 'sk-b' }, 'team-b');
    const provider = await fixture.withAppRole({ ...GRANT, namespace: 'team-a' }, { options: {} });
    expect(await failure(read(provider, 'kv/claude'))).toMatchObject({ kind: 'login-expired' });
    const role_id = fixture.vault.logins.appRole('inner', { ...GRANT, policies: ['reader'], namespace: 'team-a' });
    const secret_id_file = await fixture.file('inner', fixture.vault.logins.secretId('inner'));
    const auth = { method: 'approle', role_id, secret_id_file };
    const options = { namespace: '/team-a/', auth };
    const inner = await fixture.provider({ options, logins: new MemoryLoginStore() });
    expect(fields(await read(inner, 'kv/claude'))).toEqual({ key: 'sk-a' });
    const root = await fixture.provider({ logins: new MemoryLoginStore() });
    expect(fields(await read(root, { path: 'kv/claude', namespace: 'team-b' }))).toEqual({ key: 'sk-b' });
  });
});

test('what the process has in its environment changes nothing, and DEBUG prints nothing', async () => {
  const fixture = await start();
  const poison = {
    VAULT_TOKEN: 'hvs.of-the-process',
    VAULT_NAMESPACE: 'of-the-process',
    VAULT_ADDR: 'http://127.0.0.1:9',
    VAULT_PREFIX: '/of-the-process',
    VAULT_SKIP_VERIFY: 'true',
    HTTP_PROXY: 'http://127.0.0.1:9',
    http_proxy: 'http://127.0.0.1:9',
  };
  const before = { ...process.env };
  Object.assign(process.env, poison);
  try {
    const provider = await fixture.withAppRole(GRANT, { log: new CollectingLog() });
    await read(provider, 'kv/claude');
    for (const { headers, path } of fixture.vault.seen) {
      expect(headers['x-vault-namespace']).toBeUndefined();
      expect(headers['x-vault-token']).not.toBe(poison.VAULT_TOKEN);
      expect(path).not.toContain('of-the-process');
    }
  } finally {
    for (const name of Object.keys(poison)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});

function call() {
  return { signal: new AbortController().signal };
}
