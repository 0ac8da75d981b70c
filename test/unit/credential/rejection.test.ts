import { describe, expect, it } from 'vitest';
import {
  EMPTY_LEDGER,
  type Judgement,
  judgeAsk,
  judgeVerdict,
  type Ledger,
  recordIssue,
  recordServed,
  type Suspicion,
  type Verdict,
} from '../../../src/credential/rejection.ts';
import { MINUTE, SECOND, START } from '../../fakes/living.ts';

const INTERVAL = 5 * MINUTE;

const ask = (afterMs: number, changes: Partial<Suspicion> & { digest?: string; leased?: boolean } = {}): Suspicion => {
  const { digest = 'one', leased = false, ...rest } = changes;
  return {
    nowMs: START + afterMs,
    wallMs: START + afterMs,
    intervalMs: INTERVAL,
    key: { digest, leased, jwtExpiresAtMs: undefined },
    lastVerdict: undefined,
    ...rest,
  };
};
const verdict = (afterMs: number, digest: string | undefined, isPending = false): Verdict => ({
  atMs: START + afterMs,
  digest,
  isPending,
});
const served = (digest = 'one', afterMs = 0, ledger: Ledger = EMPTY_LEDGER): Ledger =>
  recordServed(ledger, { digest, atMs: START + afterMs, atWallMs: START + afterMs });

describe('which asks are early', () => {
  it.each([
    ['nothing was ever served', EMPTY_LEDGER, ask(1), 'serve'],
    ['a second later', served(), ask(SECOND), 'revalidate'],
    ['just under nine tenths of the interval', served(), ask(270 * SECOND - 1), 'revalidate'],
    ['at nine tenths', served(), ask(270 * SECOND), 'serve'],
    ['at an interval of five seconds', served(), ask(SECOND, { intervalMs: 5 * SECOND }), 'revalidate'],
    ['at an interval under five seconds', served(), ask(SECOND, { intervalMs: 4_999 }), 'serve'],
    ['at interval 0, where every request asks', served(), ask(SECOND, { intervalMs: 0 }), 'serve'],
    ['when only the wall clock says so', served(), ask(10 * MINUTE, { wallMs: START + SECOND }), 'serve'],
    ['when only the boot clock says so', served(), ask(SECOND, { wallMs: START + 10 * MINUTE }), 'serve'],
  ])('%s', (_what, ledger, suspicion, action) => {
    expect(judgeAsk(ledger, suspicion).action).toBe(action);
  });

  it('never for a JWT in its last minute, which the client replaces by itself', () => {
    const jwt = (leftMs: number) =>
      ask(SECOND, { key: { digest: 'one', leased: false, jwtExpiresAtMs: START + SECOND + leftMs } });
    expect(judgeAsk(served(), jwt(60 * SECOND)).action).toBe('revalidate');
    expect(judgeAsk(served(), jwt(60 * SECOND - 1)).action).toBe('serve');
  });

  it('never for a JWT in its last minute that has a successor: it was replaced, not rejected', () => {
    const held = (leftMs: number) =>
      recordServed(EMPTY_LEDGER, { digest: 'old', jwtExpiresAtMs: START + leftMs, atMs: START, atWallMs: START });
    const next = (leftMs: number) =>
      judgeAsk(held(leftMs), ask(0, { key: { digest: 'new', leased: false, jwtExpiresAtMs: START + 60 * MINUTE } }));
    expect(next(60 * SECOND).rejected).toBe('old');
    expect(next(60 * SECOND - 1).rejected).toBeUndefined();
  });
});

describe('asking the provider', () => {
  it('happens at most every ten seconds', () => {
    const last = verdict(0, 'one');
    expect(judgeAsk(served(), ask(10 * SECOND - 1, { lastVerdict: last })).action).not.toBe('revalidate');
    expect(judgeAsk(served(), ask(10 * SECOND, { lastVerdict: last })).action).toBe('revalidate');
  });

  it('is waited for by everybody while the answer is awaited', () => {
    expect(judgeAsk(served(), ask(SECOND, { lastVerdict: verdict(0, undefined, true) })).action).toBe('revalidate');
    const late = judgeAsk(served(), ask(2 * SECOND, { lastVerdict: verdict(0, undefined, true) }));
    expect(late).toEqual({ action: 'serve', ledger: served() });
  });

  it('costs no strike when there is no verdict', () => {
    expect(judgeVerdict(served(), ask(3 * SECOND), verdict(SECOND, undefined))).toEqual({
      action: 'serve',
      ledger: served(),
    });
  });
});

describe('a different value', () => {
  const replaced = judgeVerdict(served(), ask(2 * SECOND, { digest: 'two' }), verdict(SECOND, 'two'));

  it('is served, and only now the old one is rejected', () => {
    expect(replaced).toMatchObject({ action: 'serve', rejected: 'one' });
  });

  it('makes the asks of the next half minute echoes', () => {
    const ledger = served('two', 2_010, replaced.ledger);
    const echo = judgeAsk(ledger, ask(32 * SECOND - 1, { digest: 'two' }));
    expect(echo).toMatchObject({ action: 'serve', ledger: { strikes: undefined } });
    expect(judgeAsk(ledger, ask(32 * SECOND, { digest: 'two' })).action).toBe('revalidate');
  });

  it('that came by itself rejects the old one as soon as its client complains', () => {
    const judgement = judgeAsk(served(), ask(SECOND, { digest: 'two' }));
    expect(judgement).toMatchObject({ action: 'serve', rejected: 'one' });
  });
});

describe('the same value', () => {
  const strike = (ledger: Ledger, afterMs: number): Judgement =>
    judgeAsk(ledger, ask(afterMs, { lastVerdict: verdict(afterMs - 1, 'one') }));

  it('is served at the first strike and refused from the second on', () => {
    const first = strike(served(), SECOND);
    expect(first).toMatchObject({ action: 'serve', ledger: { strikes: { digest: 'one', count: 1 } } });
    expect(strike(served('one', SECOND, first.ledger), 2 * SECOND).action).toBe('refuse');
  });

  function refusing(): Ledger {
    return strike(strike(served(), SECOND).ledger, 2 * SECOND).ledger;
  }

  it('is refused three times, then served, and counting starts anew', () => {
    const second = strike(refusing(), 3 * SECOND);
    const third = strike(second.ledger, 4 * SECOND);
    expect([second.action, third.action]).toEqual(['refuse', 'refuse']);
    expect(strike(third.ledger, 5 * SECOND)).toMatchObject({ action: 'serve', ledger: { strikes: { count: 1 } } });
  });

  it('is refused for twenty seconds at the most', () => {
    expect(strike(refusing(), 22 * SECOND - 1).action).toBe('refuse');
    expect(strike(refusing(), 22 * SECOND)).toMatchObject({ action: 'serve', ledger: { strikes: { count: 1 } } });
  });

  it('is served at once when an ask is not early', () => {
    const late = judgeAsk(refusing(), ask(10 * MINUTE));
    expect(late).toMatchObject({ action: 'serve', ledger: { strikes: undefined, refusal: undefined } });
  });

  it('does not keep another value from being served', () => {
    expect(judgeAsk(refusing(), ask(3 * SECOND, { digest: 'two' }))).toMatchObject({
      action: 'serve',
      rejected: 'one',
    });
  });
});

describe('a leased credential, where asking means issuing', () => {
  const twice = recordIssue(recordIssue(served('two'), START), START + MINUTE);

  it('is issued at most twice for one client in ten minutes, then strikes count although values differ', () => {
    const third = judgeAsk(twice, ask(2 * MINUTE, { digest: 'three', leased: true }));
    expect(third).toMatchObject({ action: 'serve', ledger: { strikes: { count: 1 } } });
    const fourth = judgeAsk(third.ledger, ask(2 * MINUTE + SECOND, { digest: 'four', leased: true }));
    expect(fourth.action).toBe('refuse');
    expect(judgeAsk(fourth.ledger, ask(2 * MINUTE + 2 * SECOND, { digest: 'five', leased: true })).action).toBe(
      'refuse',
    );
  });

  it('may be issued again when the first of the two is ten minutes old', () => {
    const at = (afterMs: number) =>
      judgeAsk(served('two', 9 * MINUTE, twice), ask(afterMs, { digest: 'two', leased: true }));
    expect(at(10 * MINUTE - 1).action).toBe('serve');
    expect(at(10 * MINUTE).action).toBe('revalidate');
  });
});
