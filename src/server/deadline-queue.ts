import type { Clock, Timer } from '../platform/clock.ts';

/**
 * Things that may wait for the same time, oldest first, with a single timer for all. Empty, it wakes nobody up: the
 * timer that is armed runs out once and is not armed again.
 */
export class DeadlineQueue<T> {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onLate: (item: T) => void;
  /** In the order of their deadlines, since all wait equally long. */
  readonly #deadlines = new Map<T, number>();
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number, onLate: (item: T) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
  }

  /** Starts the wait, anew if it was waiting. */
  add(item: T): void {
    this.#deadlines.delete(item);
    this.#deadlines.set(item, this.#clock.now() + this.#timeoutMs);
    this.#timer ??= this.#clock.after(this.#timeoutMs, () => this.#tick());
  }

  delete(item: T): void {
    this.#deadlines.delete(item);
  }

  /** Oldest first. */
  items(): IterableIterator<T> {
    return this.#deadlines.keys();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#deadlines.clear();
  }

  #tick(): void {
    const now = this.#clock.now();
    this.#timer = undefined;
    for (const [item, deadline] of this.#deadlines) {
      if (deadline > now) {
        this.#timer = this.#clock.after(deadline - now, () => this.#tick());
        return;
      }
      this.#deadlines.delete(item);
      this.#onLate(item);
    }
  }
}
