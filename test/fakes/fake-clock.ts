import type { Clock, Timer } from '../../src/platform/clock.ts';

interface Armed {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

interface Waiter {
  readonly count: number;
  readonly resolve: () => void;
}

/**
 * A clock that stands still until a test moves it. Timers run in the order in which they are due (then armed), each
 * followed by one turn of the event loop, so that whatever a callback set going with promises is done before the
 * next one runs. Real input and output (sockets, child processes) is not waited for.
 */
export class FakeClock implements Clock {
  #steadyMs: number;
  #wallMs: number;
  /** Waking time: what timers are measured on. */
  #awakeMs = 0;
  #order = 0;
  readonly #armed = new Set<Armed>();
  #waiters: Waiter[] = [];

  constructor(startMs: number = Date.UTC(2030, 0, 1)) {
    this.#steadyMs = startMs;
    this.#wallMs = startMs;
  }

  now(): number {
    return this.#steadyMs;
  }

  wall(): number {
    return this.#wallMs;
  }

  /** Waking time since the beginning: what a person at the machine waits. */
  get awakeMs(): number {
    return this.#awakeMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    if (!Number.isFinite(delayMs)) throw new RangeError(`a timer needs a finite delay, not ${delayMs}`);
    const timer: Armed = { dueMs: this.#awakeMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#armed.add(timer);
    this.#tellWaiters();
    return { cancel: () => void this.#armed.delete(timer) };
  }

  /** Waking time until each armed timer is due, soonest first. */
  get armed(): readonly number[] {
    return this.#inOrder().map((timer) => timer.dueMs - this.#awakeMs);
  }

  /** Resolves as soon as at least `count` timers are armed at the same time; at once if they are. */
  whenArmed(count = 1): Promise<void> {
    if (this.#armed.size >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ count, resolve });
    });
  }

  /** Lets waking time pass and runs what falls due in it, timers armed on the way included. */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`time only goes forward, not by ${ms} ms`);
    const endMs = this.#awakeMs + ms;
    await settle();
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#pass(next.dueMs - this.#awakeMs);
      this.#armed.delete(next);
      next.callback();
      await settle();
    }
    this.#pass(endMs - this.#awakeMs);
    await settle();
  }

  /** Runs up to and including the timer that is due next; fails if none is armed. */
  async advanceToNext(): Promise<void> {
    const [delayMs] = this.armed;
    if (delayMs === undefined) throw new Error('no timer is armed');
    await this.advance(delayMs);
  }

  /** The machine is suspended for `ms`: steady time and the wall clock pass, waking time and timers do not. */
  sleep(ms: number): void {
    this.#steadyMs += ms;
    this.#wallMs += ms;
  }

  /** Somebody sets the wall clock: nothing else notices. */
  setWall(wallMs: number): void {
    this.#wallMs = wallMs;
  }

  #pass(ms: number): void {
    this.#awakeMs += ms;
    this.#steadyMs += ms;
    this.#wallMs += ms;
  }

  #next(endMs: number): Armed | undefined {
    let first: Armed | undefined;
    for (const timer of this.#armed) {
      if (timer.dueMs <= endMs && (first === undefined || isBefore(timer, first))) first = timer;
    }
    return first;
  }

  #inOrder(): Armed[] {
    return [...this.#armed].sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  #tellWaiters(): void {
    const ready = this.#waiters.filter((waiter) => this.#armed.size >= waiter.count);
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.resolve();
  }
}

function isBefore(a: Armed, b: Armed): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** One turn of the event loop: every promise that can settle without input or output has done so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
