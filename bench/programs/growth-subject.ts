/**
 * A daemon's insides without its socket, with so many credentials (all leased) and clients; run as
 * `node growth-subject.ts STATE_DIR CREDENTIALS CLIENTS`. Prints one line of JSON.
 */

import type { Broker } from '../../src/broker/broker.ts';
import { Scheduler } from '../../src/broker/scheduler.ts';
import { composeDaemon } from '../../src/daemon/compose.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { Installation } from '../../src/platform/installation.ts';
import { CLAUDE_CODE } from '../../src/platform/known-clients.ts';
import { loadNative } from '../../src/platform/native.ts';
import { createPinoLog } from '../../src/platform/pino-log.ts';
import type { Client } from '../../src/platform/process-tree.ts';
import { boundlessProvider, configWith, nameOf } from '../boundless-provider.ts';

export interface GrowthFigures {
  /** From the database to a broker that can answer. */
  readonly composeMs: number;
  /** Everything issued for the first time, per credential; 0 if it was there already. */
  readonly issueMicros: number;
  readonly answerMicros: number;
  readonly statusMs: number;
  readonly scheduleMicros: number;
  readonly residentMb: number;
}

/** The thread's own clock moves in steps of 4 ms: what is timed with it has to be a good part of a second. */
const ANSWERS = 30_000;
const WARM_UP = 3_000;
const STATUS_MS = 200;
/** Asked for in turn: what is in use at the same time, out of however many there are. */
const IN_USE = 50;

const [, , stateDir = '', credentialCount = '1', clientCount = '1'] = process.argv;
const count = Number(credentialCount);

async function main(): Promise<GrowthFigures> {
  const log = await createPinoLog({ format: 'json', level: 'error' });
  const started = performance.now();
  const daemon = await composeDaemon({
    afterUncleanEnd: false,
    installation: new Installation(),
    config: { config: configWith(count), hidden: () => [], effective: async () => [], warnings: [] },
    places: { configFile: '/nowhere/config.toml', stateDir, isNetworkFileSystem: false },
    definitions: [boundlessProvider],
    log,
    native: loadNative(),
    env: {},
    homeDir: stateDir,
    uid: process.getuid?.() ?? 0,
    enrolmentDir: stateDir,
  });
  const composeMs = performance.now() - started;
  const { broker, cache, clock } = daemon;
  const known = cache.keys().length;
  const issueStarted = performance.now();
  if (known < count) await broker.refreshAll();
  const issueMicros = known < count ? ((performance.now() - issueStarted) * 1000) / count : 0;
  const answerMicros = await timeAnswers(broker, clock, clientsOf(Number(clientCount)));
  const statusMs = timeStatus(broker);
  const scheduleMicros = timeScheduler(clock);
  global.gc?.();
  const residentMb = process.memoryUsage.rss() / 2 ** 20;
  await broker.stop();
  cache.close();
  return { composeMs, issueMicros, answerMicros, statusMs, scheduleMicros, residentMb };
}

async function timeAnswers(broker: Broker, clock: Clock, clients: readonly Client[]): Promise<number> {
  const { signal } = new AbortController();
  let started = 0;
  for (let asked = 0; asked < WARM_UP + ANSWERS; asked++) {
    if (asked === WARM_UP) started = spentMicros();
    const credential = nameOf(((asked % IN_USE) * 7919) % count);
    const client = clients[asked % clients.length];
    const answer = await broker.answer({
      at: clock.read(),
      credential,
      intervalMs: 1_000,
      client,
      namesInterval: false,
      format: 'raw',
      saysRejected: false,
      mayBeOwn: true,
      origin: () => 'own',
      signal,
    });
    for (const secret of answer.secrets.values()) secret.wipe();
    answer.delivered();
  }
  return (spentMicros() - started) / ANSWERS;
}

/** As often as it takes to be timed. */
function timeStatus(broker: Broker): number {
  const started = spentMicros();
  let times = 0;
  for (; times < 3 || spentMicros() - started < STATUS_MS * 1000; times++) JSON.stringify(broker.status());
  return (spentMicros() - started) / 1000 / times;
}

function timeScheduler(clock: Clock): number {
  const scheduler = new Scheduler(
    clock,
    () => undefined,
    () => undefined,
  );
  const soon = clock.now() + 3_600_000;
  for (let index = 0; index < count; index++) scheduler.schedule(nameOf(index), soon + ((index * 7919) % count));
  const changes = 500_000;
  const spent = timed(() => {
    for (let index = 0; index < changes; index++) {
      scheduler.schedule(nameOf((index * 31) % count), soon + ((index * 104_729) % 1_000_000));
    }
  });
  scheduler.stop();
  return (spent * 1000) / changes;
}

function clientsOf(number: number): Client[] {
  return Array.from({ length: number }, (_, index) => ({
    pid: 1_000_000 + index,
    id: String(index),
    startTime: String(index),
    name: 'client',
    known: CLAUDE_CODE,
  }));
}

/** In milliseconds of processor time. */
function timed(action: () => void): number {
  const started = spentMicros();
  action();
  return (spentMicros() - started) / 1000;
}

/** Processor time of this thread: what others do on the machine does not count. */
function spentMicros(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

process.stdout.write(`${JSON.stringify(await main())}\n`);
