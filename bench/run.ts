/**
 * `npm run bench`: measures everything and writes bench/report.md, report.json and the plots.
 *
 * --only NAME[,NAME]  these sections (helper, daemon, start, rest, growth, rejection, saving, peers); the report is printed
 * --write             with --only: puts these sections into the committed report, in place of what they were
 * --quick             few runs, to see that all is well; the report is printed
 * --answers N         answers in the growth test of section 4; default 100,000, the target is for 1,000,000
 * --full              section 5 with a gigabyte of events
 * --gate              compares the ratios with the committed report; exit 1 if one is worse by more than 25 %
 *
 * The section `peers` needs curl and jq, and measures AWS Secrets Manager Agent if BROKER_BENCH_AWS_AGENT names its
 * binary; without it, it says how to build it.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { compareRatios } from './gate.ts';
import type { Bench } from './lab.ts';
import { describeMachine } from './machine.ts';
import { renderReport } from './markdown.ts';
import { compilePrograms } from './programs.ts';
import type { Report, Section } from './results.ts';
import { measureDaemon } from './sections/daemon.ts';
import { measureGrowth } from './sections/growth.ts';
import { measureHelper } from './sections/helper.ts';
import { measurePeers } from './sections/peers.ts';
import { measureRejection } from './sections/rejection.ts';
import { measureRest } from './sections/rest.ts';
import { measureSaving } from './sections/saving.ts';
import { measureStart } from './sections/start.ts';

const SECTIONS: Readonly<Record<string, (bench: Bench) => Promise<Section>>> = {
  helper: measureHelper,
  daemon: measureDaemon,
  start: measureStart,
  rest: measureRest,
  growth: measureGrowth,
  rejection: measureRejection,
  saving: measureSaving,
  peers: measurePeers,
};

const REPORT = path.join(import.meta.dirname, 'report.json');
const REMARKS = path.join(import.meta.dirname, 'remarks.md');

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    answers: { type: 'string', default: '100000' },
    full: { type: 'boolean', default: false },
    gate: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const wanted = options.only?.split(',') ?? Object.keys(SECTIONS);
  const unknown = wanted.find((name) => !Object.hasOwn(SECTIONS, name));
  if (unknown !== undefined) throw new Error(`there is no section "${unknown}": ${Object.keys(SECTIONS).join(', ')}`);
  const loadBefore = loadavg()[0] ?? 0;
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-bench-'));
  // Everything temporary lies in here, whoever makes it.
  process.env['TMPDIR'] = folder;
  try {
    const bench: Bench = {
      programs: compilePrograms(folder),
      effort: { quick: options.quick, answers: Number(options.answers), full: options.full },
      folder,
      say: (line) => void process.stderr.write(`${line}\n`),
    };
    const sections: Section[] = [];
    for (const name of wanted) {
      const section = await SECTIONS[name]?.(bench).catch((error: unknown) => failed(bench, name, error));
      if (section !== undefined) sections.push(section);
    }
    const takenAt = `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`;
    finish({ machine: describeMachine(loadBefore), takenAt, quick: options.quick, sections });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Minutes of measuring are not thrown away because the last section failed; but the run has failed. */
function failed({ say }: Bench, name: string, error: unknown): undefined {
  say(`section ${name} failed: ${error instanceof Error ? error.stack : String(error)}`);
  process.exitCode = 1;
}

function finish(fresh: Report): void {
  const report = options.write ? joined(JSON.parse(read(REPORT)) as Report, fresh) : fresh;
  const text = renderReport(report, read(REMARKS));
  if (options.gate) {
    const { lines, failed } = compareRatios(JSON.parse(read(REPORT)) as Report, report);
    process.stdout.write(`${lines.join('\n')}\n`);
    if (failed) process.exitCode = 1;
  } else if (options.quick || (options.only !== undefined && !options.write)) {
    process.stdout.write(text);
  } else {
    writeFileSync(REPORT, `${JSON.stringify(report)}\n`);
    writeFileSync(path.join(import.meta.dirname, 'report.md'), text);
    for (const { plots } of report.sections) {
      for (const { name, svg } of plots) writeFileSync(path.join(import.meta.dirname, `report-${name}.svg`), svg);
    }
  }
}

/** The committed report with some sections measured again, and a line that says so. */
function joined(committed: Report, fresh: Report): Report {
  const find = (title: string) => fresh.sections.find((section) => section.title === title);
  const numbers = fresh.sections.map(({ title }) => title.split('.')[0] ?? '').toSorted();
  const isAnew = (line: string) => {
    const [, those] = /^Section ([\d and]+) taken /.exec(line) ?? [];
    return those?.split(' and ').every((each) => numbers.includes(each)) === true;
  };
  const [machine = '', load = ''] = fresh.machine;
  const taken = `Section ${numbers.join(' and ')} taken`;
  const elsewhere = machine === committed.machine[0] ? '' : `, on ${machine}`;
  return {
    ...committed,
    machine: [
      ...committed.machine.filter((line) => !isAnew(line)),
      `${taken} ${fresh.takenAt} in a run of its own${elsewhere}. ${load}`,
    ],
    sections: [
      ...committed.sections.map((section) => find(section.title) ?? section),
      ...fresh.sections.filter(({ title }) => committed.sections.every((section) => section.title !== title)),
    ],
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

await main();
