import { describe, expect, it } from 'vitest';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, client, type HarnessOptions } from '../../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const STATIC = { name: 'anthropic', engine: { kind: 'static' } } as const;
const LEASED = { name: 'db', engine: { kind: 'leased', lastsMs: 15 * MINUTE } } as const;
const [A, B] = [{ client: client(1) }, { client: client(2) }];

const bench = async (options: Partial<HarnessOptions> = {}) =>
  new BrokerHarness({ credentials: [STATIC], cache: await openTestCache(temporaryFolder()), ...options });

describe('an early ask', () => {
  it('gets the successor that the provider has, and the old value is never served again, nor after a restart', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    const { value: old } = await world.get('anthropic', A);
    const next = world.system.rotate('anthropic');
    await world.clock.advance(SECOND);
    expect(await world.get('anthropic', A)).toMatchObject({ value: next, tookMs: 0 });
    world.provider().issue = () => Promise.reject(failure.transient());
    world.crash(await openTestCache(folder));
    expect(await world.get('anthropic', B)).toMatchObject({ value: next });
    expect(world.cache.rejectedMarks('anthropic')).toHaveLength(1);
    expect(old).not.toBe(next);
  });

  it('is never given a value back that was rejected, until a person asks for it', async () => {
    const world = await bench();
    const { value: old } = await world.get('anthropic', A);
    const place = world.system.place('anthropic');
    if (place === undefined || old === undefined) throw new Error('nothing was served');
    const next = world.system.rotate('anthropic');
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', A)).value).toBe(next);
    place.value = old;
    await world.finish(world.broker.refresh('anthropic'));
    expect((await world.get('anthropic', B)).value).toBe(old);
  });

  it('may be answered with a rejected value again once max_stale has passed since', async () => {
    const world = await bench({
      credentials: [{ ...STATIC, maxStaleMs: 2 * HOUR }],
      daemon: { idleAfterMs: 24 * HOUR },
    });
    const { value: old } = await world.get('anthropic', A);
    const place = world.system.place('anthropic');
    if (place === undefined || old === undefined) throw new Error('nothing was served');
    world.system.rotate('anthropic');
    await world.clock.advance(SECOND);
    await world.get('anthropic', A);
    place.value = old;
    await world.clock.advance(HOUR);
    expect((await world.get('anthropic', B)).value).not.toBe(old);
    await world.clock.advance(3 * HOUR);
    expect((await world.get('anthropic', B)).value).toBe(old);
    expect(world.cache.rejectedMarks('anthropic')).toHaveLength(0);
  });

  it('is not answered with a rejected value that the provider goes back to', async () => {
    const short = { ...STATIC, maxStaleMs: 2 * HOUR };
    const world = await bench({ credentials: [short, { ...STATIC, name: 'other' }], daemon: { idleAfterMs: SECOND } });
    const { value: old } = await world.get('anthropic', A);
    const place = world.system.place('anthropic');
    if (place === undefined || old === undefined) throw new Error('nothing was served');
    world.system.rotate('anthropic');
    await world.clock.advance(SECOND);
    await world.get('anthropic', A);
    place.value = old;
    await world.clock.advance(3 * HOUR);
    expect((await world.get('anthropic', B)).code).toBe('ERR_KEY_REJECTED');
  });

  it('of two clients at the same moment is answered the same, whoever comes first', async () => {
    for (const order of [
      [A, B],
      [B, A],
    ]) {
      const world = await bench();
      await world.get('anthropic', A);
      await world.get('anthropic', B);
      const next = world.system.rotate('anthropic');
      world.provider().trouble = () => ({ delayMs: 200 });
      await world.clock.advance(SECOND);
      const told = await world.finish(Promise.all(order.map((who) => world.ask('anthropic', who))));
      expect(told.map(({ value }) => value)).toEqual([next, next]);
      expect(world.provider().count('issue')).toBe(2);
    }
  });

  it('asks the provider at most every ten seconds', async () => {
    const world = await bench();
    for (let pid = 0; pid < 100; pid += 1) {
      await world.get('anthropic', { client: client(pid) });
      await world.get('anthropic', { client: client(pid) });
      await world.clock.advance(SECOND);
    }
    expect(world.provider().count('issue')).toBeLessThanOrEqual(11);
  });

  it.each([
    ['a person or a script', { client: client(1), judged: false }],
    ['somebody who cannot be told', { client: undefined }],
    ['a client that keeps keys for no time at all', { client: client(1), intervalMs: 0 }],
  ])('is never held against %s', async (_who, sketch) => {
    const world = await bench();
    for (let ask = 0; ask < 30; ask += 1) {
      expect((await world.get('anthropic', sketch)).state).toBe('fresh');
      await world.clock.advance(SECOND);
    }
    expect(world.provider().count('issue')).toBe(1);
  });

  it('counts from the answer that was written completely, not from one that was cut off', async () => {
    const world = await bench();
    await world.get('anthropic', { ...A, delivered: false });
    await world.clock.advance(SECOND);
    for (let ask = 0; ask < 5; ask += 1) {
      expect((await world.get('anthropic', { ...A, delivered: false })).state).toBe('fresh');
    }
    expect(world.provider().count('issue')).toBe(1);
  });
});

describe('a key without a successor', () => {
  it('is refused to the client that complains, with what to do, and to nobody else', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    await world.get('anthropic', B);
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', A)).state).toBe('fresh');
    await world.clock.advance(SECOND);
    const refused = await world.get('anthropic', A);
    expect(refused).toMatchObject({ code: 'ERR_KEY_REJECTED', tookMs: 0 });
    expect(refused.error?.exitCode).toBe(77);
    expect(refused.error?.message).toContain('version 1 of "anthropic"');
    expect(refused.error?.remedy).toContain('model');
    await world.clock.advance(5 * MINUTE);
    expect((await world.get('anthropic', B)).state).toBe('fresh');
    expect((await world.get('anthropic', A)).state).toBe('fresh');
  });

  it('is refused three times, then served', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    const answers: string[] = [];
    for (let ask = 0; ask < 9; ask += 1) {
      await world.clock.advance(SECOND);
      answers.push((await world.get('anthropic', A)).code ?? 'served');
    }
    const refused = Array(3).fill('ERR_KEY_REJECTED');
    expect(answers).toEqual(['served', ...refused, 'served', ...refused, 'served']);
  });

  it('can be tried again by hand', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    await world.clock.advance(SECOND);
    await world.get('anthropic', A);
    const next = world.system.rotate('anthropic');
    await world.finish(world.broker.refresh('anthropic'));
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', A)).value).toBe(next);
  });
});

describe('a provider that says nothing', () => {
  it('costs an early ask two seconds, and no strike', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', A);
    world.provider().trouble = () => ({ hang: 'honest' });
    await world.clock.advance(SECOND);
    expect(await world.get('anthropic', A)).toMatchObject({ value, tookMs: 2 * SECOND });
    for (let ask = 0; ask < 20; ask += 1) {
      await world.clock.advance(SECOND);
      expect(await world.get('anthropic', A)).toMatchObject({ value, tookMs: expect.toSatisfy((ms) => ms <= 2_000) });
    }
    expect(world.eventKinds()).not.toContain('strike');
  });

  it.each(['hang', 'fail'])('counts no lease against anybody that was never issued: %s', async (how) => {
    const world = await bench({ credentials: [LEASED] });
    await world.get('db', A);
    world.provider().trouble = () => (how === 'hang' ? { hang: 'honest' } : { error: failure.transient() });
    for (let ask = 0; ask < 20; ask += 1) {
      await world.clock.advance(11 * SECOND);
      expect((await world.get('db', A)).value).toBeDefined();
    }
    expect(world.eventKinds()).not.toContain('strike');
  });

  it('in time is heard all the same when it speaks at last', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', A);
    const next = world.system.rotate('anthropic');
    world.provider().trouble = () => ({ delayMs: 3 * SECOND });
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', A)).value).toBe(value);
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', A)).value).toBe(next);
  });
});

describe('a leased credential under a policy that forbids its keys', () => {
  it('costs at most two leases per client in ten minutes', async () => {
    const world = await bench({ credentials: [LEASED] });
    await world.get('db', A);
    await world.get('db', B);
    const before = world.provider().count('issue');
    for (let ask = 0; ask < 10 * 60; ask += 7) {
      await world.clock.advance(7 * SECOND);
      await world.get('db', A);
      await world.get('db', B);
    }
    expect(world.provider().count('issue') - before).toBeLessThanOrEqual(2 * 2 + 1);
  });
});
