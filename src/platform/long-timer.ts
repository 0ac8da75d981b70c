import type { Timer } from './clock.ts';

/** Node turns longer delays into 1 ms. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * A timer of any length, measured on the monotonic clock: never early, neither by Node's limit nor by its rounding.
 */
export class LongTimer implements Timer {
  readonly #dueMs: number;
  readonly #monotonicMs: () => number;
  readonly #callback: () => void;
  #timeout: NodeJS.Timeout | undefined;

  constructor(delayMs: number, monotonicMs: () => number, callback: () => void) {
    if (!Number.isFinite(delayMs)) throw new RangeError(`a timer needs a finite delay, not ${delayMs}`);
    this.#monotonicMs = monotonicMs;
    this.#callback = callback;
    this.#dueMs = monotonicMs() + delayMs;
    this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
  }

  #arm(remainingMs: number): void {
    this.#timeout = setTimeout(() => this.#fire(), Math.min(Math.max(Math.ceil(remainingMs), 0), LONGEST_MS));
  }

  #fire(): void {
    const remainingMs = this.#dueMs - this.#monotonicMs();
    if (remainingMs > 0) {
      this.#arm(remainingMs);
      return;
    }
    this.#timeout = undefined;
    this.#callback();
  }
}
