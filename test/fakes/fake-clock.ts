import type { Clock, Moment, Timer } from '../../src/platform/clock.ts';

interface Armed {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
  isCancelled: boolean;
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
  /** Steady time and the wall clock minus waking time: sums of many small steps would drift apart from it. */
  #steadyOffsetMs: number;
  #wallOffsetMs: number;
  /** Waking time: what timers are measured on. */
  #awakeMs = 0;
  #order = 0;
  /** A binary heap; what was cancelled is left in it until it comes to the top. */
  readonly #heap: Armed[] = [];
  #size = 0;
  #waiters: Waiter[] = [];

  constructor(startMs: number = Date.UTC(2030, 0, 1)) {
    this.#steadyOffsetMs = startMs;
    this.#wallOffsetMs = startMs;
  }

  now(): number {
    return this.#steadyOffsetMs + this.#awakeMs;
  }

  wall(): number {
    return this.#wallOffsetMs + this.#awakeMs;
  }

  read(): Moment {
    return { nowMs: this.now(), wallMs: this.wall() };
  }

  /** Waking time since the beginning: what a person at the machine waits. */
  get awakeMs(): number {
    return this.#awakeMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    if (!Number.isFinite(delayMs)) throw new RangeError(`a timer needs a finite delay, not ${delayMs}`);
    const dueMs = this.#awakeMs + Math.max(0, delayMs);
    const timer: Armed = { dueMs, order: this.#order++, callback, isCancelled: false };
    push(this.#heap, timer);
    this.#size += 1;
    this.#tellWaiters();
    return { cancel: () => this.#cancel(timer) };
  }

  /** Waking time until each armed timer is due, soonest first. */
  get armed(): readonly number[] {
    return this.#inOrder().map((timer) => timer.dueMs - this.#awakeMs);
  }

  /** Resolves as soon as at least `count` timers are armed at the same time; at once if they are. */
  whenArmed(count = 1): Promise<void> {
    if (this.#size >= count) return Promise.resolve();
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
      this.#awakeMs = next.dueMs;
      pop(this.#heap);
      this.#cancel(next);
      next.callback();
      await settle();
    }
    this.#awakeMs = endMs;
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
    this.#steadyOffsetMs += ms;
    this.#wallOffsetMs += ms;
  }

  /** Somebody sets the wall clock: nothing else notices. */
  setWall(wallMs: number): void {
    this.#wallOffsetMs = wallMs - this.#awakeMs;
  }

  #next(endMs: number): Armed | undefined {
    while (this.#heap[0]?.isCancelled) pop(this.#heap);
    const [first] = this.#heap;
    return first !== undefined && first.dueMs <= endMs ? first : undefined;
  }

  #inOrder(): Armed[] {
    return this.#heap.filter(({ isCancelled }) => !isCancelled).sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  #cancel(timer: Armed): void {
    if (!timer.isCancelled) this.#size -= 1;
    timer.isCancelled = true;
  }

  #tellWaiters(): void {
    const ready = this.#waiters.filter((waiter) => this.#size >= waiter.count);
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.resolve();
  }
}

function isBefore(a: Armed, b: Armed): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

function push(heap: Armed[], timer: Armed): void {
  let index = heap.push(timer) - 1;
  while (index > 0) {
    const above = (index - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || isBefore(parent, timer)) break;
    heap[index] = parent;
    index = above;
  }
  heap[index] = timer;
}

function pop(heap: Armed[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    const [left, right] = [heap[2 * index + 1], heap[2 * index + 2]];
    const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
    if (child === undefined || isBefore(last, child)) break;
    heap[index] = child;
    index = child === right ? 2 * index + 2 : 2 * index + 1;
  }
  heap[index] = last;
}

/** One turn of the event loop: every promise that can settle without input or output has done so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
