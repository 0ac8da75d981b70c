import { describe, expect, it } from 'vitest';
import {
  allowsStale,
  dropsKey,
  type FailureFacts,
  type FailureRecord,
  isHeldOff,
  nextAttemptFor,
  recordFailure,
} from '../../../src/credential/back-off.ts';
import type { FailureKind } from '../../../src/errors.ts';
import { HOUR, MINUTE, SECOND, START } from '../../fakes/living.ts';

const transient = { kind: 'transient', retryAfterMs: undefined } as const;
const denied = { kind: 'denied', retryAfterMs: undefined } as const;

function afterFailures(count: number, failure: { kind: FailureKind; retryAfterMs: undefined }, random: number): number {
  let record: FailureRecord | undefined;
  for (let index = 0; index < count; index += 1) record = recordFailure(record, failure, START, random);
  return (record?.nextAttemptAtMs ?? 0) - START;
}

describe('back-off', () => {
  it('draws from one second to a ceiling that doubles up to five minutes', () => {
    expect([1, 2, 3, 8, 9, 1000].map((count) => afterFailures(count, transient, 0))).toEqual(Array(6).fill(SECOND));
    expect([1, 2, 3, 8, 9, 1000].map((count) => afterFailures(count, transient, 1))).toEqual([
      2 * SECOND,
      4 * SECOND,
      8 * SECOND,
      256 * SECOND,
      5 * MINUTE,
      5 * MINUTE,
    ]);
  });

  it('asks again for what a person has to put right after ten seconds, then half as often each time, to two minutes', () => {
    const waits = [10, 20, 40, 80, 120, 120].map((seconds) => seconds * SECOND);
    for (const random of [0, 0.9]) {
      expect([1, 2, 3, 4, 5, 30].map((count) => afterFailures(count, denied, random))).toEqual(waits);
    }
  });

  it('asks a misconfigured provider no sooner than after half a minute, unless somebody asks for the key', () => {
    const misconfigured = { kind: 'misconfigured', retryAfterMs: undefined } as const;
    expect([1, 2, 30].map((count) => afterFailures(count, misconfigured, 0.999999))).toEqual([
      expect.closeTo(MINUTE, -2),
      expect.closeTo(2 * MINUTE, -2),
      expect.closeTo(15 * MINUTE, -4),
    ]);
    expect(recordFailure(undefined, misconfigured, START, 0.5).probeAtMs).toBe(START + 10 * SECOND);
  });

  it('lets an ask probe 10 to 14 s after the last try, and in a long outage within a minute', () => {
    const long: FailureRecord = {
      kind: 'transient',
      failures: 20,
      firstAtMs: START - 2 * 60 * MINUTE,
      lastAtMs: START,
      nextAttemptAtMs: START,
      probeAtMs: START,
    };
    const probe = (before: FailureRecord, random: number) =>
      recordFailure(before, transient, START, random).probeAtMs - START;
    const fifth = { ...long, failures: 4 };
    expect([probe(fifth, 0.5), probe(fifth, 0.999)].map(Math.round)).toEqual([12 * SECOND, 13_996]);
    expect([probe(long, 0.5), probe(long, 0.999)].map(Math.round)).toEqual([35 * SECOND, 59_950]);
  });

  it('lets whoever was given a stale key look 10 to 14 s after the last try, and later after an eighth of the outage', () => {
    const waitFor = (ageMs: number, failure: FailureFacts = transient) => {
      let record = recordFailure(undefined, failure, START - ageMs, 0.9);
      for (let tries = 1; tries < 9; tries += 1) record = recordFailure(record, failure, START, 0.9);
      return nextAttemptFor(record, 'behind') - START;
    };
    expect(waitFor(MINUTE)).toBe(13.6 * SECOND);
    expect(waitFor(8 * MINUTE)).toBe(MINUTE);
    expect(waitFor(3 * HOUR)).toBeCloseTo(270.1 * SECOND, -3);
    expect(waitFor(MINUTE, { kind: 'misconfigured', retryAfterMs: undefined })).toBeGreaterThan(2 * MINUTE);
  });

  it("counts an ask's wait from the last try, not from when that was given up", () => {
    const hung = { ...transient, waitedMs: 8 * SECOND };
    expect(recordFailure(undefined, hung, START, 0.5).probeAtMs).toBe(START + 1.5 * SECOND);
    const before = recordFailure(recordFailure(undefined, hung, START, 0.9), hung, START, 0.9);
    expect(recordFailure(before, hung, START, 0.9).probeAtMs - START).toBeCloseTo(5.6 * SECOND, -1);
    expect(recordFailure(before, { ...hung, waitedMs: MINUTE }, START, 0.9).probeAtMs).toBe(START + SECOND);
    expect(recordFailure(before, { ...hung, retryAfterMs: MINUTE }, START, 0).probeAtMs).toBe(START + MINUTE);
  });

  it('never tries a refused login again, except where a limit of our own was in the way', () => {
    const refused = {
      kind: 'login-expired',
      retryAfterMs: undefined,
      concerns: 'login',
      isRefusedLogin: true,
    } as const;
    expect(recordFailure(undefined, refused, START, 0.5)).toMatchObject({
      nextAttemptAtMs: Number.POSITIVE_INFINITY,
      probeAtMs: Number.POSITIVE_INFINITY,
    });
    const limited = { ...refused, retryAfterMs: 10 * MINUTE };
    expect(recordFailure(undefined, limited, START, 0).probeAtMs).toBe(START + 10 * MINUTE);
  });

  it('starts counting anew when the failure is of another kind, but remembers since when it fails', () => {
    const first = recordFailure(undefined, transient, START, 0.5);
    const second = recordFailure(first, denied, START + SECOND, 0.5);
    expect(second).toMatchObject({ kind: 'denied', failures: 1, firstAtMs: START, lastAtMs: START + SECOND });
  });

  it('honours Retry-After, and spreads those who were turned away together', () => {
    const asked = { kind: 'transient', retryAfterMs: MINUTE } as const;
    expect(recordFailure(undefined, asked, START, 0).nextAttemptAtMs).toBe(START + MINUTE);
    expect(recordFailure(undefined, asked, START, 0.5).nextAttemptAtMs).toBe(START + 66 * SECOND);
    const short = { kind: 'transient', retryAfterMs: 10 } as const;
    expect(recordFailure(undefined, short, START, 0.5).nextAttemptAtMs).toBe(START + 1.5 * SECOND);
  });

  it.each([
    ['a day', 24 * 60 * MINUTE],
    ['for ever', Number.POSITIVE_INFINITY],
  ])('believes a Retry-After of %s for one hour', (_, retryAfterMs) => {
    const asked = { kind: 'transient', retryAfterMs } as const;
    expect(recordFailure(undefined, asked, START, 0).nextAttemptAtMs).toBe(START + 60 * MINUTE);
    expect(recordFailure(undefined, asked, START, 0.5).nextAttemptAtMs).toBe(START + 66 * MINUTE);
  });

  it('holds off until the moment it names', () => {
    const record = recordFailure(undefined, transient, START, 0);
    expect(isHeldOff(record, START + SECOND - 1, 'unasked')).toBe(true);
    expect(isHeldOff(record, START + SECOND, 'unasked')).toBe(false);
    expect(isHeldOff(record, START, 'person')).toBe(false);
  });

  it.each([
    ['transient', true, false],
    ['login-expired', true, false],
    ['denied', false, true],
    ['gone', false, true],
    ['misconfigured', false, false],
  ] as const)('%s: stale served %s, key dropped %s', (kind, stale, dropped) => {
    expect(allowsStale(kind)).toBe(stale);
    expect(dropsKey(kind)).toBe(dropped);
  });
});
