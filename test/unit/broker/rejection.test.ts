import { describe, expect, it, vi } from 'vitest';
import { CODEX } from '../../../src/platform/known-clients.ts';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, client, type HarnessOptions, type Told } from '../../fakes/harness.ts';
import { MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const STATIC = { name: 'anthropic', engine: { kind: 'static' } } as const;
const LEASED = { name: 'db', engine: { kind: 'leased', lastsMs: 15 * MINUTE } } as const;
const [A, B] = [{ client: client(1) }, { client: client(2) }];

/** One client has had the old value, and by an early ask the new one. */
async function rotated() {
  const world = await bench();
  const { value: old = '' } = await world.get('anthropic', A);
  const next = world.system.rotate('anthropic');
  await world.clock.advance(SECOND);
  expect((await world.get('anthropic', A)).value).toBe(next);
  await world.get('anthropic', B);
  return { world, old, next };
}

const bench = async (options: Partial<HarnessOptions> = {}) =>
  new BrokerHarness({ credentials: [STATIC], cache: await openTestCache(temporaryFolder()), ...options });

describe('an early ask', () => {
  it('gets the successor that the provider has, and the old value is never served again, nor after a restart', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    const { value: old } = await world.get('anthropic', A);
    const next = world.system.rotate('anthropic');
    await world.clock.advance(SECOND);
    expect(await world.get('anthropic', A)).toMatchObject({ value: next });
    world.provider().issue = () => Promise.reject(failure.transient());
    world.crash(await openTestCache(folder));
    expect(await world.get('anthropic', B)).toMatchObject({ value: next });
    expect(world.cache.rejectedMarks('anthropic')).toHaveLength(1);
    expect(old).not.toBe(next);
  });

  it('is given the value back that was marked as soon as a person asks for it', async () => {
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

  it('gives the marked value again once the provider has it under a newer version: a roll-back', async () => {
    const { world, old } = await rotated();
    world.system.putBack('anthropic');
    await world.clock.advance(20 * SECOND);
    expect((await world.get('anthropic', B)).value).toBe(old);
    expect(world.eventKinds()).toContain('unmarked');
    expect(world.eventKinds()).not.toContain('doubted');
  });

  it('gives the marked value again once a second read finds it, ten seconds after the first', async () => {
    const { world, old, next } = await rotated();
    const place = world.system.place('anthropic')!;
    // Under its old version: a replica that lags behind would answer the same.
    Object.assign(place, { value: old, version: 1 });
    await world.clock.advance(20 * SECOND);
    expect((await world.get('anthropic', B)).value).toBe(next);
    expect(world.eventKinds()).toContain('doubted');
    await world.clock.advance(9 * SECOND);
    expect((await world.get('anthropic', B)).value).toBe(next);
    await world.clock.advance(2 * SECOND);
    expect((await world.get('anthropic', B)).value).toBe(old);
  });

  it('takes one answer of a replica that lags behind for nothing', async () => {
    const { world, old, next } = await rotated();
    const place = world.system.place('anthropic')!;
    const present = { ...place };
    Object.assign(place, { value: old, version: 1 });
    await world.clock.advance(20 * SECOND);
    await world.get('anthropic', B);
    Object.assign(place, present);
    await world.clock.advance(30 * SECOND);
    expect((await world.get('anthropic', { client: client(3) })).value).toBe(next);
    expect(world.eventKinds()).not.toContain('unmarked');
  });

  it('is explained by a change of its settings, which is neither told to the provider nor held against the key', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', A);
    for (let edit = 1; edit <= 10; edit += 1) {
      await world.clock.advance(20 * SECOND);
      world.settings.set(1, { fingerprint: `${edit}`, changedAtWallMs: world.clock.wall() });
      await world.clock.advance(SECOND);
      expect(await world.get('anthropic', A)).toMatchObject({ value, tookMs: 0 });
    }
    expect(world.provider().count('issue')).toBe(1);
    expect(world.eventKinds()).not.toContain('strike');
    expect(world.eventKinds().filter((kind) => kind === 'explained')).toHaveLength(10);
  });

  it('is explained once by one change, and by one that was made between the answer and the look at it', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    await world.clock.advance(100);
    world.settings.set(1, { fingerprint: 'edited', changedAtWallMs: world.clock.wall() });
    await world.clock.advance(2 * SECOND);
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(1);
    await world.clock.advance(SECOND);
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(2);
  });

  it('is explained by a settings file that the kernel dates by its last tick', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    world.settings.set(1, { fingerprint: 'edited', changedAtWallMs: world.clock.wall() - 4 });
    await world.clock.advance(2 * SECOND);
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(1);
  });

  it('is not explained by a settings file whose time is still to come, again and again', async () => {
    const world = await bench();
    world.settings.set(1, { fingerprint: 'ahead', changedAtWallMs: world.clock.wall() + 3600 * SECOND });
    await world.get('anthropic', A);
    await world.clock.advance(2 * SECOND);
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(2);
    expect(world.eventKinds()).not.toContain('explained');
    await world.clock.advance(11 * SECOND);
    world.settings.set(1, { fingerprint: 'edited', changedAtWallMs: world.clock.wall() + 3600 * SECOND });
    await world.get('anthropic', A);
    expect(world.eventKinds()).toContain('explained');
    expect(world.provider().count('issue')).toBe(2);
  });

  it('is explained by a settings file that was removed, once', async () => {
    const world = await bench();
    world.settings.set(1, { fingerprint: 'a file', changedAtWallMs: 0 });
    await world.get('anthropic', A);
    // By now the daemon has written down whom it served.
    await world.clock.advance(2 * SECOND);
    world.settings.set(1, { fingerprint: '-', changedAtWallMs: 0 });
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(1);
    await world.clock.advance(SECOND);
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(2);
  });

  it('after a restart of the daemon is early all the same', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    await world.get('anthropic', A);
    await world.clock.advance(2 * SECOND);
    world.crash(await openTestCache(folder));
    await world.get('anthropic', A);
    await world.clock.advance(3 * SECOND);
    world.crash(await openTestCache(folder));
    expect((await world.get('anthropic', A)).code).toBe('ERR_KEY_REJECTED');
  });

  it('after a restart of the machine is none: the same pid is another process', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    await world.get('anthropic', A);
    await world.clock.advance(2 * SECOND);
    world.processSpace = 'another boot';
    world.crash(await openTestCache(folder));
    await world.get('anthropic', A);
    expect(world.provider().count('issue')).toBe(1);
    expect(world.cache.clients()).toEqual([]);
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

  it('of a program that is never refused writes nothing of its own: what it was served is written once a second', async () => {
    const world = await bench();
    const saveClients = vi.spyOn(world.cache, 'saveClients');
    const program = { client: { ...client(7), known: undefined }, intervalMs: MINUTE };
    for (let ask = 0; ask < 50; ask += 1) await world.get('anthropic', program);
    expect(saveClients).not.toHaveBeenCalled();
    await world.clock.advance(SECOND);
    expect(saveClients).toHaveBeenCalledTimes(1);
  });

  it('that counts as a strike is written at once', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    await world.clock.advance(2 * SECOND);
    const saveClients = vi.spyOn(world.cache, 'saveClients');
    await world.get('anthropic', A);
    expect(saveClients.mock.lastCall?.[0][0]?.histories['anthropic']?.chain?.strikes).toBe(1);
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
    ['the agent’s own tools', { ...A, origin: 'other' }],
    ['somebody who cannot be told', { client: undefined }],
    ['a script that does not say how long it keeps keys', { client: { ...client(1), known: undefined } }],
  ] as const)('costs the provider nothing if it comes from %s', async (_who, sketch) => {
    const world = await bench();
    for (let ask = 0; ask < 30; ask += 1) {
      expect((await world.get('anthropic', sketch)).state).toBe('fresh');
      await world.clock.advance(SECOND);
    }
    expect(world.provider().count('issue')).toBe(1);
  });

  it.each([
    ['one whose call the kernel does not show', { ...A, origin: 'unknown' }],
    ['Codex', { client: { ...client(1), known: CODEX } }],
    ['a script that names its interval', { client: { ...client(1), known: undefined }, intervalMs: 60_000 }],
    ['a script that says so', { client: { ...client(1), known: undefined }, saysRejected: true }],
    ['a helper for a proxy', { ...A, format: 'proxy' }],
    ['a helper for AWS', { ...A, format: 'aws' }],
  ] as const)('makes the provider be asked and is never refused if it comes from %s', async (_who, sketch) => {
    const world = await bench();
    await world.get('anthropic', sketch);
    const next = world.system.rotate('anthropic');
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', sketch)).value).toBe(next);
    for (let ask = 0; ask < 30; ask += 1) {
      await world.clock.advance(SECOND);
      expect((await world.get('anthropic', sketch)).state).toBe('fresh');
    }
    expect(world.provider().count('issue')).toBeGreaterThan(2);
    expect(world.provider().count('issue')).toBeLessThanOrEqual(5);
  });

  it.each([
    ['at an interval of 0', { ...A, intervalMs: 0 }, 30],
    ['at an interval of a second', { ...A, intervalMs: 1_000 }, 30],
    ['for headers', { ...A, format: 'headers', intervalMs: 5_000 }, 60],
  ] as const)('%s is not needed: the provider is asked by the clock', async (_how, sketch, seconds) => {
    const world = await bench();
    await world.get('anthropic', sketch);
    const next = world.system.rotate('anthropic');
    await world.clock.advance((seconds - 1) * SECOND);
    expect((await world.get('anthropic', sketch)).value).not.toBe(next);
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', sketch)).value).toBe(next);
  });

  it('asks a provider nothing for a minute after it had too much to do', async () => {
    const world = await bench({ credentials: [STATIC, { ...STATIC, name: 'other' }] });
    await world.get('anthropic', A);
    world.provider().trouble = () => ({ error: failure.overloaded() });
    await world.get('other', B).catch(() => undefined);
    world.provider().trouble = () => undefined;
    const before = world.provider().count('issue');
    await world.clock.advance(20 * SECOND);
    const asked = world.provider().count('issue') - before;
    await world.get('anthropic', A);
    expect(world.provider().count('issue') - before).toBe(asked);
  });

  it('is at most one of four reads at the same time of one provider', async () => {
    const names = Array.from({ length: 12 }, (_, index) => `c${index}`);
    const world = await bench({ credentials: names.map((name) => ({ ...STATIC, name })) });
    for (const name of names) await world.get(name, A);
    world.provider().trouble = () => ({ delayMs: 1_500 });
    await world.clock.advance(SECOND);
    const before = world.provider().count('issue');
    await world.finish(Promise.all(names.map((name) => world.ask(name, A))));
    expect(world.provider().count('issue') - before).toBe(4);
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
    await world.clock.advance(2 * SECOND);
    const refused = await world.get('anthropic', A);
    expect(refused).toMatchObject({ code: 'ERR_KEY_REJECTED', tookMs: 0 });
    expect(refused.error?.exitCode).toBe(77);
    expect(refused.error?.message).toContain('version 1 of "anthropic"');
    expect(refused.error?.remedy).toContain('model');
    await world.clock.advance(5 * MINUTE);
    expect((await world.get('anthropic', B)).state).toBe('fresh');
    expect((await world.get('anthropic', A)).state).toBe('fresh');
  });

  it('is refused three times, then served, if the client’s pauses are those of one request', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    const answers: string[] = [];
    for (let ask = 0; ask < 9; ask += 1) {
      await world.clock.advance(5 * SECOND);
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
  it('costs early asks two seconds of one read', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', A);
    world.provider().trouble = () => ({ hang: 'honest' });
    await world.clock.advance(SECOND);
    expect(await world.get('anthropic', A)).toMatchObject({ value, tookMs: 2 * SECOND });
    expect(await world.get('anthropic', A)).toMatchObject({ value, tookMs: expect.toSatisfy((ms) => ms <= 2_000) });
  });

  it('while it is known to be down costs an early ask nothing, and the fourth says what both sides know', async () => {
    const world = await bench();
    await world.get('anthropic', A);
    world.provider().trouble = () => ({ error: failure.transient() });
    await world.clock.advance(20 * SECOND);
    const answers: (string | undefined)[] = [];
    let last: Told | undefined;
    for (const pauseMs of [1_200, 1_200, 2_400, 4_600, 9_200, 18_000]) {
      await world.clock.advance(pauseMs);
      last = await world.get('anthropic', A);
      answers.push(last.code ?? 'served');
    }
    expect(answers).toEqual([...Array(3).fill('served'), ...Array(3).fill('ERR_REFRESH_PENDING')]);
    expect(last?.tookMs).toBeLessThanOrEqual(50);
    expect(last?.error?.exitCode).toBe(75);
    expect(last?.error?.message).toMatch(/asks again for "anthropic" as after a 401, and provider "vault" cannot say/);
    expect(last?.error?.message).toMatch(/ago: connection refused/);
    expect(last?.error?.remedy).toMatch(/^next try .*, or now: broker refresh anthropic/);
  });

  it('in time is heard all the same when it speaks at last', async () => {
    const world = await bench();
    const { value } = await world.get('anthropic', A);
    const next = world.system.rotate('anthropic');
    world.provider().trouble = () => ({ delayMs: 3 * SECOND });
    await world.clock.advance(SECOND);
    expect((await world.get('anthropic', A)).value).toBe(value);
    await world.clock.advance(2 * SECOND);
    expect((await world.get('anthropic', A)).value).toBe(next);
  });
});

describe('a leased credential under a policy that forbids its keys', () => {
  it('costs at most two leases in ten minutes, whoever asks', async () => {
    const world = await bench({ credentials: [LEASED] });
    await world.get('db', A);
    await world.get('db', B);
    const before = world.provider().count('issue');
    for (let ask = 0; ask < 10 * 60; ask += 7) {
      await world.clock.advance(7 * SECOND);
      await world.get('db', A);
      await world.get('db', B);
    }
    expect(world.provider().count('issue') - before).toBeLessThanOrEqual(2 + 1);
  });
});
