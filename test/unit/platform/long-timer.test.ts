import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LongTimer } from '../../../src/platform/clock.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const DAY_MS = 86_400_000;
const monotonicMs = () => performance.now();

it('waits longer than Node can at once', () => {
  const fired = vi.fn();
  new LongTimer(60 * DAY_MS, monotonicMs, fired);
  vi.advanceTimersByTime(60 * DAY_MS - 1);
  expect(fired).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(fired).toHaveBeenCalledTimes(1);
});

it('can be cancelled in any of its stretches', () => {
  const fired = vi.fn();
  const timer = new LongTimer(60 * DAY_MS, monotonicMs, fired);
  vi.advanceTimersByTime(30 * DAY_MS);
  timer.cancel();
  vi.advanceTimersByTime(90 * DAY_MS);
  expect(fired).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

it('is never early: a timeout that Node ran too soon is armed again', () => {
  let now = 0;
  const fired = vi.fn();
  new LongTimer(10, () => now, fired);
  now = 9.4;
  vi.advanceTimersByTime(10);
  expect(fired).not.toHaveBeenCalled();
  now = 10.1;
  vi.advanceTimersByTime(1);
  expect(fired).toHaveBeenCalledTimes(1);
});

it('refuses a delay that is no number of milliseconds', () => {
  expect(() => new LongTimer(Number.NaN, monotonicMs, () => {})).toThrow(RangeError);
  expect(() => new LongTimer(Number.POSITIVE_INFINITY, monotonicMs, () => {})).toThrow(RangeError);
});
