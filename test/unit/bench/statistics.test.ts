import { expect, test } from 'vitest';
import { medianWithin } from '../../../bench/statistics.ts';

test('the true median lies where it is said to lie, in 99 of 100 cases', () => {
  // A linear congruential generator, so that every run tosses the same coins.
  let state = 11;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  let missed = 0;
  for (let time = 0; time < 2_000; time += 1) {
    // Skewed, as times are: the median of -ln(u) is ln 2.
    const [low, high] = medianWithin(Array.from({ length: 20 + (time % 60) }, () => -Math.log(1 - random())));
    if (Math.LN2 < low || Math.LN2 > high) missed += 1;
  }
  expect(missed / 2_000).toBeLessThan(0.01);
});

test('more samples know it better; a handful says as much as its extremes', () => {
  const spread = (count: number) => {
    const [low, high] = medianWithin(Array.from({ length: count }, (_, at) => at / count));
    return high - low;
  };
  expect(spread(400)).toBeLessThan(spread(40));
  expect(medianWithin([3, 1, 2])).toEqual([1, 3]);
});
