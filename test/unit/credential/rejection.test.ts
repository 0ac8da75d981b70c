import { describe, expect, it } from 'vitest';
import { doubtMarked, secondLookAt } from '../../../src/credential/marks.ts';
import {
  type CandidateKey,
  type ClientHistory,
  type Evidence,
  type JudgedAsk,
  judgeEarly,
  judgeExplained,
  judgeInTime,
  NO_HISTORY,
  recordServed,
  suspicionOf,
  wantsNewLease,
} from '../../../src/credential/rejection.ts';
import {
  FULL_BUDGET,
  mayRead,
  noteIssue,
  noteReadBegun,
  noteReadEnded,
  noteSuspicion,
} from '../../../src/credential/suspicion-reads.ts';

const key = (digest: string, more: Partial<CandidateKey> = {}): CandidateKey => ({
  digest,
  leased: false,
  jwtExpiresAtMs: undefined,
  confirmedAtMs: 0,
  ...more,
});

const ask = (nowMs: number, more: Partial<JudgedAsk> = {}): JudgedAsk => ({
  nowMs,
  wallMs: nowMs,
  intervalMs: 300_000,
  format: 'raw',
  strikable: true,
  saysRejected: false,
  askingIsDear: false,
  key: key('a'),
  ...more,
});

/** A client that was served `a` at 0. */
const served: ClientHistory = recordServed(NO_HISTORY, { digest: 'a', atMs: 0, atWallMs: 0 });
const CONFIRMED: Evidence = { provider: 'confirmed' };
const SILENT: Evidence = { provider: 'silent' };

/** What becomes of early asks at these times, each answer written at once: S, R (77), N (75). */
function sequence(
  history: ClientHistory,
  steps: readonly (readonly [atMs: number, Evidence, Partial<JudgedAsk>?])[],
): string {
  let now = history;
  return steps
    .map(([atMs, evidence, more]) => {
      const asked = ask(atMs, more);
      const { answer, reason, history: next } = judgeEarly(now, asked, evidence);
      now = answer === 'serve' ? recordServed(next, { digest: asked.key.digest, atMs, atWallMs: atMs }) : next;
      return answer === 'serve' ? 'S' : reason === 'no-verdict' ? 'N' : 'R';
    })
    .join('');
}

describe('suspicion', () => {
  it.each([
    ['under 90 % of its interval', {}, 'early'],
    ['in time', { nowMs: 270_000, wallMs: 270_000 }, 'none'],
    ['in time by the wall clock, which somebody set', { wallMs: 500_000 }, 'none'],
    ['in time by the boot clock', { nowMs: 500_000 }, 'none'],
    ['a JWT that ends within a minute', { key: key('a', { jwtExpiresAtMs: 69_000 }) }, 'none'],
    ['for headers, confirmed just now', { format: 'headers', key: key('a', { confirmedAtMs: 9_000 }) }, 'none'],
    ['for headers, confirmed a minute ago', { format: 'headers', nowMs: 60_000, wallMs: 60_000 }, 'stale'],
    [
      'for headers, leased',
      { format: 'headers', nowMs: 60_000, wallMs: 60_000, key: key('a', { leased: true }) },
      'none',
    ],
    ['for headers, where asking runs a command', { format: 'headers', nowMs: 60_000, askingIsDear: true }, 'none'],
    ['for a proxy', { format: 'proxy' }, 'early'],
    ['for AWS', { format: 'aws' }, 'early'],
    [
      'an interval of a second, confirmed half a minute ago',
      { intervalMs: 1_000, nowMs: 30_000, wallMs: 30_000 },
      'stale',
    ],
    ['an interval of 0, confirmed just now', { intervalMs: 0 }, 'none'],
    ['a script that says so', { saysRejected: true, nowMs: 500_000, wallMs: 500_000 }, 'early'],
  ] as const)('%s', (_, more, expected) => {
    expect(suspicionOf(served, ask(10_000, more))).toBe(expected);
  });

  it('a client that was served nothing yet has no reason to be suspected', () => {
    expect(suspicionOf(NO_HISTORY, ask(10_000))).toBe('none');
  });
});

describe('a chain', () => {
  it('old value, confirmed: served once, then three refusals, with one serve after every three', () => {
    const steps = [1, 3.2, 6, 11, 20, 29, 38].map((s) => [s * 1_000, CONFIRMED] as const);
    expect(sequence(served, steps)).toBe('SRRRSRR');
  });

  it('new value, confirmed: two refusals, one serve, and so on', () => {
    const steps = [1, 3.2, 6, 11, 20, 29].map((s) => [s * 1_000, CONFIRMED, { key: key('b') }] as const);
    expect(sequence(served, steps)).toBe('SRRSRR');
  });

  it('within two seconds of a refusal an ask is served: it may be the echo of a request that was under way', () => {
    const steps = [1, 3.2, 4, 5.1, 5.3].map((s) => [s * 1_000, CONFIRMED] as const);
    expect(sequence(served, steps)).toBe('SRSSR');
  });

  it('after six serves everything is refused until the chain is over', () => {
    const echoes = Array.from({ length: 12 }, (_, index) => [3_000 + index * 300, CONFIRMED] as const);
    expect(sequence(served, [[1_000, CONFIRMED], ...echoes])).toBe(`SR${'S'.repeat(6)}RRRRR`);
    expect(sequence(served, [[1_000, CONFIRMED], ...echoes, [52_000, CONFIRMED]])).toMatch(/S$/);
  });

  it('no verdict: three are served, then 75; a verdict that comes makes it an old value', () => {
    const known: ClientHistory = recordServed(NO_HISTORY, { digest: 'a', atMs: -60_000, atWallMs: -60_000 });
    const steps = [1, 3.2, 6, 11, 20, 29].map((s) => [s * 1_000, SILENT] as const);
    expect(sequence(known, steps)).toBe('SSSNNN');
    expect(sequence(known, [...steps.slice(0, 2), [6_000, CONFIRMED]])).toBe('SSR');
  });

  it('no verdict is counted while a read is under way, or of a value that the client has only just got', () => {
    const known: ClientHistory = recordServed(NO_HISTORY, { digest: 'a', atMs: -60_000, atWallMs: -60_000 });
    const pending = [1, 2, 3, 4, 5, 6, 7].map((s) => [s * 1_000, { ...SILENT, pendingSinceMs: 1_000 }] as const);
    expect(sequence(known, pending)).toBe('SSSSSSS');
    const fresh = [1, 2, 3, 4, 5, 6, 7].map((s) => [s * 1_000, SILENT] as const);
    expect(sequence(served, fresh)).toBe('SSSSSSS');
  });

  it('a value refused by the API itself is refused at once', () => {
    const rejected: Evidence = { provider: 'confirmed', check: 'rejected' };
    expect(
      sequence(
        served,
        [1, 1.2, 1.4, 1.6].map((s) => [s * 1_000, rejected] as const),
      ),
    ).toBe('RRRR');
  });

  it('a value that the API accepts is refused from the fourth strike on', () => {
    const good: Evidence = { provider: 'confirmed', check: 'good' };
    const steps = [1, 3.2, 6, 11, 20, 29].map((s) => [s * 1_000, good] as const);
    expect(sequence(served, steps)).toBe('SSSRRR');
    const fourth = steps
      .slice(0, 3)
      .reduce((now, [atMs, evidence]) => judgeEarly(now, ask(atMs), evidence).history, served);
    expect(judgeEarly(fourth, ask(11_000), good).reason).toBe('accepted-by-api');
  });

  it('ends with an ask in time, or when the client has been silent for longer than it ever pauses', () => {
    const struck = judgeEarly(served, ask(1_000), CONFIRMED).history;
    expect(judgeInTime(struck, ask(2_000)).chain).toBeUndefined();
    expect(judgeEarly(struck, ask(46_100), CONFIRMED).answer).toBe('serve');
    expect(judgeEarly(struck, ask(45_900), CONFIRMED).answer).toBe('refuse');
  });

  it('is neither continued nor ended by an ask that is explained, or in another format', () => {
    const struck = judgeEarly(served, ask(1_000), CONFIRMED).history;
    expect(judgeExplained(struck, ask(2_000)).chain).toEqual(struck.chain);
    expect(judgeInTime(struck, ask(2_000, { format: 'headers' })).chain).toEqual(struck.chain);
  });

  it.each([
    ['is not the client’s own', { strikable: false }],
    ['is for a proxy', { format: 'proxy' }],
    ['comes at an interval under twelve seconds', { intervalMs: 11_000 }],
  ] as const)('never refuses a call that %s', (_, more) => {
    const steps = Array.from({ length: 12 }, (_, index) => [1_000 + index * 400, CONFIRMED, more] as const);
    expect(sequence(served, steps)).toBe('S'.repeat(12));
  });

  it('marks the value that another has replaced, and only that', () => {
    expect(judgeEarly(served, ask(1_000, { key: key('b') }), CONFIRMED).marked).toBe('a');
    expect(judgeEarly(served, ask(1_000), CONFIRMED).marked).toBeUndefined();
    expect(judgeEarly(NO_HISTORY, ask(1_000), CONFIRMED).marked).toBeUndefined();
  });

  it('a lease issued because of it neither ends it nor clears its strikes', () => {
    const struck = judgeEarly(served, ask(1_000, { key: key('a', { leased: true }) }), SILENT).history;
    expect(wantsNewLease(served, ask(1_000))).toBe(false);
    expect(wantsNewLease(struck, ask(3_000))).toBe(true);
    const issued = judgeEarly(struck, ask(3_000, { key: key('b') }), {
      provider: 'confirmed',
      issuedBySuspicion: true,
    });
    expect(issued).toMatchObject({ answer: 'serve', history: { chain: { digest: 'b', strikes: 2 } } });
    expect(issued.marked).toBeUndefined();
    const now = recordServed(issued.history, { digest: 'b', atMs: 3_000, atWallMs: 3_000 });
    expect(judgeEarly(now, ask(5_200, { key: key('b') }), CONFIRMED).answer).toBe('refuse');
  });
});

describe('a marked value that the provider returns', () => {
  const marked = { digest: 'a', version: '3' };

  it.each([
    ['with nothing else to serve', undefined],
    ['under a newer version', { digest: 'b', version: '2' }],
  ])('is served at once %s', (_, present) => {
    expect(doubtMarked(marked, present, undefined, 1_000)).toBeUndefined();
  });

  it.each(['4', '3', undefined, 'AWSCURRENT'])('is read again after ten seconds beside version %s', (version) => {
    const present = { digest: 'b', version };
    const doubt = { digest: 'a', atMs: 1_000 };
    expect(doubtMarked(marked, present, undefined, 1_000)).toEqual(doubt);
    expect(secondLookAt(doubt)).toBe(11_000);
    expect(doubtMarked(marked, present, doubt, 10_999)).toEqual(doubt);
    expect(doubtMarked(marked, present, doubt, 11_000)).toBeUndefined();
    expect(doubtMarked({ ...marked, digest: 'c' }, present, doubt, 11_000)).toEqual({ digest: 'c', atMs: 11_000 });
  });
});

describe('the reads that suspicion costs the provider', () => {
  const none = () => 0;

  it('ten seconds apart, doubling to a minute while the value stays the same', () => {
    let budget = noteSuspicion(FULL_BUDGET, 0);
    const gaps: number[] = [];
    let last: number | undefined;
    for (let nowMs = 0; nowMs < 300_000; nowMs += 1_000) {
      budget = noteSuspicion(budget, nowMs);
      if (mayRead(budget, nowMs, false, none) === undefined) continue;
      if (last !== undefined) gaps.push(nowMs - last);
      last = nowMs;
      budget = noteReadEnded(noteReadBegun(budget, nowMs), false);
    }
    expect(gaps).toEqual([20_000, 40_000, 60_000, 60_000, 60_000]);
    expect(noteReadEnded(budget, true).gapMs).toBe(10_000);
    expect(noteSuspicion(budget, 400_000).gapMs).toBe(10_000);
  });

  it('the first of a quiet hour waits up to 0.6 s', () => {
    expect(mayRead(noteSuspicion(FULL_BUDGET, 0), 0, false, () => 0.5)).toBe(300);
    const busy = noteReadBegun(noteSuspicion(FULL_BUDGET, 0), 0);
    expect(mayRead(noteSuspicion(busy, 30_000), 30_000, false, () => 0.5)).toBe(0);
    expect(mayRead(noteSuspicion(busy, 3_700_000), 3_700_000, false, () => 0.5)).toBe(300);
  });

  it('two leases in ten minutes, then the window doubles', () => {
    let budget = FULL_BUDGET;
    const issued: number[] = [];
    for (let minute = 0; minute < 120; minute += 1) {
      budget = noteSuspicion(budget, minute * 60_000);
      if (mayRead(budget, minute * 60_000, true, none) === undefined) continue;
      issued.push(minute);
      budget = noteIssue(budget, minute * 60_000);
    }
    expect(issued.slice(0, 3)).toEqual([0, 1, 20]);
    expect(issued.length).toBeLessThanOrEqual(8);
  });
});
