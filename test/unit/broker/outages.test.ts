import { describe, expect, it } from 'vitest';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, type CredentialSketch, type Told } from '../../fakes/harness.ts';
import { MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const PLAIN = { origin: 'other' } as const;
const STATIC: CredentialSketch = { name: 'anthropic', engine: { kind: 'static' } };

const seeded = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return seed / 2 ** 31;
};

const worldOf = async (credentials: readonly CredentialSketch[], random: () => number = () => 0.5) =>
  new BrokerHarness({ credentials, cache: await openTestCache(temporaryFolder()), random });

/** What the helper prints. */
const lineOf = ({ error }: Told) => `${error?.message}; ${error?.remedy}`;

/** Somebody asks every three seconds; when each ask was over, and with what. */
async function askOften(world: BrokerHarness, name: string, forMs: number) {
  const told: { readonly atMs: number; readonly told: Told }[] = [];
  for (const endMs = world.clock.now() + forMs; world.clock.now() < endMs; ) {
    const answer = await world.get(name, PLAIN);
    told.push({ atMs: world.clock.now(), told: answer });
    await world.clock.advance(3 * SECOND);
  }
  return told;
}

describe('whose failure it is', () => {
  it('a tool that fails is not held against the tool beside it, nor is that told of it', async () => {
    const world = await worldOf([STATIC, { name: 'gateway', engine: { kind: 'static' } }]);
    world.provider().trouble = ({ what }) => (what === 'anthropic' ? { error: failure.transientOfOne() } : {});
    for (let tries = 0; tries < 5; tries += 1) await world.get('anthropic', PLAIN);
    const beside = await world.get('gateway', PLAIN);
    expect(beside).toMatchObject({ state: 'fresh', tookMs: 0 });
    world.provider().trouble = ({ what }) => ({ error: failure.transientOfOne(`${what} failed`) });
    await world.clock.advance(2 * MINUTE);
    expect(lineOf(await world.get('anthropic', PLAIN))).toContain('anthropic failed');
    world.broker.invalidate('gateway');
    expect(lineOf(await world.get('gateway', PLAIN))).toContain('gateway failed');
    expect(world.broker.status().credentials.map(({ lastError }) => lastError?.message)).toEqual([
      'anthropic failed',
      'gateway failed',
    ]);
  });

  it('a prompt that was dismissed does not refuse the credential of another tool', async () => {
    const world = await worldOf([STATIC, { name: 'gateway', engine: { kind: 'static' } }]);
    world.provider().trouble = ({ what }) => (what === 'anthropic' ? { error: failure.promptDismissed() } : {});
    await world.get('anthropic', PLAIN);
    expect(await world.get('gateway', PLAIN)).toMatchObject({ state: 'fresh' });
  });

  it('six credentials of one provider under a rate limit are each told of their own path', async () => {
    const names = Array.from({ length: 6 }, (_, index) => `c${index}`);
    const world = await worldOf(names.map((name) => ({ name, engine: { kind: 'static' } })));
    world.provider().trouble = ({ what }) => ({ error: failure.transientOfOne(`429 to ${what}`, MINUTE) });
    for (const name of names) {
      const told = await world.get(name, PLAIN);
      expect(told.code).toBe('ERR_PROVIDER_UNAVAILABLE');
      expect(told.error?.message).toBe(`429 to ${name}`);
    }
    // Each heeds what it was told.
    await world.clock.advance(59 * SECOND);
    expect(world.provider().arrivals.length).toBe(6);
  });

  it('an answer about one secret shows that the address is back', async () => {
    const world = await worldOf([STATIC, { name: 'gateway', engine: { kind: 'static' } }]);
    world.provider().trouble = () => ({ error: failure.transient() });
    await world.get('anthropic', PLAIN);
    await world.clock.advance(MINUTE);
    world.provider().trouble = ({ what }) => (what === 'gateway' ? { error: failure.denied() } : {});
    expect((await world.get('gateway', PLAIN)).code).toBe('ERR_DENIED');
    await world.clock.advance(5 * SECOND);
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ state: 'fresh', tookMs: 0 });
  });
});

describe('an outage with nothing to serve', () => {
  it.each([
    ['a minute', MINUTE, 1],
    ['a minute', MINUTE, 2],
    ['four minutes', 4 * MINUTE, 3],
    ['four minutes', 4 * MINUTE, 4],
    ['four minutes', 4 * MINUTE, 5],
  ])('of %s ends for those who ask at most 15 s after the provider is back (seed %3$d)', async (_, lastsMs, seed) => {
    const world = await worldOf([STATIC], seeded(seed));
    world.provider().trouble = () => ({ delayMs: 10, error: failure.transient() });
    await askOften(world, 'anthropic', lastsMs);
    const backAtMs = world.clock.now();
    world.provider().trouble = () => ({ delayMs: 10 });
    const told = await askOften(world, 'anthropic', MINUTE);
    const first = told.find((one) => one.told.state === 'fresh') ?? expect.fail('nobody was served');
    expect(first.atMs - backAtMs).toBeLessThanOrEqual(15 * SECOND);
    expect(world.provider().count('issue')).toBeLessThan(5 + (lastsMs / MINUTE) * 6 + 3);
  });

  it('with an old key in hand, and another in the provider, ends as soon', async () => {
    const world = await worldOf([{ ...STATIC, ttlMs: SECOND }], seeded(11));
    const { value } = await world.get('anthropic', PLAIN);
    for (const lastsMs of [30 * SECOND, MINUTE, 100 * SECOND]) {
      world.provider().trouble = () => ({ delayMs: 10, error: failure.transientOfOne('not Vault') });
      const old = await askOften(world, 'anthropic', lastsMs);
      expect(old.every(({ told }) => told.state === 'stale' || told.state === 'fresh')).toBe(true);
      const present = world.system.rotate('anthropic');
      world.provider().trouble = () => ({ delayMs: 10 });
      const backAtMs = world.clock.now();
      while ((await world.get('anthropic', PLAIN)).value !== present) await world.clock.advance(SECOND);
      expect(world.clock.now() - backAtMs).toBeLessThanOrEqual(15 * SECOND);
      expect(present).not.toBe(value);
    }
  });

  it('that swallowed a call ends with that call', async () => {
    const world = await worldOf([STATIC], seeded(3));
    const beganAtMs = world.clock.now();
    world.provider().trouble = () => ({ hang: 'honest' });
    const asking = askOften(world, 'anthropic', MINUTE);
    await world.clock.advance(SECOND);
    world.provider().trouble = () => ({ delayMs: 10 });
    const served = (await world.finish(asking)).find(({ told }) => told.state === 'fresh');
    // The limit for a call, the pause of those who ask, and the shortest wait.
    expect((served?.atMs ?? 0) - beganAtMs).toBeGreaterThan(29 * SECOND);
    expect((served?.atMs ?? 0) - beganAtMs).toBeLessThanOrEqual(35 * SECOND);
  });

  it('in which a lease ended ends as soon', async () => {
    const engine = { kind: 'leased', lastsMs: 6 * MINUTE, maxMs: 60 * MINUTE, renewable: true } as const;
    const world = await worldOf([{ name: 'db', engine }], seeded(9));
    await world.get('db', { ...PLAIN, intervalMs: MINUTE });
    await world.clock.advance(2 * MINUTE);
    world.provider().trouble = () => ({ delayMs: 10, error: failure.transient() });
    for (let seconds = 0; seconds < 300; seconds += 5) {
      await world.get('db', { ...PLAIN, intervalMs: MINUTE });
      await world.clock.advance(5 * SECOND);
    }
    expect((await world.get('db', PLAIN)).code).toBe('ERR_PROVIDER_UNAVAILABLE');
    const backAtMs = world.clock.now();
    world.provider().trouble = () => ({ delayMs: 10 });
    while ((await world.get('db', PLAIN)).value === undefined) await world.clock.advance(3 * SECOND);
    expect(world.clock.now() - backAtMs).toBeLessThanOrEqual(15 * SECOND);
  });

  it('lets an ask wait for the next attempt if that comes within its time', async () => {
    const world = await worldOf([STATIC]);
    world.provider().trouble = () => ({ error: failure.transient() });
    for (let tries = 0; tries < 8; tries += 1) await world.get('anthropic', PLAIN);
    world.provider().trouble = () => ({});
    await world.clock.advance(5 * SECOND);
    const told = await world.get('anthropic', PLAIN);
    expect(told.state).toBe('fresh');
    expect(told.tookMs).toBeGreaterThan(0);
  });

  it('does not make an ask probe before Retry-After', async () => {
    const world = await worldOf([STATIC]);
    world.provider().trouble = () => ({ error: failure.transient(10 * MINUTE) });
    await askOften(world, 'anthropic', 10 * MINUTE);
    expect(world.provider().count('issue')).toBe(1);
  });

  it('says how old the failure is, when the next try is, and how to try at once', async () => {
    const world = await worldOf([STATIC]);
    world.provider().trouble = () => ({ error: failure.transient(5 * MINUTE) });
    const first = await world.get('anthropic', PLAIN);
    expect(first.error?.message).toBe('connection refused');
    await world.clock.advance(40 * SECOND);
    const line = lineOf(await world.get('anthropic', PLAIN));
    expect(line).toContain('40 s ago: connection refused');
    expect(line).toContain('next try in 5 min, or now: broker refresh anthropic');
    expect(world.broker.status().credentials[0]?.lastError).toMatchObject({
      message: 'connection refused',
      remedy: 'to try now: broker refresh anthropic',
    });
    expect(world.broker.health().problem).toContain('40 s ago: connection refused');
  });
});

describe('a denied read', () => {
  it('is read again on an ask after ten seconds, so that a permission that was given back is noticed', async () => {
    const world = await worldOf([STATIC]);
    world.provider().trouble = () => ({ error: failure.denied() });
    expect((await world.get('anthropic', PLAIN)).code).toBe('ERR_DENIED');
    world.provider().trouble = () => ({});
    await world.clock.advance(10 * SECOND - 1);
    expect(lineOf(await world.get('anthropic', PLAIN))).toContain('broker refresh anthropic');
    await world.clock.advance(1);
    expect((await world.get('anthropic', PLAIN)).state).toBe('fresh');
  });
});

describe('a login that was refused', () => {
  async function refused() {
    const world = await worldOf([STATIC, { name: 'gateway', engine: { kind: 'static' } }]);
    world.provider().inputs = ['/secret-id'];
    world.files.set('/secret-id', 'old');
    world.provider().trouble = () => ({ error: failure.loginRefused() });
    expect((await world.get('anthropic', PLAIN)).code).toBe('ERR_LOGIN_EXPIRED');
    return world;
  }

  it('is not tried again, however often and for whatever credential somebody asks', async () => {
    const world = await refused();
    for (let minutes = 0; minutes < 120; minutes += 1) {
      await world.get('anthropic', PLAIN);
      await world.get('gateway', PLAIN);
      await world.clock.advance(MINUTE);
    }
    world.broker.noticeWake();
    await world.get('anthropic', PLAIN);
    expect(world.provider().count('issue')).toBe(1);
    const line = lineOf(await world.get('gateway', PLAIN));
    expect(line).toContain('2 h ago: the secret-id is wrong');
    expect(line).toContain('tried again when its login changes, or now: broker refresh gateway');
    expect(world.broker.status().credentials[0]?.lastError?.nextAttemptAt).toBeNull();
  });

  it('is tried at once when an input of it has changed', async () => {
    const world = await refused();
    world.provider().trouble = () => ({});
    expect((await world.get('gateway', PLAIN)).code).toBe('ERR_LOGIN_EXPIRED');
    world.files.set('/secret-id', 'new');
    expect(await world.get('gateway', PLAIN)).toMatchObject({ state: 'fresh', tookMs: 0 });
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ state: 'fresh' });
  });

  it('is tried when a person says so, and if it works then every credential works', async () => {
    const world = await refused();
    await world.get('gateway', PLAIN);
    world.provider().trouble = () => ({});
    await world.finish(world.broker.refresh('gateway'));
    expect((await world.get('anthropic', PLAIN)).state).toBe('fresh');
  });
});
