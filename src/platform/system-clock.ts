import { randomUUID } from 'node:crypto';
import { uptime } from 'node:os';
import { currentBootId } from './boot-id.ts';
import { BootTime, type ClockJump, type TimeSources } from './boot-time.ts';
import type { Clock, Timer } from './clock.ts';
import { LongTimer } from './long-timer.ts';
import { type Anchor, anchorOffset } from './timeline.ts';

export interface SystemClockOptions {
  /** What the last run stored; see `timeline()`. */
  readonly timeline?: Anchor | undefined;
  /** CLOCK_BOOTTIME (or the like) in milliseconds, from the native addon; else suspends are noticed by other means. */
  readonly bootTimeMs?: (() => number) | undefined;
  /** The machine slept, or somebody set the wall clock. Called while some other call reads the clock: do not read it in there. */
  readonly onJump?: ((jump: ClockJump) => void) | undefined;
  /** For tests. */
  readonly sources?: TimeSources;
  /** Undefined where the system has none; for tests. */
  readonly bootId?: string | undefined;
}

/** The machine's own clocks behind the Clock port. */
export class SystemClock implements Clock {
  readonly #sources: TimeSources;
  readonly #bootTime: BootTime;
  readonly #bootId: string;
  readonly #offsetMs: number;

  constructor(options: SystemClockOptions = {}) {
    this.#sources = options.sources ?? systemSources(options.bootTimeMs);
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

  after(delayMs: number, callback: () => void): Timer {
    return new LongTimer(delayMs, this.#sources.monotonicMs, () => {
      this.#bootTime.look();
      callback();
    });
  }

  /** To be stored for the next run: at every write of the cache is often enough. */
  timeline(): Anchor {
    return { bootId: this.#bootId, offsetMs: this.#offsetMs, lastSeenMs: this.now() };
  }
}

function systemSources(bootTimeMs: (() => number) | undefined): TimeSources {
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    uptimeMs: () => uptime() * 1000,
    bootTimeMs,
  };
}

/** CLOCK_MONOTONIC in microseconds, as sd_notify(3) wants it. */
export function monotonicMicros(): bigint {
  return process.hrtime.bigint() / 1000n;
}
