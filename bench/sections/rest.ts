import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, preparedHome, Server } from '../lab.ts';
import { applyLoad } from '../load.ts';
import { residentMb, voluntarySwitches } from '../proc.ts';
import type { Section } from '../results.ts';

/** By then events are written, time limits have run out, and V8 has mostly tidied up. */
const SETTLE_MS = 60_000;
const IDLE_MS = 15_000;
/** Together a minute: the daemon's look at the clock falls into one of them. */
const WINDOWS = 4;
const BURST_MS = 2_000;

interface Rest {
  readonly idleMb: number;
  /** In windows that follow each other. */
  readonly wakeUps: readonly number[];
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
    const wakeUps: [number[], number[]] = [[], []];
    for (let window = 0; window < WINDOWS; window++) {
      const before = [bare.pid, daemon.pid].map(voluntarySwitches);
      await pause(IDLE_MS);
      for (const [index, pid] of [bare.pid, daemon.pid].entries()) {
        wakeUps[index]?.push(voluntarySwitches(pid) - (before[index] ?? 0));
      }
    }
    const idleMb = [residentMb(bare.pid), residentMb(daemon.pid)];
    const results: Rest[] = [];
    for (const [index, server] of [bare, daemon].entries()) {
      bench.say(`rest: ${bench.effort.answers} answers of the ${index === 0 ? 'bare server' : 'daemon'}`);
      const afterLoadMb = await growth(bench, server);
      results.push({ idleMb: idleMb[index] ?? 0, wakeUps: wakeUps[index] ?? [], afterLoadMb });
    }
    return describe(results as [Rest, Rest], bench.effort.answers);
  } finally {
    await bare.end();
    await daemon.end();
    await home.close();
  }
}

/** Answers in bursts; the size is read a moment after each, and at last at rest again. */
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
  const grown = ({ idleMb, afterLoadMb }: Rest) => Math.max(0, (afterLoadMb.at(-1)?.[1] ?? 0) - idleMb);
  const ratio = daemon.idleMb / bare.idleMb;
  const row = (name: string, rest: Rest) => [
    name,
    rest.idleMb.toFixed(1),
    rest.wakeUps.join(', '),
    (rest.afterLoadMb[0]?.[1] ?? 0).toFixed(1),
    (rest.afterLoadMb.at(-1)?.[1] ?? 0).toFixed(1),
  ];
  return {
    title: '4. Rest: memory and wake-ups',
    words: [
      `Resident memory after the first answers and ${SETTLE_MS / 1000} s of rest; then voluntary context switches of all threads in ${WINDOWS} windows of ${IDLE_MS / 1000} s, the worst of which counts; then ${answers.toLocaleString('en')} answers under full load. Once a minute, while a refresh is planned, the daemon looks at the clock: the window that holds it shows it.`,
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
      {
        what: 'wake-ups in 15 s idle, the worst of four windows',
        sense: 'at most',
        limit: 0,
        value: Math.max(...daemon.wakeUps),
        unit: '',
      },
      {
        what: `growth over ${answers.toLocaleString('en')} answers, from rest to rest`,
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
