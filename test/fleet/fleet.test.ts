import { describe, expect, it } from 'vitest';
import { measure, perSecond, smoothOptimum } from './fleet.ts';

const SECOND = 1_000;

describe('a fleet', () => {
  it('that wakes within ten seconds asks no more than twice as fast as the smooth optimum', async () => {
    const hosts = 500;
    const { arrivals, failed } = await measure('broker', 'wake', hosts);
    const rate = perSecond(arrivals, 0, 40 * SECOND);
    expect(failed).toBe(0);
    expect(rate.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(hosts * 3);
    expect(Math.max(...rate)).toBeLessThanOrEqual(2 * smoothOptimum(hosts));
  });

  it('neither hammers a Vault that is down nor meets it all at once when it is back', async () => {
    const hosts = 40;
    const { arrivals } = await measure('broker', 'return', hosts);
    const rate = perSecond(arrivals, -600 * SECOND, 600 * SECOND);
    const down = rate.slice(0, 600).reduce((sum, one) => sum + one, 0);
    // Where somebody asks in vain all the time: one probe per machine in 10 to 60 s, since the outage is two hours old.
    expect(down / hosts).toBeLessThan(600 / 30);
    expect(Math.max(...rate.slice(0, 600)) / hosts).toBeLessThan(0.2);
    expect(Math.max(...rate.slice(600))).toBeLessThanOrEqual(10);
  });
});
