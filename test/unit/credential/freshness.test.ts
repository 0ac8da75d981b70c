import { describe, expect, it } from 'vitest';
import { judgeFreshness, longestUsefulInterval } from '../../../src/credential/freshness.ts';
import { HOUR, type LifeSketch, living, MINUTE, SECOND, START } from '../../fakes/living.ts';

const POLICY = { turnMarginMs: 2 * MINUTE, maxStaleMs: 24 * HOUR };
const INTERVAL = 5 * MINUTE;
const fresh = { state: 'fresh', refreshBehind: false };
const behind = { state: 'fresh', refreshBehind: true };
const stale = { state: 'stale' };
const expired = { state: 'unfit', reason: 'expired' };
const tooStale = { state: 'unfit', reason: 'too-stale' };

const at = (sketch: LifeSketch, ageMs: number, intervalMs = INTERVAL) =>
  judgeFreshness(living(sketch), START + ageMs, intervalMs, POLICY);

describe('a key of unknown expiry', () => {
  it.each([
    ['just fetched', 0, fresh],
    ['one millisecond before its ttl', 15 * MINUTE - 1, fresh],
    ['past its ttl', 15 * MINUTE, behind],
    ['one millisecond before twice its ttl', 30 * MINUTE - 1, behind],
    ['past twice its ttl', 30 * MINUTE, stale],
    ['at max_stale', 24 * HOUR, stale],
    ['past max_stale', 24 * HOUR + 1, tooStale],
  ])('%s', (_what, ageMs, expected) => {
    expect(at({}, ageMs)).toEqual(expected);
  });
});

describe('a key that outlives its client or not', () => {
  const oneHour = { expiresInMs: HOUR };
  it.each([
    ['with interval and margin left', oneHour, 53 * MINUTE, fresh],
    ['with a millisecond less', oneHour, 53 * MINUTE + 1, stale],
    ['in its last millisecond', oneHour, HOUR - 1, stale],
    ['at its end', oneHour, HOUR, expired],
    ['long after', oneHour, 48 * HOUR, expired],
  ])('%s', (_what, sketch, ageMs, expected) => {
    expect(at(sketch, ageMs)).toEqual(expected);
  });

  it('is judged by the interval of whoever asks', () => {
    expect(at(oneHour, 30 * MINUTE, 28 * MINUTE)).toEqual(fresh);
    expect(at(oneHour, 30 * MINUTE, 28 * MINUTE + 1)).toEqual(stale);
    expect(at(oneHour, 57 * MINUTE, MINUTE)).toEqual(fresh);
  });

  it('is served until half its life where the provider grants less than the client wants', () => {
    const short = { lease: { lastsMs: 6 * MINUTE } };
    expect(at(short, 0)).toEqual(fresh);
    expect(at(short, 3 * MINUTE - 1)).toEqual(fresh);
    expect(at(short, 3 * MINUTE)).toEqual(stale);
    expect(at(short, 6 * MINUTE)).toEqual(expired);
  });
});

describe('a renewable lease', () => {
  const renewable = { lease: { lastsMs: 10 * MINUTE, maxMs: 24 * HOUR, renewable: true } };

  it('lives to its max TTL as long as its renewal is not overdue', () => {
    expect(at(renewable, 4 * MINUTE)).toEqual(fresh);
    expect(at(renewable, 7.5 * MINUTE)).toEqual(fresh);
    expect(at(renewable, 7.5 * MINUTE + 1)).toEqual(stale);
    expect(at(renewable, 10 * MINUTE)).toEqual(expired);
  });

  it('is as short as what its max TTL leaves', () => {
    const nearItsEnd = {
      confirmedAtMs: START + 20 * MINUTE,
      lease: { lastsMs: 30 * MINUTE, maxMs: 30 * MINUTE, renewable: true },
    };
    expect(at(nearItsEnd, 22 * MINUTE)).toEqual(fresh);
    expect(at(nearItsEnd, 24 * MINUTE)).toEqual(stale);
  });

  it('ends with its login', () => {
    const hanging = { lease: { lastsMs: HOUR }, login: { lastsMs: 20 * MINUTE } };
    expect(at(hanging, 13 * MINUTE)).toEqual(fresh);
    expect(at(hanging, 14 * MINUTE)).toEqual(stale);
    expect(at(hanging, 20 * MINUTE)).toEqual(expired);
  });
});

describe('the interval to set', () => {
  it('is one that every key granted like this outlives, even at half its life', () => {
    const sketch = { lease: { lastsMs: 10 * MINUTE } };
    const interval = longestUsefulInterval(living(sketch), POLICY.turnMarginMs);
    expect(interval).toBe(3 * MINUTE);
    expect(at(sketch, 5 * MINUTE, interval)).toEqual(fresh);
    expect(at(sketch, 5 * MINUTE, (interval ?? 0) + SECOND)).toEqual(stale);
  });

  it('is at least a second, and any where nothing limits the key', () => {
    expect(longestUsefulInterval(living({ lease: { lastsMs: MINUTE } }), POLICY.turnMarginMs)).toBe(SECOND);
    expect(longestUsefulInterval(living({}), POLICY.turnMarginMs)).toBeUndefined();
    expect(longestUsefulInterval(living({ lease: { lastsMs: MINUTE, renewable: true } }), 0)).toBeUndefined();
  });
});
