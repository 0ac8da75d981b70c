import type { Clock, Moment, Timer } from '../../src/platform/clock.ts';

/**
 * The clock of one machine of many: while it sleeps its timers stand still, and after that they run on for what was
 * left of them, late by the time asleep.
 */
export class HostClock implements Clock {
  readonly #clock: Clock;
  readonly #missed = new Set<{ readonly leftMs: number; readonly run: () => void }>();
  #asleepSinceMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wall(): number {
    return this.#clock.wall();
  }

  read(): Moment {
    return this.#clock.read();
  }

  sleep(): void {
    this.#asleepSinceMs = this.now();
  }

  wake(): void {
    this.#asleepSinceMs = undefined;
    for (const { leftMs, run } of this.#missed) this.#clock.after(leftMs, run);
    this.#missed.clear();
  }

  after(delayMs: number, callback: () => void): Timer {
    const dueMs = this.now() + delayMs;
    let isCancelled = false;
    const run = () => {
      if (isCancelled) return;
      if (this.#asleepSinceMs === undefined) callback();
      else this.#missed.add({ leftMs: Math.max(0, dueMs - this.#asleepSinceMs), run });
    };
    const timer = this.#clock.after(delayMs, run);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }
}
