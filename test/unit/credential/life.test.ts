import { describe, expect, it } from 'vitest';
import { canBeRenewed, certainEnd, hasUnknownLife, lifeStart, possibleEnd } from '../../../src/credential/life.ts';
import { HOUR, living, MINUTE, START } from '../../fakes/living.ts';

describe('how long a key lives', () => {
  it.each([
    ['a static secret', {}, undefined, undefined],
    ['a value with an end', { expiresInMs: HOUR }, HOUR, HOUR],
    ['a fixed lease', { lease: { lastsMs: HOUR } }, HOUR, HOUR],
    ['a renewable lease', { lease: { lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } }, HOUR, 24 * HOUR],
    ['a renewable lease without a known limit', { lease: { lastsMs: HOUR, renewable: true } }, HOUR, undefined],
    [
      'a lease with a value that ends sooner',
      { expiresInMs: 10 * MINUTE, lease: { lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } },
      10 * MINUTE,
      10 * MINUTE,
    ],
    [
      'a lease whose login dies sooner',
      { lease: { lastsMs: HOUR, loginId: 'login-1' }, login: { lastsMs: 20 * MINUTE } },
      20 * MINUTE,
      20 * MINUTE,
    ],
    [
      'a lease whose login can be renewed',
      { lease: { lastsMs: HOUR }, login: { lastsMs: 20 * MINUTE, maxMs: 2 * HOUR, renewable: true } },
      20 * MINUTE,
      HOUR,
    ],
    [
      'a renewable lease whose login has a max TTL',
      {
        lease: { lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true },
        login: { lastsMs: HOUR, maxMs: 4 * HOUR, renewable: true },
      },
      HOUR,
      4 * HOUR,
    ],
    ['a lease under a login without end', { lease: { lastsMs: HOUR }, login: {} }, HOUR, HOUR],
  ])('%s', (_what, sketch, certain, possible) => {
    const key = living(sketch);
    const sinceStart = (end: number | undefined) => (end === undefined ? undefined : end - START);
    expect(sinceStart(certainEnd(key))).toBe(certain);
    expect(sinceStart(possibleEnd(key))).toBe(possible);
    expect(hasUnknownLife(key)).toBe(certain === undefined);
  });

  it('can be renewed through its lease or through the login that it hangs on', () => {
    expect(canBeRenewed(living({ lease: { lastsMs: 1, renewable: true } }))).toBe(true);
    expect(canBeRenewed(living({ lease: { lastsMs: 1 }, login: { renewable: true } }))).toBe(true);
    expect(canBeRenewed(living({ lease: { lastsMs: 1 }, login: {} }))).toBe(false);
    expect(canBeRenewed(living({ login: { renewable: true } }))).toBe(false);
  });

  it('starts with the lease, or with the last confirmation of anything else', () => {
    expect(lifeStart(living({ confirmedAtMs: START + 5, lease: { lastsMs: HOUR } }))).toBe(START);
    expect(lifeStart(living({ confirmedAtMs: START + 5, expiresInMs: HOUR }))).toBe(START + 5);
  });
});
