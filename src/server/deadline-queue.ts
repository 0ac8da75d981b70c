import type { Clock, Timer } from '../platform/clock.ts';
import { LinkedList, type Place } from './linked-list.ts';

/**
 * Things that may wait for the same time, oldest first, with a single timer for all. Empty, it wakes nobody up: the
 * timer that is armed runs out once and is not armed again.
 */
export class DeadlineQueue<T> {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #onLate: (item: T) => void;
  readonly #waiting = new LinkedList<T>();
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number, onLate: (item: T) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
  }

  /** Starts the wait, anew if it was waiting. */
  add(place: Place<T>): void {
    // All wait equally long, so the newest is always the last.
    place.deadlineMs = this.#clock.now() + this.#timeoutMs;
    this.#waiting.push(place);
    this.#timer ??= this.#clock.after(this.#timeoutMs, () => this.#tick());
  }

  delete(place: Place<T>): void {
    this.#waiting.delete(place);
  }

  /** Oldest first; at most `limit` of them. */
  oldest(limit: number): T[] {
    return this.#waiting.items(limit);
  }

  /** Everybody is forgotten, and no timer runs. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#waiting.clear();
  }

  #tick(): void {
    const now = this.#clock.now();
    this.#timer = undefined;
    for (let { first } = this.#waiting; first !== undefined; first = this.#waiting.first) {
      if (first.deadlineMs > now) {
        this.#timer = this.#clock.after(first.deadlineMs - now, () => this.#tick());
        return;
      }
      this.#waiting.delete(first);
      this.#onLate(first.item);
    }
  }
}
