import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ClientHistory,
  type Evidence,
  type Format,
  type JudgedAsk,
  judgeEarly,
  judgeExplained,
  judgeInTime,
  NO_HISTORY,
  recordRefused,
  recordServed,
  suspicionOf,
} from '../../src/credential/rejection.ts';
import {
  FULL_BUDGET,
  mayRead,
  noteReadBegun,
  noteReadEnded,
  noteSuspicion,
} from '../../src/credential/suspicion-reads.ts';

const INTERVAL_MS = 300_000;

interface Step {
  readonly pauseMs: number;
  readonly explained: boolean;
  readonly strikable: boolean;
  readonly format: Format;
  /** Which value the provider has from now on. */
  readonly value: string;
  readonly evidence: Evidence;
}

const evidence: fc.Arbitrary<Evidence> = fc.record({
  provider: fc.constantFrom('confirmed', 'silent'),
  check: fc.constantFrom(undefined, undefined, undefined, 'good', 'rejected'),
  issuedBySuspicion: fc.constantFrom(undefined, false, true),
});

const step: fc.Arbitrary<Step> = fc.record({
  pauseMs: fc.oneof(fc.nat(5_000), fc.nat(44_000), fc.nat(600_000)),
  explained: fc.boolean(),
  strikable: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  format: fc.constantFrom<Format[]>('raw', 'raw', 'raw', 'proxy'),
  value: fc.constantFrom('a', 'a', 'a', 'b'),
  evidence,
});

interface Told {
  readonly step: Step;
  readonly suspicion: ReturnType<typeof suspicionOf>;
  readonly answer: 'serve' | 'refuse';
  readonly history: ClientHistory;
  readonly before: ClientHistory;
  readonly nowMs: number;
}

/** One client asks at these times, and every answer is written at once. */
function live(steps: readonly Step[]): readonly Told[] {
  let history: ClientHistory = NO_HISTORY;
  let nowMs = 1_000_000;
  return steps.map((one) => {
    nowMs += one.pauseMs;
    const ask: JudgedAsk = {
      nowMs,
      wallMs: nowMs,
      intervalMs: INTERVAL_MS,
      format: one.format,
      strikable: one.strikable,
      saysRejected: false,
      key: { digest: one.value, leased: false, jwtExpiresAtMs: undefined, confirmedAtMs: nowMs },
      askingIsDear: false,
    };
    const before = history;
    const suspicion = suspicionOf(history, ask);
    let answer: Told['answer'] = 'serve';
    if (suspicion === 'none') history = judgeInTime(history, ask);
    else if (one.explained) history = judgeExplained(history, ask);
    else ({ answer, history } = judgeEarly(history, ask, one.evidence));
    history =
      answer === 'serve'
        ? recordServed(history, { digest: one.value, atMs: nowMs, atWallMs: nowMs })
        : recordRefused(history, nowMs);
    return { step: one, suspicion, answer, history, before, nowMs };
  });
}

const lives = fc.array(step, { maxLength: 60 });
const everyTold = (judge: (told: Told, index: number, all: readonly Told[]) => void) =>
  fc.assert(
    fc.property(lives, (steps) => {
      const all = live(steps);
      for (const [index, told] of all.entries()) judge(told, index, all);
    }),
    { numRuns: 2_000 },
  );

describe('whatever a client does', () => {
  it('an ask in time, an explained one, one that is not its own and one for another format is served', () => {
    everyTold(({ step: { explained, strikable, format }, suspicion, answer }) => {
      if (suspicion === 'none' || explained || !strikable || format !== 'raw') expect(answer).toBe('serve');
    });
  });

  it('the first early ask of a chain is served unless the API itself rejects the key', () => {
    everyTold(({ step: { evidence: known }, answer, before, nowMs }) => {
      const isOver = before.chain === undefined || nowMs - (before.lastAskMs ?? 0) > 45_000;
      if (isOver && known.check !== 'rejected') expect(answer).toBe('serve');
    });
  });

  it('a value that the client has not had is served unless the API itself rejects it', () => {
    everyTold(({ step: { value, evidence: known }, answer, before }) => {
      if (before.served !== undefined && before.served.digest !== value && known.check !== 'rejected') {
        expect(answer).toBe('serve');
      }
    });
  });

  it('within two seconds of a refusal an ask is served, until six were', () => {
    everyTold(({ step: { evidence: known, value }, answer, before, nowMs }) => {
      const { chain } = before;
      if (chain?.refusedAtMs === undefined || nowMs - chain.refusedAtMs >= 2_000) return;
      if (chain.digest !== value || known.check === 'rejected' || chain.serves >= 6) return;
      expect(answer).toBe('serve');
    });
  });

  it('no more than three are refused in a row before six were served in their chain, without the API’s word', () => {
    everyTold((_, index, all) => {
      const row = all.slice(index, index + 4);
      if (row.length < 4 || row.some(({ step: { evidence: known } }) => known.check !== undefined)) return;
      if (row.some(({ before }) => before.chain === undefined || before.chain.serves >= 6)) return;
      expect(row.some(({ answer }) => answer === 'serve')).toBe(true);
    });
  });

  it('a chain is of one value, and counts no less than it refuses', () => {
    everyTold(({ history: { chain } }) => {
      if (chain === undefined) return;
      expect(chain.row).toBeLessThanOrEqual(chain.state === 'no-verdict' ? 6 : 1_000);
      expect(chain.serves).toBeLessThanOrEqual(6);
    });
  });
});

it('suspicion costs the provider at most 63 reads of one credential in an hour', () => {
  const pauses = fc.array(fc.nat(70_000), { minLength: 50, maxLength: 4_000 });
  fc.assert(
    fc.property(pauses, (steps) => {
      let budget = FULL_BUDGET;
      let reads = 0;
      let nowMs = 0;
      for (const pauseMs of steps) {
        nowMs += pauseMs;
        if (nowMs > 3_600_000) break;
        budget = noteSuspicion(budget, nowMs);
        if (mayRead(budget, nowMs, false, () => 0) === undefined) continue;
        budget = noteReadEnded(noteReadBegun(budget, nowMs), false);
        reads += 1;
      }
      expect(reads).toBeLessThanOrEqual(63);
    }),
  );
});
