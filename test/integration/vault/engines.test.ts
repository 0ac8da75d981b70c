import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/credential/life.ts';
import type { IssuedSecret } from '../../../src/providers/provider.ts';
import { failure, fields, HOUR_MS, read, VaultBench } from './vault-bench.ts';

const DAY_MS = 24 * HOUR_MS;
const GRANT = { ttlMs: DAY_MS };

describe('KV v2', () => {
  test('tells version and the moment of its deletion', async () => {
    const bench = await VaultBench.start();
    const deletedAtMs = bench.clock.now() + HOUR_MS;
    bench.vault.kv.writeV2('secret/claude', { key: 'sk-1' });
    bench.vault.kv.writeV2('secret/claude', { key: 'sk-2' }, { deletedAtMs });
    const issued = await read(await bench.provider(), 'secret/data/claude');
    expect(fields(issued)).toEqual({ key: 'sk-2' });
    expect(issued).toMatchObject({
      version: '2',
      lease: undefined,
      ttlHintMs: undefined,
      expiresAtServerMs: deletedAtMs,
    });
    bench.clock.pass(2 * HOUR_MS);
    expect(await failure(read(await bench.provider(), 'secret/data/claude'))).toMatchObject({ kind: 'gone' });
  });

  test('custom metadata may tell when the key dies, never later than its deletion', async () => {
    const bench = await VaultBench.start();
    const end = Math.floor(bench.clock.now() / 1000) + 7_200;
    const custom = { until: new Date(end * 1000).toISOString(), epoch: String(end), words: 'next year', life: '7200' };
    bench.vault.kv.writeV2('secret/claude', { key: 'sk' }, { custom });
    const provider = await bench.provider();
    const endBy = async (expires_metadata: string) =>
      (await read(provider, { path: 'secret/data/claude', expires_metadata })).expiresAtServerMs;
    expect(await endBy('until')).toBe(end * 1000);
    expect(await endBy('epoch')).toBe(end * 1000);
    for (const name of ['words', 'life', 'absent']) expect(await endBy(name)).toBeUndefined();
    const deletedAtMs = bench.clock.now() + HOUR_MS;
    bench.vault.kv.writeV2('secret/claude', { key: 'sk' }, { deletedAtMs });
    expect(await endBy('until')).toBe(deletedAtMs);
  });

  test('a pinned version is a parameter', async () => {
    const bench = await VaultBench.start();
    bench.vault.kv.writeV2('secret/claude', { key: 'sk-1' });
    bench.vault.kv.writeV2('secret/claude', { key: 'sk-2' });
    const issued = await read(await bench.provider(), { path: '/v1/secret/data/claude', params: { version: 1 } });
    expect(fields(issued)).toEqual({ key: 'sk-1' });
  });

  test('a path with spaces and umlauts, and one that is encoded already', async () => {
    const bench = await VaultBench.start();
    bench.vault.kv.writeV2('secret/für ada', { key: 'sk-1' });
    const provider = await bench.provider();
    expect(fields(await read(provider, 'secret/data/f%C3%BCr%20ada'))).toEqual({ key: 'sk-1' });
    expect(fields(await read(provider, 'secret/data/für%20ada'))).toEqual({ key: 'sk-1' });
  });
});

test("KV v1's lease_duration is no lease but a hint", async () => {
  const bench = await VaultBench.start();
  bench.vault.kv.writeV1('kv/plain', { key: 'sk' });
  bench.vault.kv.writeV1('kv/hinted', { key: 'sk', ttl: 90 });
  const provider = await bench.provider();
  expect(await read(provider, 'kv/plain')).toMatchObject({
    lease: undefined,
    ttlHintMs: 32 * DAY_MS,
    version: undefined,
  });
  expect(await read(provider, 'kv/hinted')).toMatchObject({ lease: undefined, ttlHintMs: 90_000 });
});

test('a cubbyhole is read as plain data', async () => {
  const bench = await VaultBench.start();
  const headers = { 'x-vault-token': bench.vault.rootToken };
  await fetch(`${bench.vault.address}/v1/cubbyhole/mine`, { method: 'POST', headers, body: '{"key":"sk-mine"}' });
  const issued = await read(await bench.provider(), 'cubbyhole/mine');
  expect(fields(issued)).toEqual({ key: 'sk-mine' });
  expect(issued).toMatchObject({ lease: undefined, ttlHintMs: undefined });
});

test('an OIDC token is plain data; its JWT says itself when it ends', async () => {
  const bench = await VaultBench.start();
  bench.vault.engines.oidcRole('claude', HOUR_MS);
  const issued = await read(await bench.withAppRole(GRANT), 'identity/oidc/token/claude');
  expect(String(fields(issued)['token']).split('.')).toHaveLength(3);
  expect(issued.lease).toBeUndefined();
});

test('an engine that answers with a token gives its life', async () => {
  const bench = await VaultBench.start();
  const source = { path: 'auth/token/create', method: 'POST', params: { ttl: '1h', policies: ['reader'] } };
  const issued = await read(await bench.provider(), source);
  expect(bench.vault.tokens.find(String(fields(issued)['client_token']))).toBeDefined();
  expect(Math.abs((issued.expiresAtServerMs ?? 0) - bench.clock.now() - HOUR_MS)).toBeLessThan(60_000);
});

test('a wrapped answer is asked for and unwrapped', async () => {
  const bench = await VaultBench.start();
  bench.vault.engines.role('hourly', { ttlMs: HOUR_MS });
  const issued = await read(await bench.provider(), { path: 'apikeys/creds/hourly', wrap_ttl: '60s' });
  expect(fields(issued)['api_key']).toMatch(/^sk-dev-/);
  expect(issued.lease).toMatchObject({ durationMs: HOUR_MS });
  expect(bench.vault.seen.find(({ path }) => path.startsWith('apikeys'))?.headers['x-vault-wrap-ttl']).toBe('60s');
  expect(bench.vault.count(/unwrap/)).toBe(1);
});

describe('leases', () => {
  test('are renewed up to their max TTL, and die with their token', async () => {
    const bench = await VaultBench.start();
    bench.vault.engines.role('hourly', { ttlMs: HOUR_MS, maxTtlMs: 1.5 * HOUR_MS });
    const provider = await bench.withAppRole(GRANT);
    const lease = held(await read(provider, 'apikeys/creds/hourly'), bench.clock.now());
    bench.clock.pass(0.8 * HOUR_MS);
    const renewed = await provider.renew?.(lease, call());
    expect(renewed?.durationMs).toBeCloseTo(0.7 * HOUR_MS, -4);
    for (const { id } of bench.vault.tokens.live()) if (id !== 'dev-root') bench.vault.tokens.revoke(id);
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
    const bench = await VaultBench.start();
    bench.vault.engines.role('hourly', { ttlMs: HOUR_MS });
    const provider = await bench.provider();
    const lease = held(await read(provider, 'apikeys/creds/hourly'), bench.clock.now());
    bench.vault.faults.plan({ kind: 'answer', status, body: JSON.stringify({ errors: [words] }) });
    expect(await failure(Promise.resolve(provider.renew?.(lease, call())))).toMatchObject({ kind: 'gone' });
  });

  test('that the policy forbids to revoke lapse; that is logged once', async () => {
    const bench = await VaultBench.start();
    bench.vault.policies.write('reader', ['apikeys/creds/*']);
    bench.vault.engines.role('hourly', { ttlMs: HOUR_MS });
    const provider = await bench.withAppRole(GRANT);
    const lease = held(await read(provider, 'apikeys/creds/hourly'), bench.clock.now());
    for (let time = 0; time < 3; time += 1) {
      const error = await failure(Promise.resolve(provider.revoke?.(lease, call())));
      expect(error).toMatchObject({ kind: 'denied', remedy: expect.stringContaining('update on sys/leases/revoke') });
    }
    expect(bench.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });
});

test("the server's clock is told, skewed as it may be", async () => {
  const bench = await VaultBench.start();
  bench.vault.kv.writeV1('kv/claude', { key: 'sk' });
  bench.vault.dateSkewMs = -HOUR_MS;
  const { serverTimeMs } = await read(await bench.provider(), 'kv/claude');
  expect(Math.abs((serverTimeMs ?? 0) - bench.clock.now() + HOUR_MS)).toBeLessThan(60_000);
});

function held({ lease }: IssuedSecret, issuedAtMs: number): Lease {
  if (lease === undefined) expect.fail('no lease was issued');
  const { id, durationMs, renewable, loginId } = lease;
  return { id, issuedAtMs, expiresAtMs: issuedAtMs + durationMs, renewable, maxExpiresAtMs: undefined, loginId };
}

function call() {
  return { signal: new AbortController().signal };
}
