import type { Ratio, Report } from './results.ts';

/** How much worse a ratio may be than in the committed report: the noise of a machine that does other things as well. */
const TOLERANCE = 0.25;

export interface Comparison {
  readonly lines: readonly string[];
  readonly failed: boolean;
}

/** Compares what both reports have; a ratio that only one of them knows is named and passes. */
export function compareRatios(committed: Report, fresh: Report): Comparison {
  const [before, now] = [ratiosOf(committed), ratiosOf(fresh)];
  let failed = false;
  const lines = [...now].map(([name, { value, better }]) => {
    const old = before.get(name);
    if (old === undefined) return `new      ${name}: ${show(value)}`;
    const worse = better === 'lower' ? value / old.value - 1 : old.value / value - 1;
    const isBad = !(worse <= TOLERANCE);
    failed ||= isBad;
    return `${isBad ? 'WORSE   ' : 'ok      '} ${name}: ${show(value)}, was ${show(old.value)}`;
  });
  const missing = [...before.keys()].filter((name) => !now.has(name)).map((name) => `missing  ${name}`);
  return { lines: [...lines, ...missing], failed };
}

function ratiosOf({ sections }: Report): ReadonlyMap<string, Ratio> {
  return new Map(sections.flatMap(({ ratios }) => Object.entries(ratios)));
}

function show(value: number): string {
  return String(Number(value.toPrecision(3)));
}
