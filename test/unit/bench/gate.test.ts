import { expect, test } from 'vitest';
import { compareRatios } from '../../../bench/gate.ts';
import { linePlot } from '../../../bench/plot.ts';
import type { Ratio, Report } from '../../../bench/results.ts';
import { ratioOf, summarize } from '../../../bench/statistics.ts';

function reportWith(ratios: Readonly<Record<string, Ratio>>): Report {
  const section = { title: '', words: [], tables: [], targets: [], plots: [], ratios, figures: {} };
  return { machine: [], takenAt: '', quick: false, sections: [section] };
}

test.each([
  ['lower', 2, 2.4, false],
  ['lower', 2, 2.6, true],
  ['lower', 2, 0.5, false],
  ['higher', 0.8, 0.7, false],
  ['higher', 0.8, 0.6, true],
  ['higher', 0.8, 2, false],
  ['higher', 0.8, Number.NaN, true],
] as const)('where %s is better, %d that became %d fails the gate: %s', (better, before, now, failed) => {
  const committed = reportWith({ speed: { value: before, better } });
  expect(compareRatios(committed, reportWith({ speed: { value: now, better } })).failed).toBe(failed);
});

test('a ratio that only one of the reports has is named and passes', () => {
  const committed = reportWith({ old: { value: 1, better: 'lower' } });
  const { lines, failed } = compareRatios(committed, reportWith({ fresh: { value: 1, better: 'lower' } }));
  expect(lines).toEqual(['new      fresh: 1', 'missing  old']);
  expect(failed).toBe(false);
});

test('a round that is slow as a whole does not change a ratio', () => {
  expect(ratioOf([2, 20, 4], [1, 10, 2])).toBe(2);
});

test('noise is half the distance between the quartiles, as a share of the median', () => {
  expect(summarize([1, 2, 3, 4, 5, 6, 7, 8])).toEqual({ runs: 8, p50: 5, p99: 8, noise: 0.4 });
});

test('a plot is well-formed whatever its words are', () => {
  const svg = linePlot({ title: 'a & b', x: '<n>', y: 'µs', series: [{ name: 'x < y', points: [[1, 10]] }] });
  expect(svg).toContain('a &amp; b');
  expect(svg).toContain('x &lt; y');
  expect(svg).not.toMatch(/NaN|Infinity/);
});
