import { describe, expect, it } from 'vitest';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness } from '../../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const PLAIN = { origin: 'other' } as const;
const names = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`);
const benchOf = async (count: number, random = () => 0.5) =>
  new BrokerHarness({
    credentials: names(count).map((name) => ({ name, engine: { kind: 'static' } })),
    cache: await openTestCache(temporaryFolder()),
    random,
  });

const seeded = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return seed / 2 ** 31;
};

describe('the circuit', () => {
  it('lets one probe through when its time is over, and the others wait for what becomes of it', async () => {
    const world = await benchOf(10);
    for (const name of names(10)) await world.get(name, PLAIN);
    await world.clock.advance(2 * HOUR);
    const provider = world.provider();
    provider.trouble = () => ({ delayMs: 300, error: failure.transient() });
    await world.finish(world.broker.refresh('c0').catch(() => undefined));
    const before = provider.arrivals.length;
    await world.clock.advance(1_500);
    const asks = names(10).map((name) => world.ask(name, PLAIN));
    await world.clock.advance(200);
    expect(provider.arrivals.length - before).toBe(1);
    await world.finish(Promise.all(asks));
    expect(provider.arrivals.length - before).toBe(1);
  });

  it('costs nobody any time while it is open and there is a stale key', async () => {
    const world = await benchOf(3);
    for (const name of names(3)) await world.get(name, PLAIN);
    await world.clock.advance(2 * HOUR);
    world.provider().trouble = () => ({ delayMs: 1_000, error: failure.transient() });
    expect((await world.get('c0', PLAIN)).tookMs).toBe(1_000);
    for (const name of names(3)) expect((await world.get(name, PLAIN)).tookMs).toBe(0);
  });

  it('calls rarely during a long outage, whoever asks', async () => {
    const world = await benchOf(50, seeded(7));
    for (const name of names(50)) await world.get(name, PLAIN);
    world.provider().trouble = () => ({ error: failure.transient() });
    await world.clock.advance(30 * MINUTE);
    const before = world.provider().arrivals.length;
    for (let minute = 0; minute < 120; minute += 1) {
      for (const name of names(50)) await world.ask(name, PLAIN);
      await world.clock.advance(MINUTE);
    }
    // One probe per hold-off: on average every 150 s, for all fifty together.
    expect(world.provider().arrivals.length - before).toBeLessThan(100);
  });

  it('asks again after an hour, and a bit, whatever Retry-After says', async () => {
    const world = await benchOf(2);
    world.provider().trouble = () => ({ error: failure.transient(24 * 60 * MINUTE) });
    expect((await world.get('c0')).code).toBe('ERR_PROVIDER_UNAVAILABLE');
    world.provider().trouble = () => ({});
    await world.clock.advance(59 * MINUTE);
    expect((await world.get('c0')).code).toBe('ERR_PROVIDER_UNAVAILABLE');
    await world.clock.advance(14 * MINUTE);
    expect((await world.get('c0')).code).toBeUndefined();
  });

  it('honours Retry-After for everybody but a person', async () => {
    const world = await benchOf(2);
    world.provider().trouble = () => ({ error: failure.transient(10 * MINUTE) });
    expect((await world.get('c0')).code).toBe('ERR_PROVIDER_UNAVAILABLE');
    world.provider().trouble = () => ({});
    await world.clock.advance(9 * MINUTE);
    expect((await world.get('c0')).tookMs).toBe(0);
    expect((await world.get('c1')).code).toBe('ERR_PROVIDER_UNAVAILABLE');
    expect(world.provider().count('issue')).toBe(1);
    await world.finish(world.broker.refresh('c1'));
    expect((await world.get('c1')).state).toBe('fresh');
  });

  it('spreads what was held off when the provider is back', async () => {
    const world = await benchOf(50, seeded(3));
    for (const name of names(50)) await world.get(name, PLAIN);
    const provider = world.provider();
    provider.trouble = () => ({ error: failure.transient() });
    await world.clock.advance(50 * MINUTE);
    provider.trouble = () => ({});
    const before = provider.arrivals.length;
    await world.clock.advance(6 * MINUTE);
    const arrivals = provider.arrivals.slice(before).map(({ atMs }) => atMs);
    expect(new Set(provider.arrivals.slice(before).map(({ what }) => what)).size).toBe(50);
    const busiest = Math.max(
      ...arrivals.map((at) => arrivals.filter((other) => other >= at && other < at + 500).length),
    );
    expect(busiest).toBeLessThanOrEqual(15);
  });
});

describe('a provider that never answers', () => {
  it.each(['honest', 'deaf'] as const)('is given up after thirty seconds: %s', async (hang) => {
    const world = await benchOf(1);
    world.provider().trouble = () => ({ hang });
    void world.ask('c0');
    await world.clock.advance(30 * SECOND - 1);
    expect(world.broker.status().credentials[0]).toMatchObject({ refreshing: true, lastError: null });
    await world.clock.advance(1);
    expect(world.broker.status().credentials[0]).toMatchObject({
      refreshing: false,
      lastError: { code: 'ERR_PROVIDER_UNAVAILABLE', kind: 'transient' },
    });
  });

  it('does not keep others waiting who read other secrets', async () => {
    const world = await benchOf(2);
    world.provider().trouble = ({ what }) => (what === 'c0' ? { hang: 'deaf' } : {});
    void world.ask('c0');
    expect(await world.get('c1')).toMatchObject({ state: 'fresh', tookMs: 0 });
  });
});

describe('one secret that fails for itself', () => {
  it('does not keep the others from being read', async () => {
    const world = await benchOf(2);
    world.provider().trouble = ({ what }) => (what === 'c0' ? { error: failure.denied() } : {});
    expect((await world.get('c0')).code).toBe('ERR_DENIED');
    expect(await world.get('c1')).toMatchObject({ state: 'fresh', tookMs: 0 });
  });
});

describe('what a person asks for', () => {
  it('and does not get leaves the next refresh where it was, since nothing was due', async () => {
    const world = await benchOf(1);
    await world.get('c0', PLAIN);
    const planned = world.broker.status().credentials[0]?.nextRefreshAt;
    world.provider().trouble = () => ({ error: failure.transient() });
    await expect(world.broker.refresh('c0')).rejects.toMatchObject({ code: 'ERR_PROVIDER_UNAVAILABLE' });
    expect(world.broker.status().credentials[0]).toMatchObject({ state: 'fresh', nextRefreshAt: planned });
  });

  it('goes through at once, whatever held others off, and tells what failed', async () => {
    const world = await benchOf(1);
    world.provider().trouble = () => ({ error: failure.misconfigured() });
    await world.get('c0');
    await expect(world.broker.refresh('c0')).rejects.toMatchObject({ code: 'ERR_PROVIDER_MISCONFIGURED' });
    expect(world.provider().count('issue')).toBe(2);
    world.provider().trouble = () => ({});
    expect(await world.broker.refresh('c0')).toMatchObject({ state: 'fresh', lastError: null });
  });

  it('is done for all, and the failures are in the states', async () => {
    const world = await benchOf(3);
    world.provider().trouble = ({ what }) => (what === 'c1' ? { error: failure.denied() } : {});
    const states = await world.finish(world.broker.refreshAll());
    expect(states.map(({ state }) => state)).toEqual(['fresh', 'failing', 'fresh']);
  });

  it('drops a key on request, and the next ask fetches anew', async () => {
    const world = await benchOf(1);
    await world.get('c0', PLAIN);
    expect(await world.broker.invalidate('c0')).toMatchObject({ state: 'idle', fingerprint: null });
    await world.clock.advance(HOUR);
    expect(world.provider().count('issue')).toBe(1);
    expect((await world.get('c0', PLAIN)).state).toBe('fresh');
    expect(world.provider().count('issue')).toBe(2);
  });
});

describe('a fault of the broker itself', () => {
  it('reaches nobody as anything but a BrokerError without foreign text', async () => {
    const world = await benchOf(1);
    world.provider().issue = () => Promise.reject(new TypeError('canary'));
    const told = await world.get('c0');
    expect(told.code).toBe('ERR_INTERNAL');
    expect(`${told.error?.message} ${told.error?.remedy}`).not.toContain('canary');
  });

  it('is not what the system refuses: that passes, and is named', async () => {
    const world = await benchOf(1);
    const refused = Object.assign(new Error('EMFILE'), { code: 'EMFILE', syscall: 'open', path: '/etc/hosts' });
    const provider = world.provider();
    const issue = provider.issue.bind(provider);
    provider.issue = () => Promise.reject(refused);
    expect((await world.get('c0', PLAIN)).error).toMatchObject({
      code: 'ERR_IO',
      message: '"c0" cannot be refreshed: the system refuses open /etc/hosts (EMFILE)',
      remedy: expect.stringContaining('ulimit -n'),
    });
    provider.issue = issue;
    await world.clock.advance(5 * MINUTE);
    expect((await world.get('c0', PLAIN)).state).toBe('fresh');
  });
});

describe('a prompt that a person dismissed', () => {
  it('is never put up again unless somebody asks for the key', async () => {
    const world = await benchOf(2);
    world.provider().trouble = () => ({ error: failure.loginExpired() });
    expect((await world.get('c0', PLAIN)).code).toBe('ERR_LOGIN_EXPIRED');
    await world.clock.advance(2 * HOUR);
    world.broker.noticeWake();
    await world.clock.advance(MINUTE);
    expect(world.provider().count('issue')).toBe(1);
    expect((await world.get('c0', PLAIN)).code).toBe('ERR_LOGIN_EXPIRED');
    expect(world.provider().count('issue')).toBe(2);
  });

  it('is not put up for another credential of its provider either, as long as that is not asked for', async () => {
    const world = await benchOf(2);
    await world.get('c1', PLAIN);
    world.provider().trouble = () => ({ error: failure.loginExpired() });
    await world.get('c0', PLAIN);
    await world.get('c1', PLAIN);
    const before = world.provider().count('issue');
    await world.clock.advance(MINUTE);
    world.broker.noticeWake();
    await world.clock.advance(50 * MINUTE);
    expect(world.provider().count('issue')).toBe(before);
  });

  it('is put up once by each ask past the hold-off, behind a key that may still be served', async () => {
    const world = await benchOf(1);
    await world.get('c0', PLAIN);
    world.provider().trouble = () => ({ error: failure.loginExpired() });
    await world.clock.advance(2 * HOUR);
    const before = world.provider().count('issue');
    expect(await world.get('c0', PLAIN)).toMatchObject({ state: 'stale' });
    await world.clock.advance(HOUR);
    expect(world.provider().count('issue')).toBe(before + 1);
    expect(await world.get('c0', PLAIN)).toMatchObject({ state: 'stale', tookMs: 0 });
    await world.clock.advance(1);
    expect(world.provider().count('issue')).toBe(before + 2);
  });

  it('does not stop refreshes ahead once the login is back', async () => {
    const world = await benchOf(1);
    await world.get('c0', PLAIN);
    world.provider().trouble = () => ({ error: failure.loginExpired() });
    await world.clock.advance(2 * HOUR);
    await world.get('c0', PLAIN);
    world.provider().trouble = () => ({});
    await world.clock.advance(HOUR);
    await world.get('c0', PLAIN);
    await world.clock.advance(1);
    const before = world.provider().count('issue');
    await world.get('c0', PLAIN);
    await world.clock.advance(30 * MINUTE);
    expect(world.provider().count('issue')).toBeGreaterThan(before);
  });
});
