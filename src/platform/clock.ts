/**
 * Time as the broker knows it. Nothing else in the project reads a clock or arms a timer.
 *
 * `now()` is steady time: milliseconds since the epoch as the wall clock showed it when the timeline was anchored,
 * carried forward by the boot clock. It counts time asleep and never moves because somebody set the wall clock, so
 * lease times may be compared on it directly.
 */
export interface Clock {
  now(): number;
  /** What the wall clock shows at this moment, jumps and all. */
  wall(): number;
  /** Calls back once, after at least `delayMs` of waking time; any finite delay is allowed. */
  after(delayMs: number, callback: () => void): Timer;
}

export interface Timer {
  cancel(): void;
}
