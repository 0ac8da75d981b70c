import type { Dice } from '../../simulation/dice.ts';

/** One kind of fault, and what is right when it happens: a row of docs/reliability.md. */
export interface Experiment {
  /** For `--only`. */
  readonly id: string;
  readonly fault: string;
  /** Written before anything was run. */
  readonly expected: string;
  readonly times: { readonly short: number; readonly long: number };
  /** Undefined: it can be done here; else what is missing. */
  readonly missing?: string | undefined;
  readonly run: (trial: Trial) => Promise<void>;
}

/** One run of an experiment: its chance, its bounds and what was seen. */
export interface Trial {
  readonly dice: Dice;
  readonly times: number;
  readonly isShort: boolean;
  /** What comes of it is written into docs/. */
  readonly keeps: boolean;
  readonly tally: Tally;
}

/** How many of what went wrong the page has word for word. */
const SHOWN = 5;

/** What came of the asks of an experiment. */
export class Tally {
  /** How often the fault was inflicted. */
  inflicted = 0;
  answers = 0;
  wrong = 0;
  lost = 0;
  /** Asks that were under way while the machine itself stood still: their keys are judged, not their times. */
  stalled = 0;
  readonly recoveredMs: number[] = [];
  readonly words: string[] = [];
  readonly notes: string[] = [];
  unexpected = 0;
  readonly #onUnexpected: (what: string) => void;

  /** @param onUnexpected is told of everything that went wrong, word for word. */
  constructor(onUnexpected: (what: string) => void = () => {}) {
    this.#onUnexpected = onUnexpected;
  }

  /** A key that is not this credential's, or is dead. */
  wrongKey(what: string): void {
    this.wrong += 1;
    this.#onUnexpected(`wrong key: ${what}`);
    // Said first, whatever else was seen.
    this.words.unshift(shown(`wrong key: ${what}`));
    this.words.length = Math.min(this.words.length, SHOWN);
  }

  /** An ask that had to be answered was not. */
  lostAnswer(what: string): void {
    this.lost += 1;
    this.#say(`answer lost: ${what}`);
  }

  /** Anything else that is not as expected. */
  fault(what: string): void {
    this.unexpected += 1;
    this.#say(what);
  }

  expect(isRight: boolean, what: string): void {
    if (!isRight) this.fault(what);
  }

  get isAsExpected(): boolean {
    return this.wrong + this.lost + this.unexpected === 0;
  }

  #say(what: string): void {
    this.#onUnexpected(what);
    if (this.words.length < SHOWN) this.words.push(shown(what));
  }
}

/** What follows the first line, as logs, is kept besides. */
function shown(what: string): string {
  return what.split('\n', 1)[0]?.slice(0, 400) ?? '';
}
