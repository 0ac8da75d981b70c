import { describe, expect, it } from 'vitest';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, type CredentialSketch, client } from '../../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const LEASED: CredentialSketch = {
  name: 'db',
  engine: { kind: 'leased', lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true },
  scope: 'session',
};

const bench = async (credentials: readonly CredentialSketch[] = [LEASED], folder = temporaryFolder()) =>
  new BrokerHarness({ credentials, cache: await openTestCache(folder) });

const get = (world: BrokerHarness, pid: number) => world.get('db', { client: client(pid), origin: 'other' });
const revoked = (world: BrokerHarness) => world.provider().arrivals.filter(({ operation }) => operation === 'revoke');
const settle = (world: BrokerHarness) => world.clock.advance(SECOND);

describe('with scope = "session"', () => {
  it('each client process has a lease of its own, and the same one with its next ask', async () => {
    const world = await bench();
    const [one, two] = [await get(world, 1), await get(world, 2)];
    expect(one.value).not.toBe(two.value);
    expect((await get(world, 1)).value).toBe(one.value);
    expect((await get(world, 2)).value).toBe(two.value);
    expect(world.provider().count('issue')).toBe(2);
    expect(world.broker.status().credentials).toMatchObject([{ name: 'db', sessions: 2, timesServed: 4 }]);
  });

  it('the status shows how they are, and the failure of one with the command for it', async () => {
    const world = await bench();
    await get(world, 1);
    expect(world.broker.status().credentials).toMatchObject([{ name: 'db', isDefault: true, state: 'fresh' }]);
    world.provider().trouble = () => ({ error: failure.denied() });
    expect(await get(world, 2)).toMatchObject({ code: 'ERR_DENIED' });
    const [status] = world.broker.status().credentials;
    expect(status).toMatchObject({ name: 'db', state: 'failing', lastError: { kind: 'denied' } });
    expect(status?.lastError?.remedy).toMatch(/broker refresh db$/);
    expect(world.broker.health().ok).toBe(false);
  });

  it('two clients that ask at the same moment share no read', async () => {
    const world = await bench();
    const answers = await world.finish(Promise.all([1, 2, 3].map((pid) => world.ask('db', { client: client(pid) }))));
    expect(new Set(answers.map(({ value }) => value)).size).toBe(3);
  });

  it('a person who logs out ends them: no session is served from the login that is gone', async () => {
    const world = await bench();
    Object.assign(world.provider(), { dropLogin: async () => {} });
    const { value } = await get(world, 1);
    await world.finish(world.broker.dropLogin('vault'));
    await settle(world);
    expect(world.broker.status().credentials).toMatchObject([{ sessions: 0 }]);
    expect(world.system.accepts(value ?? '')).toBe(false);
    expect((await get(world, 1)).value).not.toBe(value);
  });

  it('the lease is revoked when the process exits, and no other one', async () => {
    const world = await bench();
    const [one, two] = [await get(world, 1), await get(world, 2)];
    world.exit(1);
    await settle(world);
    expect(revoked(world)).toHaveLength(1);
    expect(world.system.accepts(one.value ?? '')).toBe(false);
    expect(world.system.accepts(two.value ?? '')).toBe(true);
    expect(world.broker.status().credentials).toMatchObject([{ sessions: 1 }]);
    expect(world.broker.events({ limit: 99 }).filter(({ kind }) => kind.startsWith('session-'))).toMatchObject([
      { kind: 'session-opened', credential: 'db', detail: { client: 'claude', pid: 1, session: '1.s1' } },
      { kind: 'session-opened', credential: 'db', detail: { pid: 2 } },
      { kind: 'session-ended', credential: 'db', detail: { session: '1.s1' } },
    ]);
    expect(world.cache.keys().map(({ credential }) => credential)).toEqual(['db@2.s2']);
  });

  it('a lease that arrives after the exit is revoked as well', async () => {
    const world = await bench();
    world.provider().trouble = ({ operation }) => (operation === 'issue' ? { delayMs: 500 } : undefined);
    const asked = world.ask('db', { client: client(1) });
    await world.clock.advance(100);
    world.provider().trouble = () => undefined;
    world.exit(1);
    await world.finish(asked.catch(() => undefined));
    await world.clock.advance(2 * SECOND);
    expect(world.cache.leases().filter(({ credential }) => credential !== 'db')).toEqual([]);
  });

  it('a revocation that fails is made good later', async () => {
    const world = await bench();
    await get(world, 1);
    world.provider().trouble = ({ operation }) => (operation === 'revoke' ? { error: failure.transient() } : undefined);
    world.exit(1);
    await settle(world);
    expect(world.cache.leases()).toHaveLength(1);
    world.provider().trouble = () => undefined;
    await world.clock.advance(10 * MINUTE);
    expect(world.cache.leases()).toEqual([]);
  });

  it('after a restart a session goes on with its lease, and one whose process has exited meanwhile is revoked', async () => {
    const folder = temporaryFolder();
    const world = await bench([LEASED], folder);
    const [one, two] = [await get(world, 1), await get(world, 2)];
    world.exited.add(2);
    world.cache.close();
    world.crash(await openTestCache(folder));
    await settle(world);
    expect(world.system.accepts(two.value ?? '')).toBe(false);
    expect((await get(world, 1)).value).toBe(one.value);
    expect(world.provider().count('issue')).toBe(2);
    world.exit(1);
    await settle(world);
    expect(world.cache.leases()).toEqual([]);
    expect(world.cache.keys()).toEqual([]);
  });

  it('beyond thirty new ones a minute clients share a lease, and are told so once', async () => {
    const world = await bench();
    for (let pid = 1; pid <= 30; pid += 1) await get(world, pid);
    const [over, also] = [await get(world, 31), await get(world, 32)];
    expect(over.value).toBe(also.value);
    await get(world, 31);
    const shared = world.broker.events({ limit: 999 }).filter(({ kind }) => kind === 'session-shared');
    expect(shared).toHaveLength(2);
    expect(world.log.text()).toContain('there were 30 new sessions within a minute');
    await world.clock.advance(MINUTE);
    expect((await get(world, 31)).value).not.toBe(over.value);
  });

  it('an asker that nothing is known of gets the shared lease', async () => {
    const world = await bench();
    const one = await world.get('db', { client: undefined });
    expect((await world.get('db', { client: undefined })).value).toBe(one.value);
    expect(world.broker.status().credentials).toMatchObject([{ sessions: 0 }]);
  });

  it('what has no lease is read once for everybody', async () => {
    const world = await bench([{ ...LEASED, engine: { kind: 'static' } }]);
    const one = await get(world, 1);
    expect((await get(world, 2)).value).toBe(one.value);
    expect((await get(world, 3)).value).toBe(one.value);
    expect(world.broker.status().credentials).toMatchObject([{ sessions: 0 }]);
    expect(world.log.text()).toContain('scope = "session" has no effect');
  });

  it('is given up with the configuration: the leases of all sessions end', async () => {
    const world = await bench();
    for (const pid of [1, 2]) await get(world, pid);
    world.reconfigure([{ name: 'db', engine: LEASED.engine }]);
    await settle(world);
    expect(revoked(world)).toHaveLength(2);
  });

  it('a person refreshes and drops the keys of all sessions', async () => {
    const world = await bench();
    const before = [await get(world, 1), await get(world, 2)];
    await world.finish(world.broker.refresh('db'));
    const after = [await get(world, 1), await get(world, 2)];
    expect(after.map(({ value }) => value)).not.toEqual(before.map(({ value }) => value));
    await world.finish(world.broker.invalidate('db'));
    await settle(world);
    for (const { value } of after) expect(world.system.accepts(value ?? '')).toBe(false);
  });
});
