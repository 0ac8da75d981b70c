import { isMet, type Report, type Section, type Table, type Target } from './results.ts';

/** Remarks on targets, by title: kept beside the figures so that a new run does not lose them. */
export function renderReport({ machine, takenAt, quick, sections }: Report, remarks: string): string {
  const parts = [
    '# What it costs: the broker beside the floor and the peers',
    'Made by `npm run bench`; `npm run bench:gate` compares the ratios of a new run with this one.',
    `Taken ${takenAt}${quick ? ' **in quick mode: too few runs to be quoted**' : ''}.`,
    machine.map((line) => `- ${line}`).join('\n'),
    '## Every target',
    renderTargets(sections),
    ...(remarks === '' ? [] : [remarks.trim()]),
    ...sections.map(renderSection),
  ];
  return `${parts.join('\n\n')}\n`;
}

function renderTargets(sections: readonly Section[]): string {
  return renderTable({
    heads: ['target', 'promised', 'measured', ''],
    rows: sections.flatMap(({ targets }) => targets.map(targetRow)),
  });
}

function targetRow(target: Target): string[] {
  const { what, sense, limit, unit, value } = target;
  return [what, `${sense} ${limit} ${unit}`, `${number(value)} ${unit}`, isMet(target) ? 'met' : '**missed**'];
}

function renderSection({ title, words, tables, plots }: Section): string {
  const images = plots.map(({ name, caption }) => `![${caption}](report-${name}.svg)`);
  return [`## ${title}`, ...words, ...tables.map(renderTable), ...images].join('\n\n');
}

function renderTable({ heads, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

function number(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
