import { describe, expect, it } from 'vitest';
import { nextRefreshAt, refreshAction, wantedLife } from '../../../src/credential/renewal.ts';
import { HOUR, type LifeSketch, living, MINUTE, SECOND, START } from '../../fakes/living.ts';

const NEEDS = { longestIntervalMs: 5 * MINUTE, turnMarginMs: 2 * MINUTE };
const dueAfter = (sketch: LifeSketch, random = 0, needs = NEEDS) =>
  nextRefreshAt(living(sketch), needs, random) - START;

describe('when to refresh ahead of need', () => {
  it.each([
    ['two thirds of a long life', { expiresInMs: 30 * HOUR }, 20 * HOUR],
    ['two thirds of a life of 24 minutes, where the rules meet', { expiresInMs: 24 * MINUTE }, 16 * MINUTE],
    ['in time for the client', { expiresInMs: 20 * MINUTE }, 12 * MINUTE],
    ['never before half of life', { expiresInMs: 15 * MINUTE }, 7.5 * MINUTE],
    ['half of a life too short for any client', { expiresInMs: MINUTE }, 30 * SECOND],
    ['two thirds of a ttl', {}, 10 * MINUTE],
    [
      'two thirds of a lease, to renew it',
      { lease: { lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } },
      40 * MINUTE,
    ],
    [
      'two thirds of a login that ends before the lease',
      { lease: { lastsMs: 3 * HOUR }, login: { lastsMs: HOUR, maxMs: 9 * HOUR, renewable: true } },
      40 * MINUTE,
    ],
    ['no sooner than five seconds after', { expiresInMs: 2 * SECOND }, 5 * SECOND],
  ])('%s', (_what, sketch, expected) => {
    expect(dueAfter(sketch)).toBe(expected);
  });

  it('listens to the longest interval', () => {
    expect(dueAfter({ expiresInMs: 3 * HOUR }, 0, { ...NEEDS, longestIntervalMs: 80 * MINUTE })).toBe(97 * MINUTE);
    expect(dueAfter({ expiresInMs: 3 * HOUR }, 0, { ...NEEDS, longestIntervalMs: 9 * HOUR })).toBe(90 * MINUTE);
  });

  it('is early by jitter, never late, and never before half of life', () => {
    expect(dueAfter({ expiresInMs: 30 * HOUR }, 0.5)).toBe(18.5 * HOUR);
    expect(dueAfter({ expiresInMs: 15 * MINUTE }, 0.999)).toBe(7.5 * MINUTE);
    expect(dueAfter({}, 0.999999)).toBeCloseTo(9 * MINUTE, -1);
  });
});

describe('what a refresh does', () => {
  const at = (sketch: LifeSketch, ageMs: number, isWaitedFor = false, needs = NEEDS) =>
    refreshAction(living(sketch), needs, START + ageMs, isWaitedFor);

  it('renews a lease while that can give life enough, and starts anew before its max TTL', () => {
    const day = { lease: { lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } };
    expect(at(day, 40 * MINUTE)).toBe('renew');
    const later = {
      confirmedAtMs: START + 15 * HOUR,
      lease: { lastsMs: 16 * HOUR, maxMs: 24 * HOUR, renewable: true },
    };
    expect(at(later, 15.6 * HOUR)).toBe('issue');
    expect(at(later, 16 * HOUR)).toBe('issue');
  });

  it('issues what cannot be renewed', () => {
    expect(at({}, MINUTE)).toBe('issue');
    expect(at({ expiresInMs: HOUR }, MINUTE)).toBe('issue');
    expect(at({ lease: { lastsMs: HOUR } }, MINUTE)).toBe('issue');
  });

  it('does not try to renew what has died already', () => {
    const dormant = { lease: { lastsMs: HOUR, maxMs: 24 * HOUR, renewable: true } };
    expect(at(dormant, HOUR)).toBe('issue');
    expect(at(dormant, 8 * HOUR)).toBe('issue');
  });

  it('does not renew a login for a lease that ends too soon for its client all the same', () => {
    const sketch = {
      lease: { lastsMs: 12 * MINUTE },
      login: { lastsMs: 10 * MINUTE, maxMs: 9 * HOUR, renewable: true },
    };
    expect(at(sketch, 4 * MINUTE)).toBe('renew');
    expect(at(sketch, 5.5 * MINUTE)).toBe('issue');
  });

  it('renews for clients that nothing outlives, but never lets somebody wait for what does not help', () => {
    const sketch = {
      lease: { lastsMs: 20 * MINUTE },
      login: { lastsMs: 10 * MINUTE, maxMs: 9 * HOUR, renewable: true },
    };
    const needs = { ...NEEDS, longestIntervalMs: HOUR };
    expect(at(sketch, 7 * MINUTE, false, needs)).toBe('renew');
    expect(at(sketch, 7 * MINUTE, true, needs)).toBe('issue');
  });

  it('wants a life that the longest interval, the margin and the refresh itself fit into', () => {
    expect(wantedLife(NEEDS)).toBe(8 * MINUTE);
  });
});
