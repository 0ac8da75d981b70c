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
