import fc from 'fast-check';
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
  VERDICT_WAIT_MS,
  type Verdict,
} from '../../src/credential/rejection.ts';
import { MINUTE, SECOND, START } from '../fakes/living.ts';

/** broker/rejection-detector.ts in small: one credential, some clients, and a provider that answers at once or not at all. */
/** When somebody was answered: who waits for a verdict is answered later than who does not. */
interface Answered {
  readonly answer: string;
  readonly atMs: number;
}

class Desk {
  now = START;
  value = 1;
  rejected = new Set<string>();
  issues: { client: string; atMs: number }[] = [];
  /** Times at which the provider was asked because of a suspicion. */
  asked: number[] = [];
  answers = true;
  readonly leased: boolean;
  readonly #ledgers = new Map<string, Ledger>();
  #verdict: Verdict | undefined;

  constructor(leased: boolean) {
    this.leased = leased;
  }

  get digest(): string {
    return `value-${this.value}`;
  }

  /** Everybody in `clients` asks at this very moment, before the provider answers anybody. */
  askAll(clients: readonly string[], intervalMs = 5 * MINUTE): Map<string, Answered> {
    const waiting: string[] = [];
    const answers = new Map<string, Answered>();
    for (const client of clients) {
      const judgement = judgeAsk(this.#ledger(client), this.#suspicion(intervalMs));
      this.#enter(client, judgement);
      if (judgement.action === 'revalidate') {
        if (!this.#verdict?.isPending) {
          this.#verdict = { atMs: this.now, digest: undefined, isPending: true };
          this.asked.push(this.now);
        }
        waiting.push(client);
      } else {
        answers.set(client, this.#answer(judgement));
      }
    }
    if (waiting.length > 0) this.#conclude(waiting, answers, intervalMs);
    for (const [client, { answer, atMs }] of answers) {
      if (answer === 'refused') continue;
      const served = { digest: answer, atMs, atWallMs: atMs };
      this.#ledgers.set(client, recordServed(this.#ledger(client), served));
    }
    return answers;
  }

  #conclude(waiting: readonly string[], answers: Map<string, Answered>, intervalMs: number): void {
    if (this.answers && this.leased) {
      this.value += 1;
      for (const client of waiting) {
        this.issues.push({ client, atMs: this.now });
        this.#ledgers.set(client, recordIssue(this.#ledger(client), this.now));
      }
    }
    if (!this.answers) this.now += VERDICT_WAIT_MS;
    const verdict = { atMs: this.now, digest: this.answers ? this.digest : undefined, isPending: false };
    this.#verdict = verdict;
    for (const client of waiting) {
      const judgement = judgeVerdict(this.#ledger(client), this.#suspicion(intervalMs), verdict);
      this.#enter(client, judgement);
      answers.set(client, this.#answer(judgement));
    }
  }

  #answer({ action }: Judgement): Answered {
    return { answer: action === 'refuse' ? 'refused' : this.digest, atMs: this.now };
  }

  #ledger(client: string): Ledger {
    return this.#ledgers.get(client) ?? EMPTY_LEDGER;
  }

  #suspicion(intervalMs: number): Suspicion {
    return {
      nowMs: this.now,
      wallMs: this.now,
      intervalMs,
      key: { digest: this.digest, leased: this.leased, jwtExpiresAtMs: undefined },
      lastVerdict: this.#verdict,
    };
  }

  #enter(client: string, judgement: Judgement): void {
    this.#ledgers.set(client, judgement.ledger);
    if (judgement.rejected !== undefined) this.rejected.add(judgement.rejected);
  }
}

type Step = { readonly kind: 'ask'; readonly who: readonly string[] } | { readonly kind: 'rotate' | 'hang' | 'answer' };

const CLIENTS = ['a', 'b', 'c'];
const steps: fc.Arbitrary<{ step: Step; afterMs: number }[]> = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 0, max: 60_000 }), fc.constant(300_000)),
    step: fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          kind: fc.constant('ask' as const),
          who: fc.subarray(CLIENTS, { minLength: 1 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('rotate', 'hang', 'answer') }) },
    ),
  }),
  { minLength: 1, maxLength: 60 },
);

interface Told extends Answered {
  readonly client: string;
}

function play(script: readonly { step: Step; afterMs: number }[], leased: boolean, backwards = false) {
  const desk = new Desk(leased);
  const told: Told[] = [];
  for (const { step, afterMs } of script) {
    desk.now += afterMs;
    if (step.kind === 'rotate') desk.value += 1;
    else if (step.kind !== 'ask') desk.answers = step.kind === 'answer';
    else {
      const answers = desk.askAll(backwards ? step.who.toReversed() : step.who);
      for (const client of CLIENTS) {
        const answered = answers.get(client);
        if (answered !== undefined) told.push({ client, ...answered });
      }
    }
  }
  return { desk, told };
}

describe('rejection', () => {
  it('gives the same answers in whatever order clients ask at the same moment', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (script, leased) => {
        const forwards = play(script, leased);
        const backwards = play(script, leased, true);
        expect(backwards.told).toEqual(forwards.told);
        expect(backwards.desk.rejected).toEqual(forwards.desk.rejected);
      }),
    );
  });

  it('locks nobody out: a refusal lasts three calls or twenty seconds, whichever ends first', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (script, leased) => {
        const { told } = play(script, leased);
        for (const client of CLIENTS) {
          let since: number | undefined;
          let calls = 0;
          for (const { answer, atMs } of told.filter((one) => one.client === client)) {
            if (answer !== 'refused') {
              since = undefined;
              calls = 0;
              continue;
            }
            since ??= atMs;
            calls += 1;
            expect(calls).toBeLessThanOrEqual(3);
            expect(atMs - since).toBeLessThan(20 * SECOND);
          }
        }
      }),
    );
  });

  it('serves the first strike: nobody is refused who was not served the same key before, twice', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { told } = play(script, false);
        for (const client of CLIENTS) {
          const answers = told.filter((one) => one.client === client).map((one) => one.answer);
          const first = answers.indexOf('refused');
          if (first === -1) continue;
          expect(first).toBeGreaterThanOrEqual(2);
          expect(answers[first - 1]).toBe(answers[first - 2]);
        }
      }),
    );
  });

  it('takes at most two leases for one client in ten minutes', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const { desk } = play(script, true);
        for (const { client, atMs } of desk.issues) {
          const inWindow = desk.issues.filter(
            (issue) => issue.client === client && issue.atMs >= atMs && issue.atMs < atMs + 10 * MINUTE,
          );
          expect(inWindow.length).toBeLessThanOrEqual(2);
        }
      }),
    );
  });

  it('asks the provider at most every ten seconds, and never rejects the value that it confirms', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (script, leased) => {
        const { desk } = play(script, leased);
        expect(desk.rejected.has(desk.digest)).toBe(false);
        for (const [index, atMs] of desk.asked.entries()) {
          expect(atMs - (desk.asked[index - 1] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(10 * SECOND);
        }
      }),
    );
  });

  it('holds nothing against anybody while the provider is silent', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const asksOnly = script.filter(({ step }) => step.kind === 'ask');
        const { told, desk } = play([{ step: { kind: 'hang' }, afterMs: 0 }, ...asksOnly], false);
        expect(told.every(({ answer }) => answer === 'value-1')).toBe(true);
        expect(desk.rejected.size).toBe(0);
      }),
    );
  });

  it('never judges an interval under five seconds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 10_000 })),
        fc.integer({ min: 0, max: 4_999 }),
        (gaps, interval) => {
          const desk = new Desk(false);
          for (const gap of gaps) {
            desk.now += gap;
            expect(desk.askAll(['a'], interval).get('a')?.answer).toBe('value-1');
          }
          expect(desk.asked).toEqual([]);
        },
      ),
    );
  });
});
