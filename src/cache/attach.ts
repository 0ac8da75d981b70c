import { join } from 'node:path';
import { kekIdOf } from '../crypto/envelope.ts';
import { findOrCreateKek, findRecordedKek, type KekFinding, type RecordedKek } from '../crypto/kek-locator.ts';
import type { KekHome } from '../crypto/kek-store.ts';
import { BrokerError } from '../errors.ts';
import type { Log } from '../platform/log.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { DatabaseOptions } from './database.ts';
import { ForeignDatabaseError } from './migrations.ts';
import { type Facts, isKind, type Kind, Records, type Row, type Stored } from './records.ts';
import {
  classifyFailure,
  describeEnvironment,
  lacksSharedMemory,
  setAside,
  type Trouble,
  timestamp,
} from './recovery.ts';
import { Sealer, wipeSecrets } from './sealer.ts';
import { SqliteStore } from './store.ts';

export interface CacheOptions extends DatabaseOptions {
  /** Holds cache.db and, if that is its home, the key file. Must exist and be the caller's own, 0700. */
  readonly stateDir: string;
  /** Where a key-encryption key may live, best first. */
  readonly kekHomes: readonly KekHome[];
  readonly log: Log;
  /** Wall clock, milliseconds since the epoch: names what is set aside and paces retries. Never judges a key. */
  readonly wallMs: () => number;
}

export interface Attached extends Loaded {
  readonly state: 'attached';
  readonly store: SqliteStore;
  readonly home: KekHome;
  /** A key that seals nothing (any more), and that its home may still hold: a crash kept it from being removed. */
  readonly unused: RecordedKek | undefined;
  /** What became of a database that could not be used. */
  readonly notice: Trouble | undefined;
  /** The database could be read but not written: it is behind from the start. */
  readonly writeFailure: unknown;
  readonly lastEventId: number;
}

/** The database or its key cannot be reached: nothing was changed, and it may work later. */
export interface Detached extends Trouble {
  readonly state: 'detached';
  readonly cause: 'key' | 'database';
  /** As the database has it, not authenticated: good enough to start a clock, not to judge a stored key by. */
  readonly timeline: Timeline | undefined;
  readonly lastEventId: number;
  /** The keeper of a home has to look first. */
  readonly notYet: boolean;
  /** What became of a database that could not be used, to be told when another is in its place. */
  readonly notice: Trouble | undefined;
}

export const databasePath = (stateDir: string): string => join(stateDir, 'cache.db');

/** Opens database and key together. Never throws for anything that a disk or a key home can do. */
export function attach(options: CacheOptions, memory: Sealer, notice?: Trouble): Attached | Detached {
  try {
    return attachSomehow(options, memory, notice);
  } catch (error) {
    return { ...cannotOpen(options, error), notice };
  }
}

/** Tries once more after a remedy of its own: an empty database after a damaged one, no shared memory on a full disk. */
function attachSomehow(options: CacheOptions, memory: Sealer, notice: Trouble | undefined): Attached | Detached {
  try {
    return attachOnce(options, memory, notice);
  } catch (error) {
    if (classifyFailure(error) === 'damaged' && notice === undefined) {
      return attachSomehow(options, memory, setDamagedAside(options, error));
    }
    if (!lacksSharedMemory(error) || options.exclusive) throw error;
    return attachSomehow({ ...options, exclusive: true }, memory, notice);
  }
}

/** Sets the database aside as damaged, newer or foreign, and says so. Throws what the file system throws. */
export function setDamagedAside({ stateDir, log, wallMs }: CacheOptions, error: unknown): Trouble {
  const path = databasePath(stateDir);
  const label = error instanceof ForeignDatabaseError ? error.label : 'corrupt';
  const target = setAside(path, label === 'corrupt' ? `corrupt-${timestamp(wallMs())}` : label);
  const problem = `${path} could not be used (${error instanceof Error ? error.message : 'damaged'}) and was set aside as ${target}`;
  const remedy = 'Nothing has to be done: keys are fetched again. Delete the file set aside when nobody needs it.';
  log.error({ setAside: target }, problem);
  return { problem, remedy };
}

function attachOnce(options: CacheOptions, memory: Sealer, notice: Trouble | undefined): Attached | Detached {
  const store = SqliteStore.open(databasePath(options.stateDir), options);
  try {
    const finding = findKek(store, options.kekHomes);
    if (finding.state !== 'reachable') {
      const timeline = store.timelineHint();
      const lastEventId = store.events.lastId();
      store.close();
      const { reason: problem, remedy } = finding;
      const notYet = finding.state === 'unreachable' && finding.notYet === true;
      return { state: 'detached', cause: 'key', problem, remedy, timeline, lastEventId, notYet, notice };
    }
    const { kek, home } = finding;
    const loaded = loadRecords(store, memory.under(kek), options.log);
    const recorded = store.recordedKek();
    const unused = store.unusedKek();
    const isRecorded = recorded?.home === home.kind && recorded.id === kek.id;
    const writeFailure = loaded.changed || !isRecorded ? writeBack(store, loaded, home) : undefined;
    const lastEventId = store.events.lastId();
    return { state: 'attached', store, home, notice, writeFailure, lastEventId, unused, ...loaded };
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Returns what kept a full or read-only disk from taking it: keys that could be read are served all the same. */
function writeBack(store: SqliteStore, loaded: Loaded, home: KekHome): unknown {
  try {
    store.transaction(() => store.replaceAll(loaded, home));
    return undefined;
  } catch (error) {
    if (classifyFailure(error) === 'damaged') throw error;
    return error;
  }
}

/**
 * The key that the database names; failing that, any key that opens what is sealed in it, whatever a damaged or
 * incomplete note says. A new key is made only for a database that has sealed nothing.
 */
function findKek(store: SqliteStore, homes: readonly KekHome[]): KekFinding {
  const recorded = store.recordedKek();
  const rows = store.rows();
  if (recorded === undefined && rows.length === 0) return findOrCreateKek(homes);
  const named: KekFinding = recorded === undefined ? NAMELESS : findRecordedKek(homes, recorded);
  return named.state === 'reachable' ? named : (findOpeningKek(rows, homes, recorded?.home) ?? named);
}

const NAMELESS: KekFinding = {
  state: 'missing',
  reason: 'the key that sealed the database is gone',
  remedy: 'Put it back from a backup, or give up what it sealed: broker rotate-key --discard',
};

function findOpeningKek(rows: readonly Row[], homes: readonly KekHome[], named?: string): KekFinding | undefined {
  // Any row names the key that wrapped it.
  const ids = rows.map(({ sealed }) => Buffer.isBuffer(sealed) && kekIdOf(sealed)).filter((id) => id !== false);
  const id = ids.find((each) => each !== undefined);
  if (id === undefined) return undefined;
  let notYet: KekFinding | undefined;
  for (const home of homes) {
    // Where the note says another home, a keyring is not searched for a key that was never in it.
    if (home.keeper !== undefined && named !== undefined && named !== home.kind) continue;
    const reading = home.read('current', id);
    if (reading.state === 'reachable' && reading.kek.id === id) return { ...reading, home };
    if (reading.state === 'unreachable' && reading.notYet) notYet = reading;
  }
  return notYet;
}

function cannotOpen({ stateDir }: CacheOptions, error: unknown): Omit<Detached, 'notice'> {
  const problem =
    error instanceof BrokerError
      ? { problem: error.message, remedy: error.remedy ?? '' }
      : describeEnvironment(databasePath(stateDir), error);
  return { state: 'detached', cause: 'database', ...problem, timeline: undefined, lastEventId: 0, notYet: false };
}

interface Loaded {
  readonly records: Records;
  readonly sealer: Sealer;
  /** Something in the database did not authenticate or was made anew: it has to be written again. */
  readonly changed: boolean;
}

/**
 * Everything in the database that authenticates. What does not is left out with a line in the log: it was damaged or
 * tampered with, and can be fetched again; the rest goes on.
 *
 * @param fresh for a database that has no digest key: with that of memory, what was digested there is recognised.
 */
function loadRecords(store: SqliteStore, fresh: Sealer, log: Log): Loaded {
  const rows = store.rows();
  const digestKeys = rows.filter(({ kind }) => kind === 'digest-key');
  const restored = digestKeys.map((row) => Sealer.restore(fresh.kek, row)).find((sealer) => sealer !== undefined);
  if (restored === undefined && digestKeys.length > 0) {
    log.warn({}, 'the digest key in the cache does not authenticate and was made again');
  }
  const sealer = restored ?? fresh;
  const records = new Records();
  let changed = restored === undefined;
  for (const row of rows) {
    const { kind, id } = row;
    if (kind === 'digest-key') continue;
    const secret = sealer.open(row);
    secret?.wipe();
    if (secret !== undefined && isKind(kind)) {
      records.put({ facts: JSON.parse(row.facts) as Facts[Kind], row });
      continue;
    }
    changed = true;
    const fields = kind === 'key' ? { credential: id } : { kind, id };
    log.warn(fields, `a ${kind} in the cache does not authenticate and was dropped`);
  }
  // Digests have to be made again with the digest key, or every value would look like a changed one.
  if (restored === undefined) for (const stored of records.all('key')) digestAgain(stored);
  return { records, sealer, changed };

  function digestAgain({ facts, row }: Stored<'key'>): void {
    const secrets = sealer.openKey(row);
    if (secrets === undefined) return;
    records.put(sealer.sealKey({ ...facts, digest: sealer.digest(secrets) }, secrets));
    wipeSecrets(secrets);
  }
}
