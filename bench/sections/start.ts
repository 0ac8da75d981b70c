import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { helperPath } from '../../src/platform/native.ts';
import { type Bench, PROJECT, preparedHome, Server } from '../lab.ts';
import { bareServerScript, output } from '../programs.ts';
import type { Section } from '../results.ts';
import { ratioOf, summarize } from '../statistics.ts';

interface Start {
  readonly ms: number;
  readonly residentMb: number;
}

/** Section 3: from nothing to the first answer out of the encrypted cache. */
export async function measureStart(bench: Bench): Promise<Section> {
  const rounds = bench.effort.quick ? 10 : 40;
  const home = preparedHome(bench.folder);
  const { firstAnswer } = bench.programs;
  const { execPath } = process;
  const broker = path.join(PROJECT, 'bin', 'broker.mjs');
  const bareSocket = path.join(bench.folder, 'start.sock');
  const helper = helperPath() ?? '';
  const run = async (args: readonly string[], env: Readonly<Record<string, string>>): Promise<Start> => {
    const [nanos = 0, kb = 0] = (await output(firstAnswer, args, env)).split(' ').map(Number);
    return { ms: nanos / 1e6, residentMb: kb / 1024 };
  };
  try {
    await fillCache(home);
    const [bare, daemon, activated]: [Start[], Start[], Start[]] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      if (round % 20 === 0) bench.say(`start: round ${round} of ${rounds}`);
      bare.push(await run([bareSocket, execPath, bareServerScript(), bareSocket], {}));
      daemon.push(await run([home.socket, execPath, broker, 'daemon'], home.env));
      activated.push(await run(['--activate', helper, home.socket, execPath, broker, 'daemon'], home.env));
    }
    return describe(bare, daemon, activated);
  } finally {
    await home.close();
  }
}

async function fillCache(home: ReturnType<typeof preparedHome>): Promise<void> {
  const server = await Server.daemon(home);
  await home.get('/v1/credentials/_default/key');
  // Written a second after the first answer; a start without it happens once after an installation.
  while (!existsSync(path.join(home.stateDir, 'compiled'))) await pause(50);
  await server.end();
}

function describe(bare: readonly Start[], daemon: readonly Start[], activated: readonly Start[]): Section {
  const ms = (starts: readonly Start[]) => starts.map((start) => start.ms);
  const ratio = ratioOf(ms(daemon), ms(bare));
  const rows = [
    ['bare node:http server, to its first answer', bare],
    ['`broker daemon`, to its first answer from the encrypted cache', daemon],
    ['helper whose connection starts the daemon (socket activation)', activated],
  ] as const;
  return {
    title: '3. Start: to the first answer',
    words: [
      'From before the fork of the server (or of the helper) to the end of the answer. The daemon finds its key in the database, sealed, and has to load, check and open it first; its program has been started before, so that it is there compiled. Interleaved.',
    ],
    tables: [
      {
        heads: ['start of', 'p50 ms', 'p99 ms', 'of bare', 'noise', 'runs'],
        rows: rows.map(([name, starts]) => {
          const { p50, p99, noise, runs } = summarize(ms(starts));
          const share = `${ratioOf(ms(starts), ms(bare)).toFixed(2)} ×`;
          return [name, p50.toFixed(0), p99.toFixed(0), share, `± ${(noise * 100).toFixed(0)} %`, String(runs)];
        }),
      },
    ],
    targets: [
      { what: 'start to the first answer', sense: 'at most', limit: 2.8, value: ratio, unit: '× bare' },
      {
        what: 'socket-activated first answer through the helper, p99',
        sense: 'at most',
        limit: 400,
        value: summarize(ms(activated)).p99,
        unit: 'ms',
      },
    ],
    plots: [],
    ratios: { 'start.first-answer': { value: ratio, better: 'lower' } },
    figures: { bare, daemon, activated },
  };
}
