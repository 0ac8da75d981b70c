import type { Clock, Timer } from '../platform/clock.ts';

/** Without a request for so long, nobody is in the middle of anything. */
const QUIET_MS = 20_000;

/**
 * Calls back once when it has become quiet, and again only after it was not. While it is quiet no timer runs: a daemon
 * that nobody asks anything is to wake nobody up.
 */
export class Quiet {
  readonly #clock: Clock;
  readonly #onQuiet: () => void;
  #lastAskMs = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, onQuiet: () => void) {
    this.#clock = clock;
    this.#onQuiet = onQuiet;
    this.noteAsk();
  }

  noteAsk(): void {
    this.#lastAskMs = this.#clock.now();
    this.#timer ??= this.#clock.after(QUIET_MS, () => this.#look());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const leftMs = this.#lastAskMs + QUIET_MS - this.#clock.now();
    if (leftMs > 0) {
      this.#timer = this.#clock.after(leftMs, () => this.#look());
      return;
    }
    this.#timer = undefined;
    this.#onQuiet();
  }
}
