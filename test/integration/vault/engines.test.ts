import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/credential/life.ts';
import type { IssuedSecret } from '../../../src/providers/provider.ts';
import { failure, fields, HOUR_MS, read, VaultFixture } from './vault-fixture.ts';

const DAY_MS = 24 * HOUR_MS;
const GRANT = { ttlMs: DAY_MS };

describe('KV v2', () => {
  test('tells version and the moment of its deletion', async () => {
    const fixture = await VaultFixture.start();
    const deletedAtMs = fixture.clock.now() + HOUR_MS;
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk-1' });
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk-2' }, { deletedAtMs });
    const issued = await read(await fixture.provider(), 'secret/data/claude');
    expect(fields(issued)).toEqual({ key: 'sk-2' });
    expect(issued).toMatchObject({
      version: '2',
      lease: undefined,
      ttlHintMs: undefined,
      expiresAtServerMs: deletedAtMs,
    });
    fixture.clock.pass(2 * HOUR_MS);
    expect(await failure(read(await fixture.provider(), 'secret/data/claude'))).toMatchObject({ kind: 'gone' });
  });

  test('custom metadata may tell when the key dies, never later than its deletion', async () => {
    const fixture = await VaultFixture.start();
    const end = Math.floor(fixture.clock.now() / 1000) + 7_200;
    const custom = { until: new Date(end * 1000).toISOString(), epoch: String(end), words: 'next year', life: '7200' };
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk' }, { custom });
    const provider = await fixture.provider();
    const endBy = async (expires_metadata: string) =>
      (await read(provider, { path: 'secret/data/claude', expires_metadata })).expiresAtServerMs;
    expect(await endBy('until')).toBe(end * 1000);
    expect(await endBy('epoch')).toBe(end * 1000);
    for (const name of ['words', 'life', 'absent']) expect(await endBy(name)).toBeUndefined();
    const deletedAtMs = fixture.clock.now() + HOUR_MS;
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk' }, { deletedAtMs });
    expect(await endBy('until')).toBe(deletedAtMs);
  });

  test('a pinned version is a parameter', async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk-1' });
    fixture.vault.kv.writeV2('secret/claude', { key: 'sk-2' });
    const issued = await read(await fixture.provider(), { path: '/v1/secret/data/claude', params: { version: 1 } });
    expect(fields(issued)).toEqual({ key: 'sk-1' });
  });

  test('a long number keeps its digits', async () => {
    const fixture = await VaultFixture.start();
    const data = '{"data":{"key":12345678901234567890,"pin":4711},"metadata":{"version":1}}';
    const body = `{"request_id":"r","lease_id":"","lease_duration":0,"data":${data}}`;
    fixture.vault.faults.plan({ kind: 'answer', status: 200, body }, { path: /^secret/ });
    expect(fields(await read(await fixture.provider(), 'secret/data/claude'))).toEqual({
      key: 12345678901234567890n,
      pin: 4711,
    });
  });

  test('a path with spaces and umlauts, and one that is encoded already', async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.kv.writeV2('secret/für ada', { key: 'sk-1' });
    const provider = await fixture.provider();
    expect(fields(await read(provider, 'secret/data/f%C3%BCr%20ada'))).toEqual({ key: 'sk-1' });
    expect(fields(await read(provider, 'secret/data/für%20ada'))).toEqual({ key: 'sk-1' });
  });
});

test("KV v1's lease_duration is no lease but a hint", async () => {
  const fixture = await VaultFixture.start();
  fixture.vault.kv.writeV1('kv/plain', { key: 'sk' });
  fixture.vault.kv.writeV1('kv/hinted', { key: 'sk', ttl: 90 });
  const provider = await fixture.provider();
  expect(await read(provider, 'kv/plain')).toMatchObject({
    lease: undefined,
    ttlHintMs: 32 * DAY_MS,
    version: undefined,
  });
  expect(await read(provider, 'kv/hinted')).toMatchObject({ lease: undefined, ttlHintMs: 90_000 });
});

test('a cubbyhole is read as plain data', async () => {
  const fixture = await VaultFixture.start();
  const headers = { 'x-vault-token': fixture.vault.rootToken };
  await fetch(`${fixture.vault.address}/v1/cubbyhole/mine`, { method: 'POST', headers, body: '{"key":"sk-mine"}' });
  const issued = await read(await fixture.provider(), 'cubbyhole/mine');
  expect(fields(issued)).toEqual({ key: 'sk-mine' });
  expect(issued).toMatchObject({ lease: undefined, ttlHintMs: undefined });
});

test('an OIDC token is plain data; its JWT says itself when it ends', async () => {
  const fixture = await VaultFixture.start();
  fixture.vault.engines.oidcRole('claude', HOUR_MS);
  const issued = await read(await fixture.withAppRole(GRANT), 'identity/oidc/token/claude');
  expect(String(fields(issued)['token']).split('.')).toHaveLength(3);
  expect(issued.lease).toBeUndefined();
});

test('an engine that answers with a token gives its life', async () => {
  const fixture = await VaultFixture.start();
  const source = { path: 'auth/token/create', method: 'POST', params: { ttl: '1h', policies: ['reader'] } };
  const issued = await read(await fixture.provider(), source);
  expect(fixture.vault.tokens.find(String(fields(issued)['client_token']))).toBeDefined();
  expect(Math.abs((issued.expiresAtServerMs ?? 0) - fixture.clock.now() - HOUR_MS)).toBeLessThan(60_000);
});

describe('a key that is a token of the login', () => {
  const child = { path: 'auth/token/create', method: 'POST', params: { ttl: '10m', policies: ['reader'] } };

  async function minting() {
    const fixture = await VaultFixture.start();
    fixture.vault.policies.write('minter', ['auth/token/*']);
    const grant = { policies: ['minter'], ttlMs: 60_000, maxTtlMs: 120_000 };
    const provider = await fixture.withAppRole(grant);
    const lives = (issued: IssuedSecret) =>
      fixture.vault.tokens.find(String(fields(issued)['client_token'])) !== undefined;
    return { fixture, provider, lives };
  }

  test('is a lease that ends with the login, which lives on for it', async () => {
    const { fixture, provider, lives } = await minting();
    const issued = await read(provider, child);
    const { loginId = '', ...lease } = issued.lease ?? expect.fail('it has no lease');
    expect(lease).toMatchObject({ durationMs: 600_000, renewable: false });
    expect(provider.login?.(loginId)).toMatchObject({ renewable: true, grantedMs: 60_000 });
    expect(fixture.logins.load().map(({ login }) => login.id)).toEqual([loginId]);
    fixture.clock.pass(50_000);
    await provider.renewLogin?.(loginId, call());
    fixture.clock.pass(50_000);
    expect(lives(issued)).toBe(true);
    fixture.clock.pass(25_000);
    expect(lives(issued)).toBe(false);
  });

  test('is revoked by its accessor, by the next process too', async () => {
    const { fixture, provider, lives } = await minting();
    const [first, second] = [await read(provider, child), await read(provider, child)];
    expect(first.lease?.id).not.toContain(String(fields(first)['client_token']));
    await provider.revoke?.(held(first, 0), call());
    expect([lives(first), lives(second)]).toEqual([false, true]);
    await provider.revoke?.(held(first, 0), call());
    provider.close();
    await (await fixture.withAppRole({ policies: ['minter'], ttlMs: 60_000 })).revoke?.(held(second, 0), call());
    expect(lives(second)).toBe(false);
    expect(fixture.vault.count(/POST auth\/token\/revoke-accessor/)).toBe(3);
  });

  test.each([
    ['auth/token/create-orphan', {}, true],
    ['auth/token/create/loose', {}, true],
    ['auth/token/create', { no_parent: true }, true],
    ['auth/token/create/bound', {}, false],
  ])('%s %o: is an orphan, and outlives it: %s', async (path, params, orphan) => {
    const { fixture, provider, lives } = await minting();
    fixture.vault.tokens.role('loose', { orphan: true });
    fixture.vault.tokens.role('bound', { orphan: false });
    const issued = await read(provider, {
      path,
      method: 'POST',
      params: { ttl: '10m', policies: ['reader'], ...params },
    });
    expect(issued.lease?.loginId === undefined).toBe(orphan);
    fixture.clock.pass(130_000);
    expect(lives(issued)).toBe(orphan);
    if (orphan) await provider.revoke?.(held(issued, 0), call());
    expect(lives(issued)).toBe(false);
  });

  test('that Vault cannot revoke, or that never ends, is known as such', async () => {
    const { fixture, provider } = await minting();
    const batch = await read(provider, { ...child, params: { ttl: '10m', type: 'batch', policies: ['reader'] } });
    expect(await failure(provider.revoke?.(held(batch, 0), call()) ?? Promise.resolve())).toMatchObject({
      kind: 'denied',
      message: 'Vault cannot revoke a batch token: it ends with its ttl',
    });
    const endless = await read(await fixture.provider(), { ...child, params: { policies: ['reader'] } });
    expect(endless.lease?.durationMs).toBe(32 * 24 * HOUR_MS);
  });
});

test('a wrapped answer is asked for and unwrapped', async () => {
  const fixture = await VaultFixture.start();
  fixture.vault.engines.role('hourly', { ttlMs: HOUR_MS });
  const issued = await read(await fixture.provider(), { path: 'apikeys/creds/hourly', wrap_ttl: '60s' });
  expect(fields(issued)['api_key']).toMatch(/^sk-dev-/);
  expect(issued.lease).toMatchObject({ durationMs: HOUR_MS });
  expect(fixture.vault.seen.find(({ path }) => path.startsWith('apikeys'))?.headers['x-vault-wrap-ttl']).toBe('60s');
  expect(fixture.vault.count(/unwrap/)).toBe(1);
});

describe('leases', () => {
  test('are renewed up to their max TTL, and die with their token', async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 1.5 * HOUR_MS });
    const provider = await fixture.withAppRole(GRANT);
    const lease = held(await read(provider, 'apikeys/creds/hourly'), fixture.clock.now());
    fixture.clock.pass(0.8 * HOUR_MS);
    const renewed = await provider.renew?.(lease, call());
    expect(renewed?.durationMs).toBeCloseTo(0.7 * HOUR_MS, -4);
    for (const { id } of fixture.vault.tokens.live()) if (id !== 'dev-root') fixture.vault.tokens.revoke(id);
    expect(await failure(Promise.resolve(provider.renew?.(lease, call())))).toMatchObject({ kind: 'gone' });
    await provider.revoke?.(lease, call());
  });

  test.each([
    ['lease not found', 400],
    ['lease not found or lease is not renewable', 400],
    ['lease expired', 400],
    ['lease is not renewable', 400],
    ['lease not found', 404],
  ])('"%s" (%i) on a renewal means that it is gone', async (words, status) => {
    const fixture = await VaultFixture.start();
    fixture.vault.engines.role('hourly', { ttlMs: HOUR_MS });
    const provider = await fixture.provider();
    const lease = held(await read(provider, 'apikeys/creds/hourly'), fixture.clock.now());
    fixture.vault.faults.plan({ kind: 'answer', status, body: JSON.stringify({ errors: [words] }) });
    expect(await failure(Promise.resolve(provider.renew?.(lease, call())))).toMatchObject({ kind: 'gone' });
  });

  test('that the policy forbids to revoke lapse; that is logged once', async () => {
    const fixture = await VaultFixture.start();
    fixture.vault.policies.write('reader', ['apikeys/creds/*']);
    fixture.vault.engines.role('hourly', { ttlMs: HOUR_MS });
    const provider = await fixture.withAppRole(GRANT);
    const lease = held(await read(provider, 'apikeys/creds/hourly'), fixture.clock.now());
    for (let time = 0; time < 3; time += 1) {
      const error = await failure(Promise.resolve(provider.revoke?.(lease, call())));
      expect(error).toMatchObject({ kind: 'denied', remedy: expect.stringContaining('update on sys/leases/revoke') });
    }
    expect(fixture.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });
});

test("the server's clock is told, skewed as it may be", async () => {
  const fixture = await VaultFixture.start();
  fixture.vault.kv.writeV1('kv/claude', { key: 'sk' });
  fixture.vault.dateSkewMs = -HOUR_MS;
  const { serverTimeMs } = await read(await fixture.provider(), 'kv/claude');
  expect(Math.abs((serverTimeMs ?? 0) - fixture.clock.now() + HOUR_MS)).toBeLessThan(60_000);
});

function held({ lease }: IssuedSecret, issuedAtMs: number): Lease {
  if (lease === undefined) expect.fail('no lease was issued');
  const { id, durationMs, renewable, loginId } = lease;
  return { id, issuedAtMs, expiresAtMs: issuedAtMs + durationMs, renewable, maxExpiresAtMs: undefined, loginId };
}

function call() {
  return { signal: new AbortController().signal };
}
