import type { Clock, Timer } from '../platform/clock.ts';

/**
 * A daemon that a helper started leaves again when nobody has asked it anything for a while; the next helper starts
 * another. The clock runs while the machine sleeps.
 */
export class IdleExit {
  /** Resolves when nobody has asked for the time set. */
  readonly reached: Promise<void>;
  readonly #clock: Clock;
  #resolve: () => void = () => {};
  #limitMs = 0;
  #lastAskMs: number;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastAskMs = clock.now();
    this.reached = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** 0: never. */
  setLimit(limitMs: number): void {
    this.#limitMs = limitMs;
    this.#arm();
  }

  noteAsk(): void {
    this.#lastAskMs = this.#clock.now();
  }

  stop(): void {
    this.#limitMs = 0;
    this.#timer?.cancel();
  }

  /** One timer for as long as the limit, not one for every ask. */
  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#limitMs === 0) return;
    const leftMs = this.#lastAskMs + this.#limitMs - this.#clock.now();
    if (leftMs <= 0) this.#resolve();
    else this.#timer = this.#clock.after(leftMs, () => this.#arm());
  }
}

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
