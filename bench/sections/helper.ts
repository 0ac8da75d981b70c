import { statSync } from 'node:fs';
import { helperPath } from '../../src/platform/native.ts';
import { findInstalled } from '../installed.ts';
import { type Bench, preparedHome, Server } from '../lab.ts';
import { GitCache } from '../peers.ts';
import { barPlot } from '../plot.ts';
import { nodeClientScript } from '../programs.ts';
import type { Section } from '../results.ts';
import { ratioOf, summarize } from '../statistics.ts';
import { type Candidate, type Timed, timeCommands } from '../stopwatch.ts';

/** What takes ten milliseconds and more is told apart by fewer runs. */
const SLOW_SHARE = 20;

/** Section 1: one key on standard output, from before the fork to the end of the output. */
export async function measureHelper(bench: Bench): Promise<Section> {
  const helper = helperPath();
  if (helper === undefined) throw new Error('the helper is not built: npm run build');
  const runs = bench.effort.quick ? 200 : 2_000;
  const home = preparedHome(bench.folder);
  const git = new GitCache(bench.folder);
  const env = { ...home.env, ...git.env };
  const server = await Server.daemon(home);
  try {
    bench.say(`helper: ${runs} runs each`);
    const fast = await timeCommands(bench.programs, runs, fastOnes(bench, helper, git), env);
    const slow = await timeCommands(bench.programs, runs / SLOW_SHARE, slowOnes(bench, helper, home.socket), env);
    return describe([...fast, ...slow.filter(({ name }) => fast.every((each) => each.name !== name))], fast, {
      helperBytes: statSync(helper).size,
      fewer: runs / SLOW_SHARE,
    });
  } finally {
    git.end();
    await server.end();
    await home.close();
  }
}

const FLOOR = 'no-op: static, one system call';
const TRUE = 'sh -c true';
const OURS = 'broker-key';
const OURS_SHELL = 'sh -c broker-key';

function fastOnes({ programs }: Bench, helper: string, cache: GitCache): Candidate[] {
  const git = findInstalled('git');
  return [
    { name: FLOOR, argv: [programs.floor] },
    { name: OURS, argv: [helper] },
    { name: TRUE, argv: ['/bin/sh', '-c', 'true'] },
    { name: OURS_SHELL, argv: ['/bin/sh', '-c', helper] },
    ...(git === undefined
      ? []
      : [
          {
            name: 'git credential-cache get',
            argv: [git, 'credential-cache', 'get'] as const,
            input: cache.question,
          },
        ]),
  ];
}

function slowOnes({ programs }: Bench, helper: string, socket: string): Candidate[] {
  const curl = findInstalled('curl');
  const peers = [
    ['vault', ['--version']],
    ['bao', ['--version']],
    ['aws', ['--version']],
    ['op', ['--version']],
  ] as const;
  return [
    { name: FLOOR, argv: [programs.floor] },
    { name: OURS, argv: [helper] },
    ...(curl === undefined
      ? []
      : [
          {
            name: 'curl --unix-socket',
            argv: [curl, '-sS', '--unix-socket', socket, `http://broker/v1/credentials/_default/key`] as const,
          },
        ]),
    { name: 'node, one request', argv: [process.execPath, nodeClientScript()] },
    ...peers.flatMap(([program, args]) => {
      const file = findInstalled(program);
      return file === undefined ? [] : [{ name: `${program} --version`, argv: [file, ...args] as const }];
    }),
  ];
}

function describe(
  all: readonly Timed[],
  fast: readonly Timed[],
  { helperBytes, fewer }: { readonly helperBytes: number; readonly fewer: number },
): Section {
  const of = (name: string) => fast.find((each) => each.name === name) as Timed;
  const [floor, ours, shell, oursShell] = [of(FLOOR), of(OURS), of(TRUE), of(OURS_SHELL)];
  const summary = summarize(ours.micros);
  const direct = ratioOf(ours.micros, floor.micros);
  const throughShell = ratioOf(oursShell.micros, shell.micros);
  const floorSpread = summarize(floor.micros);
  return {
    title: '1. Helper: one key on standard output',
    words: [
      `From before the fork to the end of the output, with Claude Code's kind of stdin. Every round runs every command once, each round in another order; what takes 10 ms and more gets ${fewer} rounds. The daemon's answer is part of the helper's time. The p99 of the no-op, which cannot have one of its own, is ${(floorSpread.p99 / floorSpread.p50).toFixed(1)} × its p50: that is the machine's.`,
    ],
    tables: [
      {
        heads: ['command', 'p50 µs', 'p99 µs', 'of the floor', 'resident kB', 'noise', 'runs'],
        rows: all.map(({ name, micros, residentKb }) => {
          const { p50, p99, noise, runs } = summarize(micros);
          const times = (p50 / floorSpread.p50).toFixed(1);
          return [
            name,
            p50.toFixed(0),
            p99.toFixed(0),
            `${times} ×`,
            String(residentKb),
            `± ${(noise * 100).toFixed(0)} %`,
            String(runs),
          ];
        }),
      },
    ],
    targets: [
      { what: 'helper, direct, p50', sense: 'at most', limit: 2.6, value: direct, unit: '× floor' },
      {
        what: 'helper, through the shell, p50',
        sense: 'at most',
        limit: 1.6,
        value: throughShell,
        unit: '× sh -c true',
      },
      { what: 'helper, p99', sense: 'at most', limit: 3, value: summary.p99 / summary.p50, unit: '× its p50' },
      { what: 'helper, resident', sense: 'at most', limit: 512, value: ours.residentKb, unit: 'kB' },
      { what: 'helper, binary', sense: 'at most', limit: 40, value: helperBytes / 1024, unit: 'kB' },
    ],
    plots: [
      {
        name: 'helper',
        caption: 'One key on standard output, p50',
        svg: barPlot({
          title: 'One key on standard output, p50 (logarithmic)',
          unit: 'µs',
          bars: all.map(({ name, micros }) => ({
            name,
            value: summarize(micros).p50,
            ours: name === OURS || name === OURS_SHELL,
          })),
        }),
      },
    ],
    ratios: {
      'helper.direct': { value: direct, better: 'lower' },
      'helper.shell': { value: throughShell, better: 'lower' },
    },
    figures: all.map(({ name, micros, residentKb }) => ({ name, residentKb, ...summarize(micros) })),
  };
}
