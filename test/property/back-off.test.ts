import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type FailureFacts,
  type FailureRecord,
  isHeldOff,
  nextLoginAt,
  type RefusedLogins,
  recordFailure,
  withRefusedLogin,
} from '../../src/credential/back-off.ts';
import type { FailureConcern, FailureKind } from '../../src/errors.ts';
import { HOUR, MINUTE, SECOND, START } from '../fakes/living.ts';

const spans = fc.integer({ min: 0, max: 6 * HOUR });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const kinds = fc.constantFrom<FailureKind>('transient', 'login-expired', 'denied', 'gone', 'misconfigured');
const concerns = fc.constantFrom<FailureConcern>('secret', 'login', 'address');
const failure = fc.record({ kind: kinds, concerns, retryAfterMs: fc.option(spans, { nil: undefined }) });
const row = fc.array(fc.record({ failure, random: chance, gapMs: spans }), { minLength: 1, maxLength: 60 });

/** Times since the epoch as doubles are exact to a quarter of a microsecond. */
const EXACT_MS = 0.001;

/** The last record of such a row of failures, and when it was written. */
function recordAfter(failures: readonly { failure: FailureFacts; random: number; gapMs: number }[]) {
  let record: FailureRecord | undefined;
  let nowMs = START;
  for (const { failure: each, random, gapMs } of failures) {
    nowMs += gapMs;
    record = recordFailure(record, each, nowMs, random);
  }
  if (record === undefined) throw new TypeError('a row has at least one failure');
  return { record, nowMs };
}

describe('back-off', () => {
  it('stays within its bounds whatever happened before, and never under what the provider asked for, up to an hour', () => {
    fc.assert(
      fc.property(row, (failures) => {
        const { record, nowMs } = recordAfter(failures);
        const last = failures.at(-1)?.failure;
        const delay = record.nextAttemptAtMs - nowMs;
        const [from, to] = last?.kind === 'transient' ? [SECOND, 5 * MINUTE] : [10 * SECOND, 15 * MINUTE];
        const asked = Math.min(last?.retryAfterMs ?? 0, 60 * MINUTE);
        expect(delay).toBeGreaterThanOrEqual(Math.max(from, asked) - EXACT_MS);
        expect(delay).toBeLessThanOrEqual(Math.max(to, asked * 1.2) + EXACT_MS);
        expect(record.firstAtMs).toBe(START + (failures[0]?.gapMs ?? 0));
      }),
    );
  });

  it('lets an ask probe never later than the broker would itself, nor before Retry-After, and within a minute', () => {
    fc.assert(
      fc.property(row, (failures) => {
        const { record, nowMs } = recordAfter(failures);
        const asked = Math.min(failures.at(-1)?.failure.retryAfterMs ?? 0, 60 * MINUTE);
        const delay = record.probeAtMs - nowMs;
        expect(record.probeAtMs).toBeLessThanOrEqual(record.nextAttemptAtMs);
        expect(delay).toBeGreaterThanOrEqual(asked - EXACT_MS);
        const longest = record.kind === 'transient' ? MINUTE : 2 * MINUTE;
        expect(delay).toBeLessThanOrEqual(Math.max(longest, asked * 1.2) + EXACT_MS);
      }),
    );
  });

  it('ends an outage of up to five minutes within 15 s for those who ask, however often it was tried', () => {
    const tries = fc.array(fc.record({ random: chance, gapMs: fc.integer({ min: 1, max: 15 * SECOND }) }), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(tries, (all) => {
        const transient = { kind: 'transient', retryAfterMs: undefined, concerns: 'address' } as const;
        const { record, nowMs } = recordAfter(all.map((each) => ({ ...each, failure: transient })));
        fc.pre(nowMs - record.firstAtMs <= 4 * MINUTE);
        expect(record.probeAtMs - nowMs).toBeLessThan(15 * SECOND);
      }),
    );
  });

  it('ends by itself for those who ask', () => {
    fc.assert(
      fc.property(kinds, concerns, chance, spans, (kind, concern, random, now) => {
        const record = recordFailure(undefined, { kind, retryAfterMs: undefined, concerns: concern }, now, random);
        expect(isHeldOff(record, now, 'ask')).toBe(true);
        expect(isHeldOff(record, now + 20 * SECOND, 'ask')).toBe(false);
        expect(isHeldOff(record, now + 15 * MINUTE, 'unasked')).toBe(false);
        expect(isHeldOff(record, now, 'person')).toBe(false);
      }),
    );
  });

  it('never tries a refused login again without a reason, whatever happened before', () => {
    fc.assert(
      fc.property(row, chance, (failures, random) => {
        const { record: before, nowMs } = recordAfter(failures);
        const kind = failures[0]?.failure.kind ?? 'login-expired';
        const refused = { kind, retryAfterMs: undefined, concerns: 'login', isRefusedLogin: true } as const;
        const record = recordFailure(before, refused, nowMs, random);
        expect(record.nextAttemptAtMs).toBe(Number.POSITIVE_INFINITY);
        expect(record.probeAtMs).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });
});

describe('wrong logins', () => {
  it('are never more than two in any 15 minutes, whoever wants another one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 * MINUTE }), { maxLength: 40 }), (gaps) => {
        let refused: RefusedLogins = [];
        let nowMs = START;
        const made: number[] = [];
        for (const gapMs of gaps) {
          nowMs += gapMs;
          if (nextLoginAt(refused) > nowMs) continue;
          made.push(nowMs);
          refused = withRefusedLogin(refused, nowMs);
        }
        for (const atMs of made) {
          expect(made.filter((other) => other >= atMs && other < atMs + 15 * MINUTE).length).toBeLessThanOrEqual(2);
        }
        expect(refused.length).toBeLessThanOrEqual(2);
      }),
    );
  });
});
