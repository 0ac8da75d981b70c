import { wipeAll } from '../credential/secret.ts';
import { kekIdOf } from '../crypto/envelope.ts';
import { findRecordedKek, type KekFinding, type KekStore, newKek, type RecordedKek } from '../crypto/kek-store.ts';
import { BrokerError } from '../errors.ts';
import type { Log } from '../platform/log.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { DatabaseOptions } from './database.ts';
import type { Contents } from './memory.ts';
import { isKind, type Kind, type RecordFacts, Records, type Row, type Stored } from './records.ts';
import { classifyFailure, databasePath, describeEnvironment, setDamagedAside, type Trouble } from './recovery.ts';
import { Sealer } from './sealer.ts';
import { SqliteStore } from './store.ts';

export interface CacheOptions extends DatabaseOptions {
  /** Holds cache.db and, if that is its home, the key file. Must exist and be the caller's own, 0700. */
  readonly stateDir: string;
  /** Where a key-encryption key may live, best first. */
  readonly kekStores: readonly KekStore[];
  readonly log: Log;
  /** Wall clock, milliseconds since the epoch: names what is set aside and paces retries. Never judges a key. */
  readonly wallMs: () => number;
}

export interface Attached extends Contents {
  readonly state: 'attached';
  readonly store: SqliteStore;
  readonly home: KekStore;
  /** Keys that seal nothing (any more), and that their homes may still hold. */
  readonly unused: readonly RecordedKek[];
  /** What became of a database that could not be used. */
  readonly notice: Trouble | undefined;
  /** The database does not hold just these contents: it has to be written again. */
  readonly changed: boolean;
  readonly lastEventId: number;
}

/** The database or its key cannot be reached: nothing was changed, and it may work later. */
export interface Detached extends Trouble {
  readonly state: 'detached';
  readonly cause: 'key' | 'database';
  /** Looking again may put another dialogue before a person. */
  readonly mayHavePrompted: boolean;
  /** As the database has it, not authenticated: good enough to start a clock, not to judge a stored key by. */
  readonly timeline: Timeline | undefined;
  readonly lastEventId: number;
  /** What became of a database that could not be used, to be told when another is in its place. */
  readonly notice: Trouble | undefined;
}

/**
 * Opens database and key together. Never rejects for anything that a disk or a store of keys can do.
 *
 * @param memory its digest key is that of a new database, so that what was digested in memory is recognised.
 */
export async function attach(options: CacheOptions, memory: Sealer, notice?: Trouble): Promise<Attached | Detached> {
  let told = notice;
  try {
    for (;;) {
      try {
        return await attachOnce(options, memory, told);
      } catch (error) {
        if (classifyFailure(error) !== 'damaged' || told !== undefined) throw error;
        // An empty database after a damaged one.
        told = setDamagedAside(options, error);
      }
    }
  } catch (error) {
    return { ...cannotOpen(options, error), notice: told };
  }
}

async function attachOnce(
  options: CacheOptions,
  memory: Sealer,
  notice: Trouble | undefined,
): Promise<Attached | Detached> {
  const store = SqliteStore.open(databasePath(options.stateDir), options);
  try {
    const rows = store.rows();
    const recorded = store.recordedKek();
    const finding = await findKek(rows, recorded, options.kekStores);
    const lastEventId = store.events.lastId();
    if (finding.state !== 'reachable') {
      const { reason: problem, remedy, mayHavePrompted = false } = finding;
      const timeline = store.timelineHint();
      store.close();
      return { state: 'detached', cause: 'key', problem, remedy, mayHavePrompted, timeline, lastEventId, notice };
    }
    const { kek, home } = finding;
    const loaded = load(rows, memory.under(kek), options.log);
    const changed = loaded.changed || recorded?.home !== home.kind || recorded.id !== kek.id;
    const unused = store.unusedKeks();
    return { ...loaded, state: 'attached', changed, store, home, unused, notice, lastEventId };
  } catch (error) {
    store.close();
    throw error;
  }
}

/**
 * The key that the database names; failing that, one that wrapped what is in it, whatever a damaged or incomplete note
 * says. A new key is made only for a database that has sealed nothing.
 */
async function findKek(
  rows: readonly Row[],
  recorded: RecordedKek | undefined,
  stores: readonly KekStore[],
): Promise<KekFinding> {
  if (recorded === undefined && rows.length === 0) return await newKek(stores);
  const named = recorded === undefined ? NAMELESS : await findRecordedKek(stores, recorded);
  if (named.state === 'reachable') return named;
  const id = rows.map(({ sealed }) => (Buffer.isBuffer(sealed) ? kekIdOf(sealed) : undefined)).find(Boolean);
  if (id === undefined) return named;
  let found: KekFinding = named;
  for (const store of stores) {
    // Where the note names another home, a keyring is not searched for a key that was never in it.
    if (store.kind === 'keyring' && recorded !== undefined && (recorded.home !== 'keyring' || recorded.id === id))
      continue;
    const reading = await store.find(id);
    if (reading.state === 'reachable') return { ...reading, home: store };
    if (reading.state === 'unreachable' && recorded === undefined && store.kind === 'keyring') found = reading;
  }
  return found;
}

const NAMELESS: KekFinding = {
  state: 'missing',
  reason: 'the key that sealed the database is gone',
  remedy: 'Put it back from a backup, or give up what it sealed: broker rotate-key --discard',
};

/**
 * Everything in the database that authenticates. What does not is left out with a line in the log: it was damaged or
 * tampered with, and can be fetched again; the rest goes on.
 *
 * @param fresh for a database without a digest key.
 */
function load(rows: readonly Row[], fresh: Sealer, log: Log): Contents & { readonly changed: boolean } {
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
    const opened = sealer.open(row);
    opened?.secret.wipe();
    if (opened !== undefined && isKind(kind)) {
      records.put({ facts: opened.facts as RecordFacts[Kind], row });
      continue;
    }
    changed = true;
    const fields = kind === 'key' ? { credential: id } : { kind, id };
    log.warn(fields, `a ${kind} in the cache does not authenticate and was dropped`);
  }
  // With another digest key every value would look like a changed one.
  if (restored === undefined) for (const stored of records.all('key')) records.put(digestAgain(stored, sealer));
  return { records, sealer, changed };
}

function digestAgain(stored: Stored<'key'>, sealer: Sealer): Stored<'key'> {
  const secrets = sealer.openKey(stored.row);
  if (secrets === undefined) return stored;
  const again = sealer.sealKey({ ...stored.facts, digest: sealer.digestKey.ofSecret(secrets) }, secrets);
  wipeAll(secrets);
  return again;
}

function cannotOpen({ stateDir }: CacheOptions, error: unknown): Omit<Detached, 'notice'> {
  const trouble =
    error instanceof BrokerError
      ? { problem: error.message, remedy: error.remedy ?? '' }
      : describeEnvironment(databasePath(stateDir), error);
  return {
    state: 'detached',
    cause: 'database',
    ...trouble,
    mayHavePrompted: false,
    timeline: undefined,
    lastEventId: 0,
  };
}
