import { describe, expect, it } from 'vitest';
import { Day } from './day.ts';

/** Days of two hours: long enough for a login, a lease and several keys to end. `npm run simulate` lives longer ones. */
const HOURS = 2;
const SEEDS = Array.from({ length: 20 }, (_, index) => 1_000 + index);

describe('a simulated day', () => {
  it('is the same for the same seed', async () => {
    const [first, second] = [
      await (await Day.begin({ seed: 7, hours: 2 })).run(),
      await (await Day.begin({ seed: 7, hours: 2 })).run(),
    ];
    expect(second).toEqual(first);
    expect(first.answers).toBeGreaterThan(100);
  });

  it.each(SEEDS)('breaks no rule, seed %d', async (seed) => {
    await (await Day.begin({ seed, hours: HOURS })).run();
  });
});
