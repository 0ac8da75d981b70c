import { describe, expect, test } from 'vitest';
import type { LeaseRecord } from '../../fakes/dev-vault/leases.ts';
import { Audit } from './audit.ts';

const lease = (id: string, times: Partial<LeaseRecord> = {}): LeaseRecord => ({
  id,
  tokenId: 't',
  grant: { ttlMs: 60_000 },
  issuedAtMs: 1_000,
  maxExpiresAtMs: 61_000,
  expiresAtMs: 61_000,
  ...times,
});

describe('a replaced value', () => {
  function rotated(): Audit {
    const audit = new Audit();
    audit.stored('main', 'old', 0);
    audit.reached('old', 100);
    audit.stored('main', 'new', 10_000);
    return audit;
  }
  const flawAt = (audit: Audit, atMs: number, value = 'old') => audit.flawOf({ name: 'main', value, atMs });

  test('is right until the daemon can have learned of the next one', () => {
    const audit = rotated();
    expect(flawAt(audit, 25_000)).toBeUndefined();
    expect(flawAt(audit, 30_001)).toContain('has not asked since');
    audit.reached('new', 12_000);
    expect(flawAt(audit, 16_999)).toBeUndefined();
    expect(flawAt(audit, 17_001)).toContain('this daemon was told of another 5001 ms ago');
    expect(flawAt(audit, 17_001, 'new')).toBeUndefined();
  });

  test('is right for a daemon that is killed again and again before Vault has answered', () => {
    const audit = rotated();
    for (let atMs = 12_000; atMs < 100_000; atMs += 3_000) {
      audit.daemonEnded(atMs);
      expect(flawAt(audit, atMs + 2_900)).toBeUndefined();
    }
    audit.reached('new', 99_500);
    audit.daemonEnded(99_600);
    expect(flawAt(audit, 110_000)).toBeUndefined();
    expect(flawAt(audit, 119_700)).toContain('has not asked since');
  });

  test('is right while the machine stands still, and one of nobody never is', () => {
    expect(rotated().flawOf({ name: 'main', value: 'old', atMs: 90_000, isStalled: true })).toBeUndefined();
    expect(rotated().flawOf({ name: 'main', value: 'other', atMs: 90_000, isStalled: true })).toContain(
      'is not one of its',
    );
  });

  test('may be asked for before it is replaced', () => {
    const audit = rotated();
    audit.reached('new', 10_001);
    expect(flawAt(audit, 9_999)).toBeUndefined();
  });
});

describe('a lease', () => {
  test('that was revoked or has run out when it was asked for is wrong', () => {
    const audit = new Audit();
    const flaw = (atMs: number, times: Partial<LeaseRecord> = {}) =>
      audit.flawOf({ name: 'db', value: 'key', atMs }, lease('a', times));
    expect(flaw(60_000)).toBeUndefined();
    expect(flaw(61_001)).toContain('ended 1 ms ago');
    expect(flaw(30_000, { endedAtMs: 29_000 })).toContain('ended 1000 ms ago');
    expect(flaw(28_000, { endedAtMs: 29_000 })).toBeUndefined();
  });

  function afterKill(reachedAtMs: number | undefined, isServed = false) {
    const audit = new Audit();
    if (reachedAtMs !== undefined) audit.leaseReached('a', reachedAtMs);
    if (isServed) audit.flawOf({ name: 'db', value: 'key', atMs: 2_000 }, lease('a'));
    audit.daemonEnded(500);
    audit.daemonEnded(10_000);
    return (journalled: readonly string[], destroyedAtMs = 0) =>
      audit.forgotten({ live: () => [lease('a')] }, journalled, 20_000, destroyedAtMs);
  }

  test('whose answer had not reached the daemon, or just so, was in flight, however long ago it was granted', () => {
    expect(afterKill(undefined)([])).toEqual({ forgotten: [], inFlight: 1 });
    expect(afterKill(9_990)([])).toEqual({ forgotten: [], inFlight: 1 });
  });

  test('whose answer the daemon had is forgotten if it is not on record', () => {
    expect(afterKill(1_100)([]).forgotten).toEqual([
      'a, granted 9000 ms before a kill, its answer read 8900 ms before a kill, not served',
    ]);
    expect(afterKill(9_990, true)([]).forgotten).toHaveLength(1);
    expect(afterKill(1_100)(['a'])).toEqual({ forgotten: [], inFlight: 0 });
    expect(afterKill(1_100)([], 2_000)).toEqual({ forgotten: [], inFlight: 0 });
  });

  test('that nobody was killed after is forgotten if it is not on record', () => {
    const audit = new Audit();
    const at = (nowMs: number) => audit.forgotten({ live: () => [lease('a')] }, [], nowMs).forgotten;
    expect(at(20_000)).toHaveLength(1);
    // The daemon's view of a lease ends before Vault's does.
    expect(at(56_001)).toEqual([]);
  });
});
