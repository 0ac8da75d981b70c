import { randomUUID } from 'node:crypto';
import { uptime } from 'node:os';
import { BootTime, type ClockJump, currentBootId, type TimeSources } from './boot.ts';
import { anchorOffset, type Timeline } from './timeline.ts';

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
  /** Both in one reading, to be handed on by whoever needs to know the time of one event several times. */
  read(): Moment;
  /** Calls back once, after at least `delayMs` of waking time; any finite delay is allowed. */
  after(delayMs: number, callback: () => void): Timer;
}

/** What the steady and the wall clock showed at the same time. */
export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

export interface Timer {
  cancel(): void;
}

/** A source of numbers in [0, 1) for jitter; never for secrets. Tests and simulations hand in a seeded one. */
export type Random = () => number;

export const systemRandom: Random = Math.random;

interface ClockSources extends TimeSources {
  /** The clock of Node's timers; on macOS it counts sleep. */
  readonly timerMs: () => number;
}

interface SystemClockOptions {
  /** What the last run stored; see `timeline()`. */
  readonly timeline?: Timeline | undefined;
  /** CLOCK_BOOTTIME (or the like) in milliseconds, from the native addon; else suspends are noticed by other means. */
  readonly bootTimeMs?: (() => number) | undefined;
  /** The machine slept, or somebody set the wall clock. Called while some other call reads the clock: do not read it in there. */
  readonly onJump?: ((jump: ClockJump) => void) | undefined;
  /** For tests. */
  readonly sources?: ClockSources;
  /** Milliseconds awake, from the native addon, for macOS, whose monotonic clock counts sleep. Default: Node's monotonic clock. */
  readonly awakeTimeMs?: (() => number) | undefined;
  /** Undefined where the system has none; for tests. */
  readonly bootId?: string | undefined;
}

/** The machine's own clocks behind the Clock port. */
export class SystemClock implements Clock {
  readonly #sources: ClockSources;
  readonly #bootTime: BootTime;
  readonly #bootId: string;
  readonly #offsetMs: number;

  constructor(options: SystemClockOptions = {}) {
    this.#sources = options.sources ?? systemSources(options);
    this.#bootTime = new BootTime(this.#sources, options.onJump ?? (() => {}));
    this.#bootId = options.bootId ?? currentBootId() ?? randomUUID();
    this.#offsetMs = anchorOffset({
      previous: options.timeline,
      bootId: this.#bootId,
      bootMs: this.#bootTime.read(),
      wallMs: this.#sources.wallMs(),
    });
  }

  now(): number {
    return this.#offsetMs + this.#bootTime.read();
  }

  wall(): number {
    return this.#sources.wallMs();
  }

  read(): Moment {
    const wallMs = this.#sources.wallMs();
    return { nowMs: this.#offsetMs + this.#bootTime.read(wallMs), wallMs };
  }

  after(delayMs: number, callback: () => void): Timer {
    return new LongTimer(delayMs, this.#sources.timerMs, () => {
      this.#bootTime.look();
      callback();
    });
  }

  /** To be stored for the next run: at every write of the cache is often enough. */
  timeline(): Timeline {
    return { bootId: this.#bootId, offsetMs: this.#offsetMs, lastSeenMs: this.now() };
  }
}

function systemSources({ bootTimeMs, awakeTimeMs }: SystemClockOptions): ClockSources {
  const timerMs = performance.now.bind(performance);
  return {
    wallMs: Date.now,
    awakeMs: awakeTimeMs ?? timerMs,
    timerMs,
    uptimeMs: () => uptime() * 1000,
    bootTimeMs,
  };
}

/** CLOCK_MONOTONIC in microseconds, as sd_notify(3) wants it. */
export function monotonicMicros(): bigint {
  return process.hrtime.bigint() / 1000n;
}

/** Node turns longer delays into 1 ms. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * A timer of any length, measured on the monotonic clock: never early, neither by Node's limit nor by its rounding.
 */
export class LongTimer implements Timer {
  readonly #dueMs: number;
  readonly #monotonicMs: () => number;
  readonly #callback: () => void;
  #timeout: NodeJS.Timeout | undefined;

  constructor(delayMs: number, monotonicMs: () => number, callback: () => void) {
    if (!Number.isFinite(delayMs)) throw new RangeError(`a timer needs a finite delay, not ${delayMs}`);
    this.#monotonicMs = monotonicMs;
    this.#callback = callback;
    this.#dueMs = monotonicMs() + delayMs;
    this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#timeout);
    this.#timeout = undefined;
  }

  #arm(remainingMs: number): void {
    this.#timeout = setTimeout(this.#fire.bind(this), Math.min(Math.max(Math.ceil(remainingMs), 0), LONGEST_MS));
  }

  #fire(): void {
    const remainingMs = this.#dueMs - this.#monotonicMs();
    if (remainingMs > 0) {
      this.#arm(remainingMs);
      return;
    }
    this.#timeout = undefined;
    this.#callback();
  }
}
