import type { Clock, Timer } from '../platform/clock.ts';

/** While anything is scheduled the clock is looked at this often, because timers do not notice that the machine slept. */
export const TICK_MS = 60_000;

interface Entry {
  readonly id: string;
  atMs: number;
  /** Where it is in the heap. */
  index: number;
}

/**
 * One timer for everything that is due at some time: a binary heap with O(log n) changes, and nothing armed while it
 * is empty, so that an idle daemon does not wake up. Times are on the steady clock.
 */
export class Scheduler {
  readonly #clock: Clock;
  readonly #run: (id: string) => void;
  readonly #tick: (lateMs: number, nowMs: number) => void;
  readonly #heap: Entry[] = [];
  readonly #entries = new Map<string, Entry>();
  #timer: Timer | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  /**
   * @param run called once for each entry that is due, after it was taken out.
   * @param tick called at every wake-up, before anything is run, with how late it comes: timers do not count time asleep.
   */
  constructor(clock: Clock, run: (id: string) => void, tick: (lateMs: number, nowMs: number) => void) {
    this.#clock = clock;
    this.#run = run;
    this.#tick = tick;
  }

  at(id: string): number | undefined {
    return this.#entries.get(id)?.atMs;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Replaces what was scheduled under this id; a time that is not finite removes it. */
  schedule(id: string, atMs: number): void {
    if (this.#stopped) return;
    if (!Number.isFinite(atMs)) {
      this.cancel(id);
      return;
    }
    const known = this.#entries.get(id);
    if (known === undefined) {
      const entry: Entry = { id, atMs, index: this.#heap.length };
      this.#entries.set(id, entry);
      this.#heap.push(entry);
      this.#settle(entry);
    } else {
      known.atMs = atMs;
      this.#settle(known);
    }
    this.#arm();
  }

  cancel(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    const last = this.#heap.pop();
    if (last !== undefined && last !== entry) {
      last.index = entry.index;
      this.#heap[last.index] = last;
      this.#settle(last);
    }
    this.#arm();
  }

  /** The clock jumped: runs what is due by now, without waiting for a timer that knows nothing of it. */
  catchUp(): void {
    if (!this.#stopped) this.#wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#heap.length = 0;
    this.#entries.clear();
  }

  #wake(): void {
    const nowMs = this.#clock.now();
    const lateMs = Math.max(0, nowMs - this.#armedForMs);
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#tick(lateMs, nowMs);
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= this.#clock.now(); first = this.#heap[0]) {
      this.cancel(first.id);
      this.#run(first.id);
    }
    this.#arm();
  }

  #arm(): void {
    const first = this.#heap[0];
    const isNeeded = first !== undefined && !this.#stopped;
    const now = this.#clock.now();
    const wakeAtMs = isNeeded ? Math.min(first.atMs, now + TICK_MS) : Number.POSITIVE_INFINITY;
    // An earlier wake-up that is armed already serves as well: it looks again and arms again.
    if (isNeeded && this.#timer !== undefined && this.#armedForMs <= wakeAtMs) return;
    this.#timer?.cancel();
    this.#timer = isNeeded ? this.#clock.after(Math.max(0, wakeAtMs - now), this.#wake.bind(this)) : undefined;
    this.#armedForMs = wakeAtMs;
  }

  /** Moves the entry up or down to where it belongs in the heap. */
  #settle(entry: Entry): void {
    const heap = this.#heap;
    for (;;) {
      const { index, atMs } = entry;
      const parent = index > 0 ? heap[(index - 1) >> 1] : undefined;
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const child = right !== undefined && left !== undefined && right.atMs < left.atMs ? right : left;
      const other = parent !== undefined && parent.atMs > atMs ? parent : child;
      if (other === undefined || (other === child && other.atMs >= atMs)) return;
      heap[other.index] = entry;
      heap[index] = other;
      entry.index = other.index;
      other.index = index;
    }
  }
}
