import { describe, expect, it } from 'vitest';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, client, type HarnessOptions } from '../../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const STATIC = { name: 'anthropic', engine: { kind: 'static' } } as const;
const PLAIN = { origin: 'other' } as const;
const bench = async (options: Partial<HarnessOptions> = {}) =>
  new BrokerHarness({ credentials: [STATIC], cache: await openTestCache(temporaryFolder()), ...options });

describe('a restart', () => {
  it('serves from the database without the provider', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    const { value } = await world.get('anthropic');
    await world.broker.stop();
    world.cache.close();
    world.provider().trouble = () => ({ error: failure.transient() });
    const calls = world.provider().arrivals.length;
    world.crash(await openTestCache(folder));
    expect(await world.get('anthropic', { client: client(2) })).toMatchObject({ value, state: 'fresh', tookMs: 0 });
    expect(world.provider().arrivals.length).toBe(calls);
  });

  it('fetches nothing that nobody asks for', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    await world.get('anthropic');
    world.crash(await openTestCache(folder));
    await world.broker.stop();
    world.crash(await openTestCache(folder));
    const calls = world.provider().arrivals.length;
    await world.clock.advance(12 * HOUR);
    expect(world.provider().arrivals.length).toBe(calls);
  });
});

describe('a changed configuration', () => {
  it('leaves credentials alone that did not change', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', PLAIN);
    world.reconfigure([STATIC, { ...STATIC, name: 'other' }]);
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, tookMs: 0 });
    expect(world.provider().count('issue')).toBe(1);
    expect(world.broker.status().credentials[0]?.timesServed).toBe(2);
  });

  it('reaches a provider in another way without losing key or login', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', PLAIN);
    world.provider().trouble = () => ({ hang: 'honest' });
    const stuck = world.broker.refresh('anthropic').catch(() => undefined);
    await world.clock.advance(SECOND);
    world.reach = 'another proxy';
    world.reconfigure([STATIC]);
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, tookMs: 0 });
    expect(world.provider().closed).toBe(false);
    await world.finish(stuck);
    expect(world.provider().closed).toBe(true);
    world.provider().trouble = () => undefined;
    await world.finish(world.broker.refresh('anthropic'));
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, tookMs: 0 });
  });

  it('takes a new ttl over for the key there is', async () => {
    const world = await bench();
    await world.get('anthropic', PLAIN);
    world.reconfigure([{ ...STATIC, ttlMs: HOUR }]);
    expect((await world.get('anthropic', PLAIN)).state).toBe('fresh');
    expect(world.provider().count('issue')).toBe(1);
  });

  it('never lets a key of the former source be served as one of the new', async () => {
    const world = await bench();
    await world.get('anthropic', PLAIN);
    world.reconfigure([{ ...STATIC, path: 'elsewhere' }]);
    expect((await world.get('anthropic', PLAIN)).value).toBe(world.system.place('elsewhere')?.value);
  });

  it('drops what was still being fetched from the former source', async () => {
    const world = await bench();
    world.provider().trouble = ({ what }) => ({ delayMs: what === 'anthropic' ? 3 * SECOND : SECOND });
    const asked = world.ask('anthropic', PLAIN);
    await world.clock.advance(SECOND);
    world.reconfigure([{ ...STATIC, path: 'elsewhere' }]);
    const second = await world.get('anthropic', PLAIN);
    const value = world.system.place('elsewhere')?.value;
    expect(second.value).toBe(value);
    expect((await world.finish(asked)).value).toBe(value);
    await world.clock.advance(10 * SECOND);
    expect((await world.get('anthropic', PLAIN)).value).toBe(value);
  });

  it('revokes a lease that was still being issued for the former source', async () => {
    const engine = { kind: 'leased', lastsMs: HOUR } as const;
    const world = await bench({ credentials: [{ name: 'db', engine }] });
    world.provider().trouble = () => ({ delayMs: SECOND });
    const asked = world.ask('db', PLAIN);
    await world.clock.advance(500);
    world.reconfigure([{ name: 'db', path: 'elsewhere', engine }]);
    await world.finish(asked);
    await world.clock.advance(2 * MINUTE);
    expect(world.system.liveLeases.map(({ path }) => path)).toEqual(['elsewhere']);
  });

  it('forgets credentials that are gone, and closes their provider', async () => {
    const world = await bench({ credentials: [STATIC, { ...STATIC, name: 'aws', provider: 'aws' }] });
    await world.get('aws', PLAIN);
    world.reconfigure([STATIC]);
    expect((await world.get('aws')).code).toBe('ERR_UNKNOWN_CREDENTIAL');
    expect(world.cache.keys()).toEqual([]);
    expect(world.provider('aws').closed).toBe(true);
  });

  it('closes a provider that leases hang on only when they are gone', async () => {
    const engine = { kind: 'leased', lastsMs: HOUR } as const;
    const world = await bench({ credentials: [STATIC, { name: 'db', engine, provider: 'aws' }] });
    await world.get('db', PLAIN);
    world.reconfigure([STATIC]);
    expect(world.provider('aws').closed).toBe(false);
    world.exited.add(1);
    await world.clock.advance(2 * MINUTE);
    expect(world.system.liveLeases).toEqual([]);
    expect(world.provider('aws').closed).toBe(true);
  });
});

describe('sleep and clocks', () => {
  const names = Array.from({ length: 40 }, (_, index) => `c${index}`);

  async function afterSleep(sleepMs: number) {
    let seed = 1;
    const world = await bench({
      credentials: names.map((name) => ({ name, engine: { kind: 'static' } })),
      random: () => {
        seed = (seed * 16_807) % 2_147_483_647;
        return seed / 2_147_483_647;
      },
    });
    for (const name of names) await world.get(name, PLAIN);
    await world.clock.advance(MINUTE);
    world.clock.sleep(sleepMs);
    return { world, before: world.provider().arrivals.length };
  }

  const busiest = (times: readonly number[]) =>
    Math.max(...times.map((at) => times.filter((other) => other >= at && other < at + 500).length));

  it('judges every key anew before anything is served', async () => {
    const engine = { kind: 'expires-at', lastsMs: HOUR } as const;
    const world = await bench({ credentials: [{ name: 'short', engine }] });
    await world.get('short', PLAIN);
    world.clock.sleep(2 * HOUR);
    const told = await world.get('short', PLAIN);
    expect(world.system.isExpired(told.value ?? '')).toBe(false);
  });

  it('spreads what became due in its sleep, also if only a timer notices', async () => {
    const { world, before } = await afterSleep(50 * MINUTE);
    await world.clock.advance(2 * MINUTE);
    const times = world
      .provider()
      .arrivals.slice(before)
      .map(({ atMs }) => atMs);
    expect(times).toHaveLength(names.length);
    expect(busiest(times)).toBeLessThanOrEqual(12);
  });

  it('spreads it as well when it is told', async () => {
    const { world, before } = await afterSleep(50 * MINUTE);
    world.broker.noticeWake();
    await world.clock.advance(5 * SECOND);
    const times = world
      .provider()
      .arrivals.slice(before)
      .map(({ atMs }) => atMs);
    expect(times).toHaveLength(names.length);
    expect(busiest(times)).toBeLessThanOrEqual(12);
  });

  it('notices within a minute although no timer runs in its sleep', async () => {
    const { world, before } = await afterSleep(20 * MINUTE);
    await world.clock.advance(MINUTE + 5 * SECOND);
    expect(world.provider().arrivals.length - before).toBe(names.length);
  });

  it('waits for the network quietly', async () => {
    const { world, before } = await afterSleep(35 * MINUTE);
    world.provider().trouble = () => ({ error: failure.transient() });
    world.broker.noticeWake();
    await world.clock.advance(10 * MINUTE);
    expect(world.provider().arrivals.length - before).toBeLessThan(60);
    const warnings = world.log.lines.filter(({ level }) => level === 'warn');
    expect(warnings.length).toBeLessThanOrEqual(names.length);
    world.provider().trouble = () => ({});
    await world.clock.advance(6 * MINUTE);
    expect(world.broker.status().credentials.every(({ state }) => state === 'fresh')).toBe(true);
  });

  it.each([-10 * HOUR, 10 * HOUR])('does not care where the wall clock is set to: %d ms', async (jumpMs) => {
    const world = await bench({ credentials: [STATIC, { name: 'jwt', engine: { kind: 'jwt', lastsMs: HOUR } }] });
    const { value } = await world.get('anthropic', PLAIN);
    await world.get('jwt', PLAIN);
    world.clock.setWall(world.clock.wall() + jumpMs);
    expect(await world.get('anthropic', PLAIN)).toMatchObject({ value, state: 'fresh', tookMs: 0 });
    for (let minute = 0; minute < 180; minute += 1) {
      const told = await world.get('jwt', PLAIN);
      expect(world.system.isExpired(told.value ?? '')).toBe(false);
      await world.clock.advance(MINUTE);
    }
  });
});

describe('an idle daemon', () => {
  it('arms no timer: not before anybody asked, and not when nobody asks any more', async () => {
    const world = await bench();
    expect(world.clock.armed).toEqual([]);
    await world.get('anthropic');
    await world.clock.advance(2 * HOUR);
    expect(world.clock.armed).toEqual([]);
  });
});

describe('a client that keeps keys longer than those before it', () => {
  it('moves the next refresh, so that it does not have to wait for one', async () => {
    const world = await bench({
      credentials: [{ name: 'jwt', engine: { kind: 'jwt', lastsMs: 6 * HOUR, renewedAt: 0 } }],
    });
    await world.get('jwt', { ...PLAIN, intervalMs: MINUTE });
    await world.get('jwt', { ...PLAIN, intervalMs: 2 * HOUR });
    await world.clock.advance(30 * MINUTE);
    await world.get('jwt', { ...PLAIN, intervalMs: MINUTE });
    const due = Date.parse(world.broker.status().credentials[0]?.nextRefreshAt ?? '');
    expect(due - world.clock.now()).toBeLessThanOrEqual(3.5 * HOUR);
  });
});

describe('the clock of a provider', () => {
  it.each([
    [31, /31 s behind/],
    [-90, /90 s ahead of/],
  ])('that is %s s away is told in the status', async (seconds, words) => {
    const world = await bench();
    world.provider().tellsTime = true;
    world.provider().skewMs = seconds * SECOND;
    await world.get('anthropic', PLAIN);
    const [status] = world.broker.status().credentials;
    expect(status?.clockSkewSeconds).toBe(-seconds);
    expect(status?.advice).toEqual([
      expect.objectContaining({ about: 'clock', message: expect.stringMatching(words) }),
    ]);
  });

  it('that is half a minute away is not worth a word', async () => {
    const world = await bench();
    world.provider().tellsTime = true;
    world.provider().skewMs = 30 * SECOND;
    await world.get('anthropic', PLAIN);
    expect(world.broker.status().credentials[0]?.advice).toEqual([]);
  });
});

describe('a field that should say when the key ends', () => {
  it.each([
    [undefined, []],
    ['renewed', [expect.objectContaining({ about: 'expiry', message: expect.stringContaining('"renewed"') })]],
  ])('named %s and without a time is told in the status', async (expiresField, advice) => {
    const world = await bench({ credentials: [{ name: 'anthropic', engine: { kind: 'static' }, expiresField }] });
    await world.get('anthropic', PLAIN);
    expect(world.broker.status().credentials[0]?.advice).toEqual(advice);
  });
});
