import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import type { Bench } from '../lab.ts';
import { linePlot } from '../plot.ts';
import type { GrowthFigures } from '../programs/growth-subject.ts';
import { output } from '../programs.ts';
import type { Section } from '../results.ts';

const SUBJECT = path.join(import.meta.dirname, '..', 'programs', 'growth-subject.ts');
const CREDENTIALS = [1, 100, 10_000] as const;
const CLIENTS = [10, 1_000] as const;
const EVENTS_MB = [1, 10, 100] as const;

interface Measured extends GrowthFigures {
  readonly size: number;
}

/** Section 5: what more credentials, clients and events do to an answer, to `status` and to memory. */
export async function measureGrowth(bench: Bench): Promise<Section> {
  const credentials: Measured[] = [];
  for (const size of CREDENTIALS) {
    bench.say(`growth: ${size} credentials`);
    const state = stateFolder(bench, `credentials-${size}`);
    const { issueMicros } = await run(state, size, 1);
    credentials.push({ ...(await run(state, size, 1)), issueMicros, size });
  }
  const clients: Measured[] = [];
  for (const size of CLIENTS) {
    bench.say(`growth: ${size} clients`);
    clients.push({ ...(await run(stateFolder(bench, `clients-${size}`), 1, size)), size });
  }
  const events: Measured[] = [];
  for (const size of bench.effort.full ? [...EVENTS_MB, 1_000] : EVENTS_MB) {
    bench.say(`growth: ${size} MB of events`);
    const state = stateFolder(bench, `events-${size}`);
    await run(state, 1, 1);
    fillEvents(path.join(state, 'cache.db'), size * 2 ** 20);
    events.push({ ...(await run(state, 1, 1)), size });
  }
  return describe(credentials, clients, events);
}

function stateFolder({ folder }: Bench, name: string): string {
  const state = path.join(folder, name);
  mkdirSync(state, { mode: 0o700 });
  return state;
}

async function run(state: string, credentials: number, clients: number): Promise<GrowthFigures> {
  const args = ['--expose-gc', SUBJECT, state, String(credentials), String(clients)];
  return JSON.parse(await output(process.execPath, args)) as GrowthFigures;
}

/** Such a journal cannot come about by itself, since only the newest 10,000 events are kept; but somebody may change that. */
function fillEvents(file: string, bytes: number): void {
  const database = new SqliteDatabase(file);
  const detail = JSON.stringify({ state: 'fresh', client: 'claude', pid: 12345, fingerprint: 'x'.repeat(400) });
  const insert = database.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
     INSERT INTO events SELECT (SELECT coalesce(max(id), 0) FROM events) + i, ?, 'served', 'anthropic', ? FROM n`,
  );
  database.pragma('synchronous = OFF');
  while (statSync(file).size < bytes) {
    insert.run(Date.now(), detail);
    database.pragma('wal_checkpoint(TRUNCATE)');
  }
  database.close();
}

function describe(
  credentials: readonly Measured[],
  clients: readonly Measured[],
  events: readonly Measured[],
): Section {
  const [one, , many] = credentials as readonly [Measured, Measured, Measured];
  const perItem = ([few, lots]: readonly Measured[]) =>
    few === undefined || lots === undefined ? 0 : ((lots.residentMb - few.residentMb) * 1024) / (lots.size - few.size);
  const answer = many.answerMicros / one.answerMicros;
  const [fewClients, manyClients] = clients as readonly [Measured, Measured];
  const [fewEvents, manyEvents] = [events[0] as Measured, events.at(-1) as Measured];
  const byClients = manyClients.answerMicros / fewClients.answerMicros;
  const byEvents = manyEvents.answerMicros / fewEvents.answerMicros;
  const schedule = many.scheduleMicros / one.scheduleMicros;
  return {
    title: '5. Growth: credentials, clients, events',
    words: [
      `In a process of its own, without the socket: \`answer\` is policy, decryption, lease book-keeping and event; the mean of 30,000, in processor time of the main thread, as \`status\` and re-planning are. Every credential has a lease. A credential takes ${perItem([one, many]).toFixed(1)} kB of memory, a client ${Math.max(0, perItem(clients)).toFixed(1)} kB. The journal keeps the newest 10,000 events, about 2 MB; larger ones were put there by hand to see what they do, and the first batches that are written shorten them (within the 33,000 answers of which 30,000 are timed).`,
    ],
    tables: [
      {
        heads: [
          '',
          'answer µs',
          'start from the database ms',
          'issue µs each',
          '`status` ms',
          're-plan a refresh µs',
          'resident MB',
        ],
        rows: [
          ...credentials.map((each) => row(`${each.size} credentials`, each)),
          ...clients.map((each) => row(`${each.size} clients`, each)),
          ...events.map((each) => row(`${each.size} MB of events`, each)),
        ],
      },
    ],
    targets: [
      { what: 'answer with 10,000 credentials', sense: 'at most', limit: 1.5, value: answer, unit: '× with one' },
      { what: 'answer with 1,000 clients', sense: 'at most', limit: 1.5, value: byClients, unit: '× with 10' },
      {
        what: `answer with ${manyEvents.size} MB of events`,
        sense: 'at most',
        limit: 1.5,
        value: byEvents,
        unit: '× with 1 MB',
      },
      { what: '`status` on 10,000 credentials', sense: 'at most', limit: 200, value: many.statusMs, unit: 'ms' },
      {
        what: 're-planning one of 10,000 refreshes (O(log n): 13 steps of a heap)',
        sense: 'at most',
        limit: 14,
        value: schedule,
        unit: '× of one',
      },
    ],
    plots: [
      {
        name: 'growth',
        caption: 'Cost by number of credentials',
        svg: linePlot({
          title: 'Cost by number of credentials',
          x: 'credentials',
          y: 'µs',
          series: [
            { name: 'an answer', points: credentials.map((each) => [each.size, each.answerMicros] as const) },
            {
              name: 're-planning a refresh',
              points: credentials.map((each) => [each.size, each.scheduleMicros] as const),
            },
            {
              name: '`status`, per credential',
              points: credentials.map((each) => [each.size, (each.statusMs * 1000) / each.size] as const),
            },
          ],
        }),
      },
    ],
    ratios: {
      'growth.credentials': { value: answer, better: 'lower' },
      'growth.clients': { value: byClients, better: 'lower' },
      'growth.events': { value: byEvents, better: 'lower' },
    },
    figures: { credentials, clients, events },
  };
}

function row(name: string, figures: Measured): string[] {
  const { answerMicros, composeMs, issueMicros, statusMs, scheduleMicros, residentMb } = figures;
  const show = (value: number, digits: number) => value.toFixed(digits);
  return [
    name,
    show(answerMicros, 1),
    show(composeMs, 1),
    issueMicros === 0 ? '' : show(issueMicros, 0),
    show(statusMs, 2),
    show(scheduleMicros, 2),
    show(residentMb, 0),
  ];
}
