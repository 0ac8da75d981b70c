import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Freshness, judgeFreshness } from '../../src/credential/freshness.ts';
import { certainEnd, type KeyAndLogin, lifeStart, possibleEnd } from '../../src/credential/life.ts';
import { livingKeys, someTime, spans } from '../fakes/arbitraries.ts';
import { START } from '../fakes/living.ts';

const policies = fc.record({ turnMarginMs: spans, maxStaleMs: spans });
const RANK = { unfit: 0, stale: 1, fresh: 2 } as const;
const judged = (
  key: KeyAndLogin,
  nowMs: number,
  intervalMs: number,
  policy: { turnMarginMs: number; maxStaleMs: number },
) => judgeFreshness(key, nowMs, intervalMs, policy);

describe('freshness', () => {
  it('has an answer for every combination of times, those that make no sense included', () => {
    const anything = fc.oneof(someTime, fc.constantFrom(0, -1, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY));
    fc.assert(
      fc.property(livingKeys, anything, anything, policies, (key, now, interval, policy) => {
        expect(RANK[judged(key, now, interval, policy).state]).toBeDefined();
      }),
    );
  });

  it('never lets an expired key be served, whoever asks', () => {
    fc.assert(
      fc.property(livingKeys, spans, spans, policies, (key, lateMs, interval, policy) => {
        const end = certainEnd(key);
        fc.pre(end !== undefined);
        expect(judged(key, end + lateMs, interval, policy)).toEqual({ state: 'unfit', reason: 'expired' });
      }),
    );
  });

  /**
   * A longer interval never yields a shorter-lived key: what is fresh for it is fresh for every shorter one. Exempt,
   * by point 1, is an interval that the grants of this provider cannot satisfy: nothing better can be had for it, so
   * it is given in the first half of a life what a shorter interval would wait for.
   */
  it('never gives a longer interval a worse key, for intervals that the grants of the provider can satisfy', () => {
    fc.assert(
      fc.property(livingKeys, someTime, spans, spans, policies, (key, now, interval, more, policy) => {
        const end = possibleEnd(key);
        const granted = end === undefined ? Number.POSITIVE_INFINITY : end - lifeStart(key);
        fc.pre(granted >= interval + more + policy.turnMarginMs);
        const shorter = judged(key, now, interval, policy);
        const longer = judged(key, now, interval + more, policy);
        expect(RANK[longer.state]).toBeLessThanOrEqual(RANK[shorter.state]);
      }),
    );
  });

  it('calls fresh only what outlives its client, is renewed in time, or is the best there is', () => {
    fc.assert(
      fc.property(livingKeys, someTime, spans, policies, (key, now, interval, policy) => {
        const end = certainEnd(key);
        fc.pre(end !== undefined && judged(key, now, interval, policy).state === 'fresh');
        const wanted = interval + policy.turnMarginMs;
        const possible = possibleEnd(key) ?? Number.POSITIVE_INFINITY;
        const granted = possible - lifeStart(key);
        const isYoungestHalf = granted < wanted && now - lifeStart(key) < granted / 2;
        expect(end - now >= wanted || possible - now >= wanted || isYoungestHalf).toBe(true);
      }),
    );
  });

  it('only ever gets worse while nothing is refreshed', () => {
    const worth = (freshness: Freshness) =>
      RANK[freshness.state] * 2 - (freshness.state === 'fresh' && freshness.refreshBehind ? 1 : 0);
    fc.assert(
      fc.property(livingKeys, spans, spans, spans, policies, (key, age, more, interval, policy) => {
        const earlier = judged(key, START + age, interval, policy);
        const later = judged(key, START + age + more, interval, policy);
        expect(worth(later)).toBeLessThanOrEqual(worth(earlier));
      }),
    );
  });
});
