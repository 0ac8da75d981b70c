import { expect, it } from 'vitest';
import { anchorOffset } from '../../../src/platform/timeline.ts';

it('starts at the wall clock when there is nothing to go by', () => {
  expect(anchorOffset({ previous: undefined, bootId: 'a', bootMs: 400, wallMs: 10_400 })).toBe(10_000);
});

it('takes the offset over within one boot, whatever became of the wall clock', () => {
  const previous = { bootId: 'a', offsetMs: 10_000, lastSeenMs: 10_500 };
  expect(anchorOffset({ previous, bootId: 'a', bootMs: 900, wallMs: 99 })).toBe(10_000);
});

it('follows the wall clock after another boot, but never back before what was seen', () => {
  const previous = { bootId: 'a', offsetMs: 10_000, lastSeenMs: 50_000 };
  expect(anchorOffset({ previous, bootId: 'b', bootMs: 100, wallMs: 60_100 })).toBe(60_000);
  expect(anchorOffset({ previous, bootId: 'b', bootMs: 100, wallMs: 20_000 })).toBe(49_900);
});

it('never goes back within one boot either, should the boot clock have been restored from a snapshot', () => {
  const previous = { bootId: 'a', offsetMs: 10_000, lastSeenMs: 50_000 };
  expect(anchorOffset({ previous, bootId: 'a', bootMs: 1_000, wallMs: 99 })).toBe(49_000);
});
