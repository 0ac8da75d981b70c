import { describe, expect, it } from 'vitest';
import { Day } from './day.ts';
import { describeDays } from './day-suite.ts';

describe('a simulated day', () => {
  it('is the same for the same seed', async () => {
    const [first, second] = [await new Day({ seed: 7, hours: 2 }).run(), await new Day({ seed: 7, hours: 2 }).run()];
    expect(second).toEqual(first);
    expect(first.answers).toBeGreaterThan(100);
  });
});

describeDays(1_000, 100);
