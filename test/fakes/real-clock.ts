import type { Clock, Timer } from '../../src/platform/clock.ts';

/** The machine's own time, for tests against real servers and processes, where nothing is served by a fake clock. */
export const realClock: Clock = {
  now: () => Date.now(),
  wall: () => Date.now(),
  read: () => ({ nowMs: Date.now(), wallMs: Date.now() }),
  after(delayMs: number, callback: () => void): Timer {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** The same in a hurry: the pauses between two tries, a few seconds each, take a fiftieth. Limits stay. */
export const hastyClock: Clock = {
  ...realClock,
  after: (delayMs, callback) => realClock.after(delayMs <= 5_000 ? delayMs / 50 : delayMs, callback),
};
