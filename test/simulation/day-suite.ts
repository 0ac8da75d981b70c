import { describe, it } from 'vitest';
import { Day } from './day.ts';

/** Days of two hours: long enough for a login, a lease and several keys to end. */
const HOURS = 2;
const SEEDS_EACH = 25;

/** `seeds` days, in tests of 25. In files of their own the suites run on several cores. */
export function describeDays(from: number, seeds: number): void {
  const starts = Array.from({ length: seeds / SEEDS_EACH }, (_, index) => from + index * SEEDS_EACH);
  describe('a simulated day', () => {
    it.each(starts)('breaks no rule, from seed %d on', async (start) => {
      for (let seed = start; seed < start + SEEDS_EACH; seed += 1) await new Day({ seed, hours: HOURS }).run();
    });
  });
}
