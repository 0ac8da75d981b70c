import { type Bench, preparedHome, programWithoutAddon, Server } from '../lab.ts';
import { applyLoad, type LoadResult } from '../load.ts';
import { linePlot } from '../plot.ts';
import type { Section } from '../results.ts';
import { median, ratioOf } from '../statistics.ts';

const CONNECTIONS = [1, 8, 64, 512] as const;
/** More processes than that and the machine is busy with them. */
const MOST_CLIENTS = 64;
/** Asks of one client come sooner than that; at less than 12 s none is refused. */
const EARLY_INTERVAL_MS = 10_000;

type Variant = 'bare' | 'anonymous' | 'bare-many' | 'identified' | 'early';

const NAMES: Readonly<Record<Variant, string>> = {
  bare: 'bare node:http, one client process',
  anonymous: 'broker without client identity, one client process',
  'bare-many': 'bare node:http, many client processes',
  identified: 'broker with client identity, many client processes',
  early: 'broker with client identity, many client processes that ask before their interval is over',
};

/** What the variant is compared with. */
const BASES: Readonly<Partial<Record<Variant, Variant>>> = {
  anonymous: 'bare',
  identified: 'bare-many',
  early: 'bare-many',
};

interface Point {
  readonly connections: number;
  readonly keepAlive: boolean;
  readonly results: Record<Variant, LoadResult[]>;
}

/** Section 2: answers per second and latency beside a server that does nothing but answer. */
export async function measureDaemon(bench: Bench): Promise<Section> {
  const [rounds, milliseconds] = bench.effort.quick ? [3, 400] : [5, 700];
  const homes = [preparedHome(bench.folder), preparedHome(bench.folder)] as const;
  const servers = await Promise.all([
    Server.bare(bench.folder),
    Server.daemon(homes[0], programWithoutAddon(bench.folder)),
    Server.daemon(homes[1]),
  ]);
  try {
    const points: Point[] = [];
    const [bare, anonymous, identified] = servers;
    const targets = { bare, anonymous, 'bare-many': bare, identified, early: identified };
    for (const { socket } of servers) await warmUp(bench, socket);
    for (const keepAlive of [false, true]) {
      for (const connections of CONNECTIONS) {
        bench.say(`daemon: ${connections} connections, ${keepAlive ? 'keep-alive' : 'close'}`);
        const results: Point['results'] = { bare: [], anonymous: [], 'bare-many': [], identified: [], early: [] };
        for (let round = 0; round < rounds; round++) {
          for (const variant of inTurn(round)) {
            const named = variant !== 'bare' && variant !== 'anonymous';
            const clients = named ? Math.min(connections, MOST_CLIENTS) : 1;
            const intervalMs = variant === 'early' ? EARLY_INTERVAL_MS : 0;
            const load = { connections, clients, keepAlive, named, milliseconds, intervalMs };
            results[variant].push(await applyLoad(bench, targets[variant].socket, load));
          }
        }
        points.push({ connections, keepAlive, results });
      }
    }
    return describe(points, rounds);
  } finally {
    for (const server of servers) await server.end();
    for (const home of homes) await home.close();
  }
}

async function warmUp(bench: Bench, socket: string): Promise<void> {
  await applyLoad(bench, socket, { connections: 16, clients: 4, keepAlive: false, milliseconds: 1_500 });
}

/** Nobody always comes first. */
function inTurn(round: number): Variant[] {
  const variants = Object.keys(NAMES) as Variant[];
  return variants.map((_, index) => variants[(index + round) % variants.length] as Variant);
}

function describe(points: readonly Point[], rounds: number): Section {
  const at = (connections: number, keepAlive: boolean) =>
    points.find((point) => point.connections === connections && point.keepAlive === keepAlive) as Point;
  const speed = ({ results }: Point, variant: Variant, base: Variant) =>
    ratioOf(perSecond(results[variant]), perSecond(results[base]));
  const tail = ({ results }: Point, variant: Variant, base: Variant) =>
    ratioOf(pick(results[variant], 'p99'), pick(results[base], 'p99'));
  const usual = at(64, false);
  const crowd = at(512, false).results.identified;
  const unfairness = ratioOf(pick(crowd, 'p999'), pick(crowd, 'p50'));
  const bareCrowd = at(512, false).results['bare-many'];
  const bareUnfairness = ratioOf(pick(bareCrowd, 'p999'), pick(bareCrowd, 'p50'));
  const ratios = {
    'daemon.anonymous.throughput': { value: speed(usual, 'anonymous', 'bare'), better: 'higher' },
    'daemon.identified.throughput': { value: speed(usual, 'identified', 'bare-many'), better: 'higher' },
    'daemon.early.throughput': { value: speed(usual, 'early', 'bare-many'), better: 'higher' },
    'daemon.anonymous.p99': { value: tail(usual, 'anonymous', 'bare'), better: 'lower' },
    'daemon.identified.p99': { value: tail(usual, 'identified', 'bare-many'), better: 'lower' },
    'daemon.unfairness': { value: unfairness, better: 'lower' },
  } as const;
  return {
    title: '2. Daemon: answers per second',
    words: [
      `Every answer of the broker is decrypted, judged by policy and written down as an event. ${rounds} interleaved rounds; the load generator is a C program in a closed loop, and with the server it fills both cores. With many client processes every connection (up to ${MOST_CLIENTS}) belongs to another process and every request carries the helper's own words, so that the broker finds out and remembers who asked. Clients that ask before their interval is over are looked at more closely: each of their asks might be a sign that the API refused the key. Ratios are medians of the ratios within each round. Noise is half the distance between the quartiles.`,
      `For comparison, p99.9 / p50 of the bare server at 512 connections: ${bareUnfairness.toFixed(1)}.`,
    ],
    tables: [
      {
        heads: ['connections', 'mode', 'server', 'answers/s', 'of bare', 'p50 µs', 'p99 µs', 'p99.9 µs', 'noise'],
        rows: points.flatMap((point) => (Object.keys(NAMES) as Variant[]).map((variant) => row(point, variant, speed))),
      },
    ],
    targets: [
      target(
        '64 connections, close, without client identity',
        'at least',
        0.8,
        ratios['daemon.anonymous.throughput'].value,
        '× bare',
      ),
      target(
        '64 connections, close, with client identity',
        'at least',
        0.65,
        ratios['daemon.identified.throughput'].value,
        '× bare',
      ),
      target(
        '64 connections, close, asks before their interval is over',
        'at least',
        0.6,
        ratios['daemon.early.throughput'].value,
        '× bare',
      ),
      target(
        'p99 at 64, close, without client identity',
        'at most',
        1.5,
        ratios['daemon.anonymous.p99'].value,
        '× bare',
      ),
      target('p99 at 64, close, with client identity', 'at most', 1.5, ratios['daemon.identified.p99'].value, '× bare'),
      target('p99.9 at 512 connections, close', 'at most', 10, unfairness, '× p50'),
    ],
    plots: [
      {
        name: 'throughput',
        caption: 'Answers per second, a connection per request',
        svg: linePlot({
          title: 'Answers per second, a connection per request',
          x: 'connections',
          y: 'answers/s',
          series: (Object.keys(NAMES) as Variant[]).map((variant) => ({
            name: NAMES[variant],
            points: CONNECTIONS.map((count) => [count, median(perSecond(at(count, false).results[variant]))] as const),
          })),
        }),
      },
    ],
    ratios,
    figures: points,
  };
}

function row(point: Point, variant: Variant, speed: (p: Point, v: Variant, b: Variant) => number): string[] {
  const results = point.results[variant];
  const rates = perSecond(results);
  const sorted = [...rates].sort((a, b) => a - b);
  const quartile = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  const noise = (quartile(0.75) - quartile(0.25)) / 2 / median(rates);
  return [
    String(point.connections),
    point.keepAlive ? 'keep-alive' : 'close',
    NAMES[variant],
    median(rates).toFixed(0),
    variant in BASES ? `${(speed(point, variant, BASES[variant] as Variant) * 100).toFixed(0)} %` : '',
    ...(['p50', 'p99', 'p999'] as const).map((name) => median(pick(results, name)).toFixed(0)),
    `± ${(noise * 100).toFixed(0)} %`,
  ];
}

function target(what: string, sense: 'at most' | 'at least', limit: number, value: number, unit: string) {
  return { what, sense, limit, value, unit };
}

function perSecond(results: readonly LoadResult[]): number[] {
  return pick(results, 'perSecond');
}

function pick(results: readonly LoadResult[], name: keyof LoadResult): number[] {
  return results.map((result) => result[name]);
}
