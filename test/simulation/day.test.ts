import { describe, expect, it } from 'vitest';
import { Day } from './day.ts';

/** Short days, and a share of them per test, so that the workers can divide them. */
const SEEDS_EACH = 25;
const HOURS = 2;

describe('a simulated day', () => {
  it('is the same for the same seed', async () => {
    const [first, second] = [await new Day({ seed: 7, hours: 2 }).run(), await new Day({ seed: 7, hours: 2 }).run()];
    expect(second).toEqual(first);
    expect(first.answers).toBeGreaterThan(100);
  });

  it.each(Array.from({ length: 8 }, (_, index) => 1_000 + index * SEEDS_EACH))(
    'breaks no rule, from seed %d on',
    async (from) => {
      for (let seed = from; seed < from + SEEDS_EACH; seed += 1) await new Day({ seed, hours: HOURS }).run();
    },
  );
});
