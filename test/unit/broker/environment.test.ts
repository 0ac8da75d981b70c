import { describe, expect, it } from 'vitest';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { BrokerHarness, client } from '../../fakes/harness.ts';
import { HOUR, MINUTE } from '../../fakes/living.ts';

const LEASED = { kind: 'leased', lastsMs: HOUR } as const;
const bench = async (more: { allow?: readonly ['claude-code']; scope?: 'session' } = {}) =>
  new BrokerHarness({
    credentials: [{ name: 'db', engine: LEASED, ...more }],
    cache: await openTestCache(temporaryFolder()),
  });

describe('a key that is asked for an environment', () => {
  it.each([
    ['allow', { allow: ['claude-code'] }],
    ['scope = "session"', { scope: 'session' }],
  ] as const)('is refused where the credential has %s, before the provider is asked', async (setting, more) => {
    const world = await bench(more);
    const told = await world.get('db', { format: 'env', client: client(1) });
    expect(told).toMatchObject({ code: 'ERR_CALLER_REFUSED' });
    expect(told.error?.message).toContain(`(${setting})`);
    expect(told.error?.remedy).toContain(`without ${setting}`);
    expect(world.provider().count('issue')).toBe(0);
  });

  it('has a lease that is left to lapse when another key replaces it, although the asker has gone or has a newer one', async () => {
    const world = await bench();
    await world.get('db', { format: 'env', client: client(1) });
    expect(world.broker.events({ limit: 1 })).toMatchObject([{ kind: 'served', detail: { format: 'env' } }]);
    const [first] = world.system.leases.values();
    await world.finish(world.broker.refresh('db'));
    await world.get('db', { client: client(1), origin: 'other' });
    world.exited.add(1);
    await world.clock.advance(50 * MINUTE);
    expect(first?.revoked).toBe(false);
  });
});
