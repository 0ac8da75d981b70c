import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { certainEnd, hasUnknownLife, lifeStart, possibleEnd } from '../../src/credential/life.ts';
import { MIN_REFRESH_GAP_MS, nextRefreshAt } from '../../src/credential/renewal.ts';
import { livingKeys, spans } from '../fakes/arbitraries.ts';
import { START } from '../fakes/living.ts';

const needs = fc.record({ longestIntervalMs: spans, turnMarginMs: spans });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the next refresh', () => {
  it('is never before half of life, and never after two thirds but for the gap between refreshes', () => {
    fc.assert(
      fc.property(livingKeys, needs, chance, (key, need, random) => {
        const due = nextRefreshAt(key, need, random);
        const spans: { start: number; life: number }[] = [];
        if (hasUnknownLife(key)) spans.push({ start: key.key.confirmedAtMs, life: key.key.ttlMs });
        const possible = possibleEnd(key);
        if (possible !== undefined) spans.push({ start: lifeStart(key), life: possible - lifeStart(key) });
        const certain = certainEnd(key);
        if (certain !== undefined) spans.push({ start: key.key.confirmedAtMs, life: certain - key.key.confirmedAtMs });
        const halves = spans.map(({ start, life }) => start + life / 2);
        const latest = spans.map(({ start, life }) => start + Math.max((life * 2) / 3, life / 2, MIN_REFRESH_GAP_MS));
        expect(due).toBeGreaterThanOrEqual(Math.min(...halves));
        expect(due).toBeLessThanOrEqual(Math.max(...latest));
      }),
    );
  });

  it('is made earlier by jitter, never later, and by a tenth of life at the most', () => {
    fc.assert(
      fc.property(livingKeys, needs, chance, (key, need, random) => {
        const without = nextRefreshAt(key, need, 0);
        const jittered = nextRefreshAt(key, need, random);
        expect(jittered).toBeLessThanOrEqual(without);
        expect(without - jittered).toBeLessThanOrEqual(Math.max(0, without - START) * 0.2 + 1);
      }),
    );
  });

  it('is never later for a client that keeps keys longer', () => {
    fc.assert(
      fc.property(livingKeys, needs, spans, chance, (key, need, more, random) => {
        const longer = { ...need, longestIntervalMs: need.longestIntervalMs + more };
        expect(nextRefreshAt(key, longer, random)).toBeLessThanOrEqual(nextRefreshAt(key, need, random));
      }),
    );
  });
});
