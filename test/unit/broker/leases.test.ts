import { describe, expect, it } from 'vitest';
import { sleep } from '../../../src/platform/waiting.ts';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, type CredentialSketch, client, type HarnessOptions } from '../../fakes/harness.ts';
import { HOUR, MINUTE, SECOND } from '../../fakes/living.ts';
import { failure } from '../../fakes/scripted-provider.ts';

const RENEWABLE = { kind: 'leased', lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } as const;
const FIXED = { kind: 'leased', lastsMs: HOUR } as const;
const LEASED = { name: 'db', engine: RENEWABLE };
const PLAIN = { origin: 'other' } as const;

async function bench(options: Partial<HarnessOptions> = {}) {
  return new BrokerHarness({ credentials: [LEASED], cache: await openTestCache(temporaryFolder()), ...options });
}

/** Asks every minute, as a busy client would. */
async function use(world: BrokerHarness, name: string, forMs: number, everyMs = MINUTE): Promise<string[]> {
  const values: string[] = [];
  for (let passed = 0; passed < forMs; passed += everyMs) {
    const { value, tookMs } = await world.get(name, PLAIN);
    expect(world.system.accepts(value ?? '')).toBe(true);
    expect(tookMs).toBe(0);
    if (value !== undefined && values.at(-1) !== value) values.push(value);
    await world.clock.advance(everyMs);
  }
  return values;
}

/** What is issued is on its way for a while. */
function answerLate(world: BrokerHarness): void {
  const provider = world.provider();
  const issue = provider.issue.bind(provider);
  provider.issue = async (request, call) => {
    const granted = await issue(request, call);
    await sleep(300, world.clock);
    return granted;
  };
}

describe('a renewable lease', () => {
  it('is renewed at two thirds of what was granted, and keeps its key', async () => {
    const world = await bench();
    expect(await use(world, 'db', 10 * HOUR)).toHaveLength(1);
    expect(world.provider().count('issue')).toBe(1);
    const renewals = world.provider().arrivals.filter(({ operation }) => operation === 'renew');
    // Between 54 % and 66 % of an hour: jitter takes up to a tenth off two thirds.
    expect(renewals.length).toBeGreaterThanOrEqual(14);
    expect(renewals.length).toBeLessThanOrEqual(18);
  });

  it('is replaced before its max TTL, without anybody waiting', async () => {
    const world = await bench();
    const values = await use(world, 'db', 3 * 24 * HOUR, 5 * MINUTE);
    expect(world.provider().count('issue')).toBe(values.length);
    expect(values.length).toBeGreaterThanOrEqual(4);
    expect(values.length).toBeLessThanOrEqual(7);
  });

  it('is replaced in time although the provider never says what its max TTL is', async () => {
    const world = await bench();
    const read = world.provider().issue.bind(world.provider());
    world.provider().issue = async (request, call) => {
      const secret = await read(request, call);
      return secret.lease === undefined ? secret : { ...secret, lease: { ...secret.lease, maxDurationMs: undefined } };
    };
    expect((await use(world, 'db', 30 * HOUR, 5 * MINUTE)).length).toBe(2);
  });

  it.each(['honest', undefined] as const)('that is gone is issued anew at once (hang: %s)', async () => {
    const world = await bench();
    const { value } = await world.get('db', PLAIN);
    world.system.revokeLease([...world.system.leases.keys()][0] ?? '');
    await use(world, 'other', 0);
    await world.clock.advance(41 * MINUTE);
    const { value: next } = await world.get('db', PLAIN);
    expect(next).not.toBe(value);
    expect(world.provider().count('renew')).toBe(1);
    expect(world.provider().count('issue')).toBe(2);
    expect(world.eventKinds()).toContain('lease-lost');
  });

  it('is kept through an outage shorter than what is left of it', async () => {
    const world = await bench();
    await world.get('db', PLAIN);
    await world.clock.advance(30 * MINUTE);
    world.provider().trouble = () => ({ error: failure.transient() });
    await world.clock.advance(25 * MINUTE);
    world.provider().trouble = () => ({});
    expect((await world.get('db', PLAIN)).state).toBeDefined();
    await world.clock.advance(5 * MINUTE);
    expect(world.provider().count('issue')).toBe(1);
    expect(await world.get('db', PLAIN)).toMatchObject({ state: 'fresh' });
  });

  it('that lapsed while nobody asked is issued anew, not renewed', async () => {
    const world = await bench();
    await world.get('db', PLAIN);
    await world.clock.advance(30 * HOUR);
    const renewals = world.provider().count('renew');
    const told = await world.get('db', PLAIN);
    expect(world.system.accepts(told.value ?? '')).toBe(true);
    expect(world.provider().count('renew')).toBe(renewals);
  });
});

describe('dormant credentials', () => {
  it('mint nothing: fifty of them, a whole night', async () => {
    const names = Array.from({ length: 50 }, (_, index) => `c${index}`);
    const world = await bench({
      credentials: names.map((name) => ({ name, engine: FIXED })),
      daemon: { idleAfterMs: 30 * MINUTE },
    });
    for (const name of names) await world.get(name, PLAIN);
    await world.clock.advance(31 * MINUTE);
    const calls = world.provider().arrivals.length;
    await world.clock.advance(12 * HOUR);
    expect(world.provider().arrivals.slice(calls)).toEqual([]);
    expect(world.system.liveLeases).toEqual([]);
    expect(world.clock.armed).toEqual([]);
    const told = await world.get('c7', PLAIN);
    expect(world.system.accepts(told.value ?? '')).toBe(true);
  });
});

describe('a replaced lease', () => {
  async function replaced(holders: readonly number[]) {
    const world = await bench();
    for (const pid of holders) await world.get('db', { ...PLAIN, client: client(pid) });
    const [first] = world.system.leases.values();
    await world.finish(world.broker.refresh('db'));
    if (first === undefined) throw new Error('no lease was issued');
    return { world, first };
  }

  it('is revoked when everybody who had it has had a newer one for turn_margin', async () => {
    const { world, first } = await replaced([1, 2]);
    await world.get('db', { ...PLAIN, client: client(1) });
    await world.clock.advance(10 * MINUTE);
    expect(first.revoked).toBe(false);
    await world.get('db', { ...PLAIN, client: client(2) });
    await world.clock.advance(2 * MINUTE - 1);
    expect(first.revoked).toBe(false);
    await world.clock.advance(MINUTE + 1);
    expect(first.revoked).toBe(true);
    expect(world.cache.leases()).toHaveLength(1);
  });

  it('is revoked when those who had it have exited', async () => {
    const { world, first } = await replaced([1, 2]);
    world.exited.add(1).add(2);
    await world.clock.advance(61 * SECOND);
    expect(first.revoked).toBe(true);
  });

  it('is left to lapse if it went to somebody who cannot be told', async () => {
    const world = await bench();
    await world.get('db', { ...PLAIN, client: undefined });
    const [first] = world.system.leases.values();
    await world.finish(world.broker.refresh('db'));
    await world.clock.advance(70 * MINUTE);
    expect(first?.revoked).toBe(false);
    expect(world.cache.leases().map(({ lease }) => lease.id)).not.toContain(first?.id);
  });

  it('is not revoked under a client whose answer was still on its way when it was replaced', async () => {
    const world = await bench();
    const late = await world.get('db', { ...PLAIN, delivered: false });
    const [first] = world.system.leases.values();
    await world.finish(world.broker.refresh('db'));
    late.deliver();
    await world.clock.advance(5 * MINUTE);
    expect(first?.revoked).toBe(false);
    await world.get('db', PLAIN);
    await world.clock.advance(4 * MINUTE);
    expect(first?.revoked).toBe(true);
  });

  it('is revoked although other leases are replaced all the time', async () => {
    const names = Array.from({ length: 30 }, (_, index) => `c${index}`);
    const world = await bench({ credentials: names.map((name) => ({ name, engine: FIXED })) });
    for (const name of names) await world.get(name, PLAIN);
    const first = [...world.system.leases.values()];
    world.exited.add(1);
    for (const name of names) {
      await world.finish(world.broker.refresh(name));
      await world.clock.advance(20 * SECOND);
    }
    expect(first.filter(({ revoked }) => revoked).length).toBeGreaterThanOrEqual(25);
  });

  it('whose revocation is denied is said once and then left to lapse', async () => {
    const { world } = await replaced([1]);
    world.exited.add(1);
    world.provider().trouble = ({ operation }) => (operation === 'revoke' ? { error: failure.denied() } : {});
    await world.clock.advance(30 * MINUTE);
    expect(world.provider().count('revoke')).toBe(1);
    expect(world.eventKinds().filter((kind) => kind === 'lease-not-revoked')).toHaveLength(1);
  });

  it('whose revocation fails is revoked later, by one call at a time', async () => {
    const { world, first } = await replaced([1]);
    world.exited.add(1);
    world.provider().trouble = ({ operation }) => (operation === 'revoke' ? { error: failure.transient() } : {});
    await world.clock.advance(5 * MINUTE);
    world.provider().trouble = () => ({ delayMs: 5 * SECOND });
    await world.clock.advance(10 * MINUTE);
    expect(first.revoked).toBe(true);
    expect(world.provider().crowd.get(first.id)).toBe(1);
  });

  it('is revoked at once with the key that a person drops', async () => {
    const world = await bench();
    await world.get('db', PLAIN);
    await world.broker.invalidate('db');
    expect(world.system.liveLeases).toEqual([]);
    expect(world.cache.leases()).toEqual([]);
  });

  it('is revoked for a credential that the configuration no longer has', async () => {
    const world = await bench({ credentials: [LEASED, { name: 'other', engine: { kind: 'static' } }] });
    await world.get('db', PLAIN);
    world.exited.add(1);
    world.reconfigure(world.credentials.filter(({ name }) => name === 'other'));
    await world.clock.advance(61 * SECOND);
    expect(world.system.liveLeases).toEqual([]);
  });

  it('is revoked for a credential that the configuration reads elsewhere now', async () => {
    const world = await bench();
    await world.get('db', PLAIN);
    world.exited.add(1);
    world.reconfigure([{ ...LEASED, path: 'elsewhere' }]);
    await world.clock.advance(61 * SECOND);
    expect(world.system.liveLeases).toEqual([]);
  });
});

describe('a lease that was granted and is of no use', () => {
  const ANY: CredentialSketch = { name: 'db', engine: FIXED };

  it('because there is no such field is revoked, each time it is tried', async () => {
    const world = await bench({ credentials: [ANY] });
    spoil(world, () => ({ other: 'x' }));
    expect((await world.get('db', PLAIN)).code).toBe('ERR_PROVIDER_MISCONFIGURED');
    await world.clock.advance(61 * SECOND);
    await world.get('db', PLAIN);
    await world.clock.advance(61 * SECOND);
    world.provider().trouble = ({ operation }) => (operation === 'issue' ? { error: failure.transientOfOne() } : {});
    await world.clock.advance(61 * SECOND);
    expect(world.system.leases.size).toBeGreaterThan(1);
    expect(world.system.liveLeases).toEqual([]);
    expect(world.cache.leases()).toEqual([]);
  });

  it('because its key is dead already is revoked', async () => {
    const world = await bench({ credentials: [ANY] });
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    spoil(world, () => ({ value: `${part({ alg: 'none' })}.${part({ exp: world.clock.now() / 1000 - 60 })}.x` }));
    expect((await world.get('db', PLAIN)).code).toBe('ERR_NO_FIT_KEY');
    expect(world.system.leases.size).toBeGreaterThan(0);
    world.provider().trouble = ({ operation }) => (operation === 'issue' ? { error: failure.transientOfOne() } : {});
    await world.clock.advance(61 * SECOND);
    expect(world.system.liveLeases).toEqual([]);
  });

  it('is revoked by the next daemon, if there is no time for it', async () => {
    const folder = temporaryFolder();
    const world = await bench({ credentials: [ANY], cache: await openTestCache(folder) });
    spoil(world, () => ({ other: 'x' }));
    await world.get('db', PLAIN);
    world.crash(await openTestCache(folder));
    await world.clock.advance(SECOND);
    expect(world.system.liveLeases).toEqual([]);
  });

  it('because its provider is configured in another way by now is revoked there', async () => {
    const world = await bench({
      credentials: [
        { ...ANY, provider: 'aws' },
        { name: 'other', engine: { kind: 'static' } },
      ],
    });
    world.provider('aws').trouble = () => ({ delayMs: 500 });
    const asked = world.ask('db', PLAIN);
    await world.clock.advance(100);
    world.reconfigure([{ name: 'other', engine: { kind: 'static' } }]);
    await world.finish(asked);
    expect(world.system.liveLeases).toHaveLength(1);
    await world.clock.advance(62 * SECOND);
    expect(world.system.liveLeases).toEqual([]);
    expect(world.provider('aws').closed).toBe(true);
  });

  it('is not waited for when its provider hangs and is configured in another way', async () => {
    const world = await bench({
      credentials: [
        { ...ANY, provider: 'aws' },
        { name: 'other', engine: { kind: 'static' } },
      ],
    });
    world.provider('aws').trouble = () => ({ hang: 'honest' });
    const asked = world.ask('db', PLAIN);
    await world.clock.advance(100);
    world.reconfigure([{ name: 'other', engine: { kind: 'static' } }]);
    expect(await world.finish(asked)).toMatchObject({ code: 'ERR_UNKNOWN_CREDENTIAL', tookMs: 1_100 });
    expect(world.provider('aws').closed).toBe(true);
  });

  /** What the provider returns in place of its key, with a lease all the same. */
  function spoil(world: BrokerHarness, json: () => Record<string, unknown>): void {
    const provider = world.provider();
    const issue = provider.issue.bind(provider);
    provider.issue = async (request, call) => ({
      ...(await issue(request, call)),
      content: { kind: 'json', json: json() },
    });
  }
});

describe('a lease whose renewal was sent and not answered', () => {
  async function unanswered() {
    const folder = temporaryFolder();
    const engine = { ...RENEWABLE, lastsMs: 6 * HOUR } as const;
    const world = await bench({ credentials: [{ name: 'db', engine }], cache: await openTestCache(folder) });
    await use(world, 'db', 3 * HOUR, 10 * MINUTE);
    const [first] = world.system.leases.values();
    if (first === undefined) throw new Error('no lease was issued');
    // The provider extends it; the process that asked for that is gone before the answer comes.
    world.provider().trouble = ({ operation }) => (operation === 'renew' ? { hang: 'deaf' } : {});
    while (world.provider().count('renew') === 0) await world.clock.advanceToNext();
    first.expiresAtMs = world.clock.now() + 6 * HOUR;
    world.provider().trouble = () => ({});
    world.crash(await openTestCache(folder));
    return { world, folder, first };
  }

  it('is revoked after a crash, although it should have ended by then', async () => {
    const { world, folder, first } = await unanswered();
    await world.clock.advance(3 * HOUR);
    world.crash(await openTestCache(folder));
    await world.get('db', { ...PLAIN, client: client(2) });
    await world.clock.advance(62 * MINUTE);
    expect(first.revoked).toBe(true);
    expect(world.cache.leases()).toHaveLength(1);
  });

  it('is forgotten when it can have lived no longer', async () => {
    const { world, folder, first } = await unanswered();
    await world.clock.advance(9 * HOUR);
    world.crash(await openTestCache(folder));
    expect(world.cache.leases()).toEqual([]);
    expect(first.revoked).toBe(false);
  });
});

describe('a lease hangs on its login', () => {
  it('lives no longer than the login, which is renewed while leases hang on it', async () => {
    const world = await bench();
    world.system.loginPolicy = { lastsMs: 20 * MINUTE, maxMs: 48 * HOUR, renewable: true };
    expect(await use(world, 'db', 10 * HOUR)).toHaveLength(1);
    expect(world.provider().count('renewLogin')).toBeGreaterThan(10);
  });

  it('is replaced before the max TTL of the login, and the old login is retired', async () => {
    const world = await bench();
    world.system.loginPolicy = { lastsMs: HOUR, maxMs: 4 * HOUR, renewable: true };
    const values = await use(world, 'db', 12 * HOUR);
    expect(values.length).toBeGreaterThanOrEqual(3);
    expect([...world.system.logins.values()].filter(({ revoked }) => revoked).length).toBeGreaterThanOrEqual(2);
  });

  it('that cannot be renewed itself is kept by renewing the login, without being reissued', async () => {
    const world = await bench({ credentials: [{ name: 'db', engine: { kind: 'leased', lastsMs: 8 * HOUR } }] });
    world.system.loginPolicy = { lastsMs: 30 * MINUTE, maxMs: 48 * HOUR, renewable: true };
    expect(await use(world, 'db', 4 * HOUR)).toHaveLength(1);
    expect(world.provider().count('renew')).toBe(0);
    expect(world.provider().count('issue')).toBe(1);
  });

  it('renews the login once for all the leases that hang on it', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const world = await bench({
      credentials: names.map((name) => ({ name, engine: { kind: 'leased', lastsMs: 8 * HOUR } })),
    });
    world.system.loginPolicy = { lastsMs: 30 * MINUTE, maxMs: 48 * HOUR, renewable: true };
    for (const name of names) await world.get(name, PLAIN);
    world.provider().trouble = () => ({ delayMs: SECOND });
    await world.clock.advance(25 * MINUTE);
    expect(world.provider().crowd.get('login-1')).toBe(1);
    expect(world.provider().count('renewLogin')).toBeGreaterThan(0);
  });

  it('that went with its login is issued anew', async () => {
    const world = await bench();
    world.system.loginPolicy = { lastsMs: HOUR, maxMs: 4 * HOUR, renewable: true };
    await world.get('db', PLAIN);
    for (const entry of world.system.logins.values()) entry.revoked = true;
    await world.clock.advance(41 * MINUTE);
    const told = await world.get('db', PLAIN);
    expect(world.system.accepts(told.value ?? '')).toBe(true);
  });
});

describe('a stop', () => {
  it('waits for a lease that is being issued, which is then on record for the next daemon', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    answerLate(world);
    const asked = world.ask('db', PLAIN);
    await world.clock.advance(100);
    await world.finish(world.broker.stop());
    await world.finish(asked);
    expect(world.system.liveLeases).toHaveLength(1);
    world.cache.close();
    world.crash(await openTestCache(folder));
    expect(world.cache.leases().map(({ lease }) => lease.id)).toEqual(world.system.liveLeases.map(({ id }) => id));
  });

  it('waits a second for that, and not at all for a secret without a lease', async () => {
    const world = await bench({ credentials: [{ name: 'db', engine: { kind: 'static' } }] });
    await world.get('db', PLAIN);
    world.provider().trouble = () => ({ hang: 'honest' });
    const refreshing = world.broker.refresh('db').catch(() => undefined);
    await world.clock.advance(100);
    await world.broker.stop();
    await refreshing;
    const other = await bench();
    other.provider().trouble = () => ({ hang: 'honest' });
    const asked = other.ask('db', PLAIN);
    await other.clock.advance(100);
    const before = other.clock.now();
    await other.finish(other.broker.stop());
    expect(other.clock.now() - before).toBe(SECOND);
    await asked;
  });

  it('revokes nothing by itself, so that a restart loses nothing', async () => {
    const world = await bench();
    await world.get('db', PLAIN);
    await world.broker.stop();
    expect(world.system.liveLeases).toHaveLength(1);
    expect(world.clock.armed).toEqual([]);
  });

  it('that is to leave nothing behind revokes every lease and login', async () => {
    const world = await bench({ credentials: ['a', 'b'].map((name) => ({ name, engine: RENEWABLE })) });
    world.system.loginPolicy = { lastsMs: HOUR, maxMs: 4 * HOUR, renewable: true };
    world.provider().trouble = () => ({ delayMs: 100 });
    await world.get('a', PLAIN);
    await world.get('b', PLAIN);
    await world.finish(world.broker.revokeLeases());
    await world.broker.stop();
    expect(world.system.liveLeases).toEqual([]);
    expect(world.provider().count('retireLogin')).toBeGreaterThan(0);
    expect(world.provider().closed).toBe(true);
  });

  it('that revoked a lease leaves no key of it to the next daemon', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    const { value } = await world.get('db', PLAIN);
    await world.finish(world.broker.revokeLeases());
    await world.broker.stop();
    world.cache.close();
    world.crash(await openTestCache(folder));
    const told = await world.get('db', PLAIN);
    expect(told.value).not.toBe(value);
    expect(world.system.accepts(told.value ?? '')).toBe(true);
  });

  it.each([
    ['hangs', () => ({ delayMs: HOUR })],
    ['is down', () => ({ error: failure.transient() })],
  ])('while the provider %s leaves its leases to the next daemon, which revokes them at once', async (_, trouble) => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    await world.get('db', PLAIN);
    world.provider().trouble = trouble;
    const revoking = world.broker.revokeLeases();
    await world.broker.stop();
    await revoking;
    world.cache.close();
    world.provider().trouble = () => ({});
    world.crash(await openTestCache(folder));
    expect(world.cache.leases()).toHaveLength(1);
    await world.clock.advance(SECOND);
    expect(world.system.liveLeases).toEqual([]);
    expect(world.cache.leases()).toEqual([]);
  });
});

describe('an invalidated key', () => {
  it('whose provider is down keeps its lease on record until it can be revoked', async () => {
    const world = await bench();
    await world.get('db', PLAIN);
    world.provider().trouble = () => ({ error: failure.transient() });
    await world.finish(world.broker.invalidate('db'));
    expect(world.eventKinds()).toContain('lease-not-revoked');
    expect(world.system.liveLeases).toHaveLength(1);
    world.provider().trouble = () => ({});
    await world.clock.advance(10 * MINUTE);
    expect(world.system.liveLeases).toEqual([]);
  });
});

describe('after a crash', () => {
  it('between grant and answer that lease is known to nobody and was given to nobody; the next daemon takes another', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    answerLate(world);
    void world.ask('db', PLAIN);
    await world.clock.advance(100);
    const [first] = world.system.liveLeases;
    world.crash(await openTestCache(folder));
    await world.clock.advance(SECOND);
    expect(world.cache.leases()).toEqual([]);
    const told = await world.get('db', PLAIN);
    expect(told.value).not.toBe(first?.value);
    expect(world.cache.leases().map(({ lease }) => `key:${lease.id}`)).not.toContain(first?.value);
    await world.clock.advance(HOUR);
    expect(world.system.liveLeases).not.toContain(first);
  });

  it('the lease on record is used and renewed, not issued anew', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    const { value } = await world.get('db', PLAIN);
    world.cache.close();
    world.crash(await openTestCache(folder));
    expect(await world.get('db', PLAIN)).toMatchObject({ value, tookMs: 0 });
    await world.clock.advance(41 * MINUTE);
    expect(world.provider().count('renew')).toBe(1);
    expect(world.provider().count('issue')).toBe(1);
  });

  it('a lease whose key never reached the cache is revoked', async () => {
    const folder = temporaryFolder();
    const cache = await openTestCache(folder);
    const world = await bench({ cache });
    cache.put = () => {
      throw new Error('killed');
    };
    await world.get('db', PLAIN);
    expect(world.system.liveLeases.length).toBeGreaterThan(0);
    world.crash(await openTestCache(folder));
    await world.clock.advance(2 * MINUTE);
    expect(world.system.liveLeases).toEqual([]);
  });

  it('a lease that was replaced before is revoked when whoever had it must have asked again', async () => {
    const folder = temporaryFolder();
    const world = await bench({ cache: await openTestCache(folder) });
    await world.get('db', PLAIN);
    const [first] = world.system.leases.values();
    await world.finish(world.broker.refresh('db'));
    world.crash(await openTestCache(folder));
    await world.clock.advance(30 * MINUTE);
    expect(first?.revoked).toBe(false);
    await world.clock.advance(35 * MINUTE);
    expect(world.cache.leases().map(({ lease }) => lease.id)).not.toContain(first?.id);
  });

  // What was lost with the power may have been that the key was revoked.
  it.each([
    ['a lease is renewed', LEASED, 'renew', 1],
    ['a lease that cannot be is replaced', { name: 'db', engine: FIXED }, 'issue', 2],
    ['a secret is read again', { name: 'db', engine: { kind: 'static' } }, 'issue', 2],
  ] as const)(
    'the stored key is served at once, and behind the answer %s, once',
    async (_, sketch, operation, count) => {
      const folder = temporaryFolder();
      const world = await bench({ credentials: [sketch], cache: await openTestCache(folder) });
      const { value } = await world.get('db', PLAIN);
      await world.clock.advance(MINUTE);
      world.cache.close();
      world.afterUncleanEnd = true;
      world.crash(await openTestCache(folder));
      await world.clock.advance(MINUTE);
      expect(world.provider().count(operation)).toBe(count - 1);
      expect(await world.get('db', PLAIN)).toMatchObject({ value, tookMs: 0 });
      await world.clock.advance(SECOND);
      expect(world.provider().count(operation)).toBe(count);
      await world.get('db', PLAIN);
      await world.clock.advance(SECOND);
      expect(world.provider().count(operation)).toBe(count);
    },
  );
});
