import type { Experiment, Tally } from './experiment.ts';

export interface Row {
  readonly experiment: Experiment;
  readonly tally: Tally;
  readonly seed: number;
  readonly tookMs: number;
}

const SEEN_WELL = 'as expected';

/** The table of docs/reliability.md. */
export function table(rows: readonly Row[]): string {
  const lines = rows.map(({ experiment, tally, seed }) => {
    const { fault, expected, missing } = experiment;
    if (missing !== undefined) return `| ${fault} | 0 | ${expected} | not tried: ${missing} | | | | |`;
    const notes = [tally.isAsExpected ? SEEN_WELL : tally.words.join('; '), ...tally.notes].join('; ');
    const cells = [fault, tally.inflicted, expected, cell(notes), `${tally.wrong} of ${tally.answers}`, tally.lost];
    return `| ${[...cells, recovery(tally.recoveredMs), seed].join(' | ')} |`;
  });
  return `| fault | times | expected | seen | wrong keys | answers lost | time to recover, half and worst | seed |
|---|---|---|---|---|---|---|---|
${lines.join('\n')}
`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function recovery(ms: readonly number[]): string {
  if (ms.length === 0) return '';
  const sorted = ms.toSorted((a, b) => a - b);
  return `${seconds(sorted[Math.floor(sorted.length / 2)] ?? 0)}, ${seconds(sorted.at(-1) ?? 0)}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
