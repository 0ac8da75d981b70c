import type { Clock, Timer } from '../platform/clock.ts';

/**
 * Calls back once when no request has come in for a while, and again only after one has. There is one timer for
 * the whole time and not one for every ask, and none once it has called back: an idle daemon does not wake up.
 */
export class Idle {
  readonly #clock: Clock;
  readonly #onIdle: () => void;
  #limitMs = 0;
  #lastAskMs: number;
  #timer: Timer | undefined;

  /** @param limitMs on the steady clock, which runs while the machine sleeps; 0: never. */
  constructor(clock: Clock, limitMs: number, onIdle: () => void) {
    this.#clock = clock;
    this.#onIdle = onIdle;
    this.#lastAskMs = clock.now();
    this.setLimit(limitMs);
  }

  setLimit(limitMs: number): void {
    this.#timer?.cancel();
    this.#limitMs = limitMs;
    if (limitMs > 0) this.#look();
  }

  noteAsk(nowMs: number): void {
    this.#lastAskMs = nowMs;
    if (this.#timer === undefined && this.#limitMs > 0) this.#arm(this.#limitMs);
  }

  stop(): void {
    this.setLimit(0);
  }

  #look(): void {
    const leftMs = this.#lastAskMs + this.#limitMs - this.#clock.now();
    this.#timer = undefined;
    if (leftMs > 0) this.#arm(leftMs);
    else this.#onIdle();
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.after(delayMs, () => this.#look());
  }
}

/** When {@link Later} calls back. */
export interface Delays {
  /** After the first note, for all that come until then. */
  readonly soonMs: number;
  /** Once more, after the last note. */
  readonly lastMs: number;
}

/** Calls back soon after something was noted, however often it is, and once more when it has been quiet for a while. */
export class Later {
  readonly #clock: Clock;
  readonly #delays: Delays;
  readonly #onDue: () => void;
  #soon: Timer | undefined;
  #last: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, delays: Delays, onDue: () => void) {
    this.#clock = clock;
    this.#delays = delays;
    this.#onDue = onDue;
  }

  readonly note = (): void => {
    if (this.#isStopped) return;
    this.#soon ??= this.#clock.after(this.#delays.soonMs, () => {
      this.#soon = undefined;
      this.#onDue();
    });
    this.#last?.cancel();
    this.#last = this.#clock.after(this.#delays.lastMs, this.#onDue);
  };

  /** For good: a call may still be under way, and a timer would keep the process. */
  stop(): void {
    this.#isStopped = true;
    this.#soon?.cancel();
    this.#last?.cancel();
  }
}
