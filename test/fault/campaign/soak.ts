import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '../../../src/errors.ts';
import { drawPanels } from '../../fleet/plot.ts';
import type { Experiment, Trial } from './experiment.ts';
import { type Rig, withRig } from './rig.ts';

const CLIENTS = 1_000;
const CREDENTIALS = 50;
const PLOT = join(import.meta.dirname, '..', '..', '..', 'docs', 'reliability-soak.svg');
/** Resident, under that load and after it. */
const MOST_MB = 150;
const AT_REST_MB = 70;
/** The daemon gives memory back after twenty quiet seconds. */
const QUIET_MS = 30_000;
/** Connections come and go; the database fills up with its newest 10,000 events, and its log up to a checkpoint. */
const SLACK = { descriptors: 32, databaseKb: 4_096, logKb: 4_096 } as const;
const SAMPLE_MS = 2_000;

interface Sample {
  readonly minutes: number;
  readonly residentMb: number;
  readonly descriptors: number;
  readonly databaseKb: number;
  readonly logKb: number;
}

export const soak: readonly Experiment[] = [
  {
    id: 'soak',
    fault: `none: ${CLIENTS} clients that ask every 5 to 15 s, ${CREDENTIALS} credentials, a rotation a second, now and then rotate-key`,
    expected: `right keys; at most ${MOST_MB} MB, at rest at most ${AT_REST_MB} MB; nothing grows`,
    /** Seconds. */
    times: { short: 12, long: 1_800 },
    run: soaked,
  },
];

async function soaked({ dice, times: seconds, isShort, keeps, tally }: Trial): Promise<void> {
  await withRig({ fixed: 40, leased: 10, leaseMs: 600_000, ttl: '30s', staleMs: 80_000 }, async (rig) => {
    await rig.askAll(tally);
    const samples: Sample[] = [];
    const started = Date.now();
    const endMs = started + seconds * 1_000;
    let isOn = true;
    const clients = Array.from({ length: isShort ? CLIENTS / 5 : CLIENTS }, async () => {
      const own = dice.fork();
      await pause(own.between(0, 10_000));
      while (Date.now() < endMs) {
        const name = own.pick(rig.names);
        const asked = Date.now();
        rig.judge(name, await askSocket(rig, name), asked, tally);
        await pause(own.between(5_000, 15_000));
      }
    });
    const rotations = (async () => {
      while (isOn) {
        rig.rotate(dice.pick(rig.fixed));
        tally.inflicted += 1;
        if (dice.chance(0.02)) await rig.home.post('/v1/rotate-key').catch(() => undefined);
        await pause(1_000);
      }
    })();
    const sampling = (async () => {
      while (isOn) {
        samples.push(await sample(rig, started));
        await pause(SAMPLE_MS);
      }
    })();
    await Promise.all(clients);
    isOn = false;
    await rotations;
    if (!isShort) await pause(QUIET_MS);
    samples.push(await sample(rig, started));
    await sampling;
    tally.notes.push(`${Math.round(seconds / 60)} minutes`);
    judge(samples, isShort, tally);
    if (keeps) writeFileSync(PLOT, plot(samples));
  });
}

function judge(samples: readonly Sample[], isShort: boolean, tally: Trial['tally']): void {
  const most = Math.max(...samples.map(({ residentMb }) => residentMb));
  const rest = samples.at(-1)?.residentMb ?? 0;
  tally.notes.push(`resident at most ${most.toFixed(0)} MB${isShort ? '' : `, at rest ${rest.toFixed(0)} MB`}`);
  tally.expect(most <= MOST_MB, `${most.toFixed(0)} MB under load`);
  if (isShort) return;
  tally.expect(rest <= AT_REST_MB, `${rest.toFixed(0)} MB at rest`);
  const half = samples.slice(0, samples.length / 2);
  const later = samples.slice(samples.length / 2);
  for (const what of ['descriptors', 'databaseKb', 'logKb'] as const) {
    const [before = 0, after = 0] = [half, later].map((part) => median(part.map((each) => each[what])));
    tally.notes.push(`${what}: ${before.toFixed(0)} in the first half, ${after.toFixed(0)} in the second (medians)`);
    tally.expect(after <= before * 1.25 + SLACK[what], `${what} grows: ${before} → ${after}`);
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

async function sample(rig: Rig, startedMs: number): Promise<Sample> {
  const { pid = 0 } = rig;
  const size = (name: string) => (statSync(rig.state(name), { throwIfNoEntry: false })?.size ?? 0) / 1_024;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    minutes: (Date.now() - startedMs) / 60_000,
    residentMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024,
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
    databaseKb: size('cache.db'),
    logKb: size('cache.db-wal'),
  };
}

/** How long the helper tries. */
const PATIENCE_MS = 9_500;

/**
 * As the helper asks: again, until its time is over, where there is no reply, as from a socket whose queue is full. A thousand processes
 * would be the machine's load, not the daemon's.
 */
async function askSocket(rig: Rig, name: string) {
  const untilMs = Date.now() + PATIENCE_MS;
  let answer = await exchange(rig, name);
  while (answer.reply === '' && Date.now() < untilMs) {
    await pause(50);
    answer = await exchange(rig, name);
  }
  const { reply, trouble } = answer;
  const [head = '', body = ''] = reply.split('\r\n\r\n');
  const isGood = head.startsWith('HTTP/1.1 200');
  const text = { stdout: isGood ? body : '', stderr: isGood ? '' : reply || `no answer: ${trouble}` };
  return { code: isGood ? 0 : 69, signal: null, ...text };
}

function exchange(rig: Rig, name: string): Promise<{ readonly reply: string; readonly trouble: string }> {
  return new Promise((resolve) => {
    let reply = '';
    let trouble = 'closed';
    const socket = connect(rig.home.socket);
    socket.setEncoding('latin1').on('data', (text) => {
      reply += text;
    });
    socket.on('error', (error) => {
      trouble = codeOf(error);
    });
    socket.once('close', () => resolve({ reply, trouble }));
    socket.write(
      `GET /v1/credentials/${name}/key HTTP/1.1\r\nHost: broker\r\nAccept: text/plain\r\nConnection: close\r\nUser-Agent: broker-key/0.1.0\r\nBroker-Client-Hints: pid=${process.pid}, ppid=1, stdin=socket, stdout=pipe\r\n\r\n`,
    );
  });
}

function plot(samples: readonly Sample[]): string {
  const series = (label: string, colour: string, of: (sample: Sample) => number) => ({
    label,
    colour,
    values: samples.map(of),
  });
  const panels = [
    { title: 'Resident memory of the daemon, MB', series: [series('resident', '#2f81f7', (each) => each.residentMb)] },
    { title: 'Open descriptors', series: [series('descriptors', '#2da44e', (each) => each.descriptors)] },
    {
      title: 'Database and its log, kB',
      series: [
        series('cache.db', '#b08800', (each) => each.databaseKb),
        series('cache.db-wal', '#8a8f98', (each) => each.logKb),
      ],
    },
  ];
  return drawPanels(panels.map((panel) => ({ ...panel, fromS: 0, stepS: SAMPLE_MS / 1_000 })));
}
