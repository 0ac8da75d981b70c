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
  /** After the first note, and after those that came while it waited. */
  readonly soonMs: number;
  /** Once more after the last of these calls, unless there was a further note. */
  readonly lastMs: number;
}

/** Calls back soon after something was noted, however often it is, and once more when it has been quiet for a while. */
export class Later {
  readonly #clock: Clock;
  readonly #delays: Delays;
  readonly #onDue: () => void;
  #timer: Timer | undefined;
  #isLast = false;
  #wasNoted = false;
  #isStopped = false;

  constructor(clock: Clock, delays: Delays, onDue: () => void) {
    this.#clock = clock;
    this.#delays = delays;
    this.#onDue = onDue;
  }

  /** @param isNews false: only a wait is over. */
  readonly note = (isNews = true): void => {
    if (this.#isStopped) return;
    if (isNews && this.#timer !== undefined && !this.#isLast) {
      this.#wasNoted = true;
      return;
    }
    this.#timer?.cancel();
    this.#isLast = !isNews && !this.#wasNoted;
    this.#wasNoted = false;
    this.#timer = this.#clock.after(this.#isLast ? this.#delays.lastMs : this.#delays.soonMs, () => {
      this.#timer = undefined;
      this.#onDue();
      if (this.#wasNoted || !this.#isLast) this.note(false);
    });
  };

  /** For good: a call may still be under way, and a timer would keep the process. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
