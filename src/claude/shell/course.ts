import type { Truth } from './expand.ts';

/** Functions that call each other, files that source each other. */
const DEEPEST = 24;
/** Statements of one shell; a profile that goes in circles ends here. */
const LONGEST = 40_000;

/** What runs where its condition holds. */
export interface Branch {
  readonly judge: () => Truth;
  readonly run: () => void;
}

/** How far a shell is followed, whatever its language, and whether what it does now is sure to happen. */
export class Course {
  /** No condition is open that only the shell can decide. */
  #isCertain = true;
  #depth = 0;
  #left = LONGEST;
  readonly #goOn: () => void;

  /** @param goOn takes back that the file or function is over: what may run or not ends nothing. */
  constructor(goOn: () => void) {
    this.#goOn = goOn;
  }

  get isCertain(): boolean {
    return this.#isCertain;
  }

  get isDeepest(): boolean {
    return this.#depth >= DEEPEST;
  }

  deeper(run: () => void): void {
    this.#depth += 1;
    run();
    this.#depth -= 1;
  }

  /** Counts a statement; false: there were too many. */
  mayStep(): boolean {
    this.#left -= 1;
    return this.#left >= 0;
  }

  /** What it sets may be so, and what it unsets stays. */
  perhaps(run: () => void): void {
    const before = this.#isCertain;
    this.#isCertain = false;
    run();
    this.#isCertain = before;
    this.#goOn();
  }

  when(verdict: Truth, run: () => void): void {
    if (verdict === true) run();
    else if (verdict === undefined) this.perhaps(run);
  }

  /** Of an `if` with all that belongs to it: behind a condition that only the shell can decide, every branch may run. */
  choose(branches: readonly Branch[]): void {
    for (const [index, { judge, run }] of branches.entries()) {
      const verdict = judge();
      this.when(verdict, run);
      if (verdict === true) return;
      if (verdict === false) continue;
      this.perhaps(() => {
        for (const later of branches.slice(index + 1)) later.run();
      });
      return;
    }
  }

  /** Of a `for`: of a word that only the shell knows the body may run. */
  pass(word: string | undefined, body: () => void): void {
    this.when(word === undefined ? undefined : true, body);
  }
}
