/** What many runs of one thing came to, in the unit of the samples. */
export interface Summary {
  readonly runs: number;
  readonly p50: number;
  readonly p99: number;
  /** Half the distance between the quartiles, as a share of the median: how much the machine was in two minds. */
  readonly noise: number;
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return percentile([...samples].sort(ascending), 0.5);
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort(ascending);
  const p50 = percentile(sorted, 0.5);
  const noise = (percentile(sorted, 0.75) - percentile(sorted, 0.25)) / 2 / p50;
  return { runs: sorted.length, p50, p99: percentile(sorted, 0.99), noise };
}

/**
 * The median of the ratios within each round. What slows a whole round down slows both sides of its ratio down, so
 * this stands still on a machine that others use as well, where the ratio of two medians does not.
 */
export function ratioOf(numerators: readonly number[], denominators: readonly number[]): number {
  return median(numerators.map((value, round) => value / (denominators[round] ?? Number.NaN)));
}

function ascending(a: number, b: number): number {
  return a - b;
}

/**
 * Between which two values the true median lies with 99 % confidence, whatever the distribution: how many samples fall
 * below it is a matter of coin tosses.
 */
export function medianWithin(samples: readonly number[]): readonly [low: number, high: number] {
  const sorted = [...samples].sort(ascending);
  const rank = Math.max(0, Math.floor(sorted.length / 2 - 2.576 * Math.sqrt(sorted.length / 4)) - 1);
  return [sorted[rank] ?? Number.NaN, sorted[sorted.length - 1 - rank] ?? Number.NaN];
}
