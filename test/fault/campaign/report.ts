import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Experiment, Tally } from './experiment.ts';

/** Of one experiment, as the page shows it: kept, so that some of them can be done again alone. */
export interface Row {
  readonly id: string;
  readonly line: string;
  readonly inflicted: number;
  readonly answers: number;
  readonly wrong: number;
  readonly lost: number;
  readonly stalled: number;
  readonly isAsExpected: boolean;
  readonly minutes: number;
}

export const KEPT = join(import.meta.dirname, '..', '..', '..', '.cache', 'campaign');

export function rowOf({ id, fault, expected, missing }: Experiment, tally: Tally, seed: number, minutes: number): Row {
  const { inflicted, answers, wrong, lost, stalled, isAsExpected } = tally;
  const facts = { id, inflicted, answers, wrong, lost, stalled, isAsExpected, minutes };
  if (missing !== undefined)
    return { ...facts, line: `| ${fault} | 0 | ${expected} | not tried: ${missing} | | | | |` };
  const notes = [isAsExpected ? 'as expected' : tally.words.join('; '), ...tally.notes].join('; ');
  const cells = [
    fault,
    inflicted,
    expected,
    cell(notes),
    `${wrong} of ${answers}`,
    lost,
    recovery(tally.recoveredMs),
    seed,
  ];
  return { ...facts, line: `| ${cells.join(' | ')} |` };
}

export function keep(row: Row): void {
  mkdirSync(KEPT, { recursive: true });
  writeFileSync(join(KEPT, `${row.id}.json`), JSON.stringify(row));
}

/** Every word of what was not as expected, for whoever looks for its cause: the page has a few of them only. */
export function keepWords(id: string, seed: number, what: string): void {
  mkdirSync(KEPT, { recursive: true });
  appendFileSync(join(KEPT, 'unexpected.log'), `${new Date().toISOString()} ${id} (seed ${seed}): ${what}\n`);
}

/** Undefined: this one has never been done whole on this machine. */
export function kept(id: string): Row | undefined {
  const file = join(KEPT, `${id}.json`);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Row) : undefined;
}

export function table(rows: readonly Row[]): string {
  return `| fault | times | expected | seen | wrong keys | answers lost | time to recover, half and worst | seed |
|---|---|---|---|---|---|---|---|
${rows.map(({ line }) => line).join('\n')}
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
