import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, preparedHome, Server } from '../lab.ts';
import { applyLoad } from '../load.ts';
import { residentMb, voluntarySwitches } from '../proc.ts';
import type { Section } from '../results.ts';

/** By then events are written, the last connection's time limits have run out and V8 has tidied up, in steps of 8 s. */
const SETTLE_MS = 30_000;
const IDLE_MS = 15_000;
const BURST_MS = 2_000;

interface Rest {
  readonly idleMb: number;
  readonly wakeUps: number;
  /** At rest after so many thousand answers. */
  readonly afterLoadMb: readonly (readonly [answers: number, megabytes: number])[];
}

/** Section 4: what the daemon costs while nobody asks, and whether it grows. */
export async function measureRest(bench: Bench): Promise<Section> {
  const home = preparedHome(bench.folder);
  const [bare, daemon] = [await Server.bare(bench.folder), await Server.daemon(home)];
  try {
    for (const { socket } of [bare, daemon]) {
      await applyLoad(bench, socket, { connections: 1, clients: 1, keepAlive: false, milliseconds: 5 });
    }
    bench.say('rest: waiting for both to settle');
    await pause(SETTLE_MS);
    const before = [bare.pid, daemon.pid].map(voluntarySwitches);
    await pause(IDLE_MS);
    const wakeUps = [bare.pid, daemon.pid].map((pid, index) => voluntarySwitches(pid) - (before[index] ?? 0));
    const idleMb = [residentMb(bare.pid), residentMb(daemon.pid)];
    const results: Rest[] = [];
    for (const [index, server] of [bare, daemon].entries()) {
      bench.say(`rest: ${bench.effort.answers} answers of the ${index === 0 ? 'bare server' : 'daemon'}`);
      const afterLoadMb = await growth(bench, server);
      results.push({ idleMb: idleMb[index] ?? 0, wakeUps: wakeUps[index] ?? 0, afterLoadMb });
    }
    return describe(results as [Rest, Rest], bench.effort.answers);
  } finally {
    await bare.end();
    await daemon.end();
    await home.close();
  }
}

/** Answers in bursts; the size is read a moment after each. The first burst warms up: its size is what is grown from. */
async function growth(bench: Bench, server: Server): Promise<[number, number][]> {
  const sizes: [number, number][] = [];
  for (let answers = 0, next = 0; answers < bench.effort.answers; ) {
    const load = { connections: 8, clients: 8, keepAlive: false, milliseconds: BURST_MS };
    const { perSecond } = await applyLoad(bench, server.socket, load);
    answers += Math.round((perSecond * BURST_MS) / 1_000);
    if (answers < next) continue;
    next = answers + bench.effort.answers / 10;
    await pause(500);
    sizes.push([answers, residentMb(server.pid)]);
  }
  await pause(SETTLE_MS);
  sizes.push([(sizes.at(-1)?.[0] ?? 0) + 1, residentMb(server.pid)]);
  return sizes;
}

function describe([bare, daemon]: readonly [Rest, Rest], answers: number): Section {
  const grown = ({ afterLoadMb }: Rest) => Math.max(0, (afterLoadMb.at(-1)?.[1] ?? 0) - (afterLoadMb[0]?.[1] ?? 0));
  const ratio = daemon.idleMb / bare.idleMb;
  const row = (name: string, rest: Rest) => [
    name,
    rest.idleMb.toFixed(1),
    String(rest.wakeUps),
    (rest.afterLoadMb[0]?.[1] ?? 0).toFixed(1),
    (rest.afterLoadMb.at(-1)?.[1] ?? 0).toFixed(1),
  ];
  return {
    title: '4. Rest: memory and wake-ups',
    words: [
      `Resident memory after the first answers and ${SETTLE_MS / 1000} s of rest; then context switches of all threads in ${IDLE_MS / 1000} s; then ${answers.toLocaleString('en')} answers under full load. Once a minute, while a refresh is planned, the daemon looks at the clock: a window that holds such a look shows it.`,
    ],
    tables: [
      {
        heads: ['', 'idle MB', `wake-ups in ${IDLE_MS / 1000} s`, 'MB after the first burst', 'MB after all, at rest'],
        rows: [row('bare node:http', bare), row('broker', daemon)],
      },
    ],
    targets: [
      { what: 'idle, resident', sense: 'at most', limit: 60, value: daemon.idleMb, unit: 'MB' },
      { what: 'idle, resident, beside bare node:http', sense: 'at most', limit: 1.25, value: ratio, unit: '× bare' },
      { what: 'wake-ups in 15 s idle', sense: 'at most', limit: 0, value: daemon.wakeUps, unit: '' },
      {
        what: `growth over ${answers.toLocaleString('en')} answers`,
        sense: 'at most',
        limit: 10,
        value: grown(daemon),
        unit: 'MB',
      },
    ],
    plots: [],
    ratios: { 'rest.resident': { value: ratio, better: 'lower' } },
    figures: { bare, daemon },
  };
}
