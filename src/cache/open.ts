import { join } from 'node:path';
import { kekIdOf } from '../crypto/envelope.ts';
import { KekFile } from '../crypto/kek-file.ts';
import { type AskKeyring, KekKeyring } from '../crypto/kek-keyring.ts';
import { findOrCreateKek, findRecordedKek, type KekFinding, type RecordedKek } from '../crypto/kek-locator.ts';
import type { KekHome } from '../crypto/kek-store.ts';
import { KekSystemdCredential } from '../crypto/kek-systemd-credential.ts';
import { BrokerError } from '../errors.ts';
import { ensurePrivateFolder } from '../platform/files.ts';
import type { Log } from '../platform/log.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { KeyHome } from '../protocol/reports.ts';
import { SqliteCache } from './cache.ts';
import { ForeignDatabaseError } from './migrations.ts';
import { SqliteStore } from './persistence.ts';
import { type DatabaseOptions, type Loaded, loadRecords } from './records-db.ts';
import {
  classifyFailure,
  describeEnvironment,
  lacksSharedMemory,
  type Problem,
  setAside,
  timestamp,
} from './recovery.ts';
import { Sealer } from './sealer.ts';

export interface OpenCacheOptions {
  /** Created 0700 if absent. One daemon per folder: the caller holds its lock. */
  readonly stateDir: string;
  readonly log: Log;
  /** Wall clock, milliseconds since the epoch. */
  readonly wallMs: () => number;
  /** $CREDENTIALS_DIRECTORY, where systemd puts a service's credentials. */
  readonly credentialsDir?: string | undefined;
  /** Default: false. */
  readonly networkFileSystem?: boolean;
  /**
   * Where a key for a new database lives. Default, auto: the systemd credential, if there is one; a keyring that is open
   * and can keep it; else a file in the state folder. Where the key of an existing database lives, the database says.
   */
  readonly keyHome?: KeyHome | 'auto';
  /** The keyring of this session; undefined: there is none. */
  readonly askKeyring?: AskKeyring | undefined;
  /** Default: that of this process. */
  readonly platform?: NodeJS.Platform;
  /** Only for tests: instead of all of that. */
  readonly kekHomes?: readonly KekHome[];
}

/**
 * Opens the cache of a state folder. Throws ERR_UNSAFE_FILE or ERR_IO for the folder itself; whatever is wrong with
 * database or key-encryption key is told in `health()`, and the cache works from memory until `retry()` or `reach()`
 * succeeds. While `awaitsKeeper`, `reach()` comes first.
 */
export function openCache(options: OpenCacheOptions): SqliteCache {
  ensurePrivateFolder(options.stateDir, process.getuid?.() ?? 0);
  const kekHomes = options.kekHomes ?? homesOf(options);
  return new SqliteCache({ ...options, networkFileSystem: options.networkFileSystem ?? false, kekHomes });
}

/** Best first. Every home is there, since the database may name it; `keyHome` says which are for new keys. */
function homesOf(options: OpenCacheOptions): readonly KekHome[] {
  const { keyHome = 'auto', askKeyring, credentialsDir, stateDir, wallMs, platform = process.platform } = options;
  const isFor = (kind: KeyHome) => keyHome === 'auto' || keyHome === kind;
  const newKeys = keyHome === 'keyring' ? 'required' : keyHome === 'auto' ? 'preferred' : 'never';
  return [
    new KekSystemdCredential(
      credentialsDir,
      keyHome === 'auto' ? credentialsDir !== undefined : isFor('systemd-credential'),
    ),
    new KekKeyring({ ask: askKeyring, platform, newKeys, wallMs }),
    new KekFile(stateDir, isFor('file')),
  ];
}

/** A cache that ends with the process: the same sealing, no database. */
export function openMemoryCache(): SqliteCache {
  return new SqliteCache();
}

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
  readonly notice: Problem | undefined;
  /** The database could be read but not written: it is behind from the start. */
  readonly writeFailure: unknown;
  readonly lastEventId: number;
}

/** The database or its key cannot be reached: nothing was changed, and it may work later. */
export interface Detached extends Problem {
  readonly state: 'detached';
  readonly cause: 'key' | 'database';
  /** As the database has it, not authenticated: good enough to start a clock, not to judge a stored key by. */
  readonly timeline: Timeline | undefined;
  readonly lastEventId: number;
  /** The keeper of a home has to look first. */
  readonly notYet: boolean;
  /** What became of a database that could not be used, to be told when another is in its place. */
  readonly notice: Problem | undefined;
}

export const databasePath = (stateDir: string): string => join(stateDir, 'cache.db');

/** Opens database and key together. Never throws for anything that a disk or a key home can do. */
export function attach(options: CacheOptions, notice?: Problem): Attached | Detached {
  try {
    return attachSomehow(options, notice);
  } catch (error) {
    return { ...cannotOpen(options, error), notice };
  }
}

/** Tries once more after a remedy of its own: an empty database after a damaged one, no shared memory on a full disk. */
function attachSomehow(options: CacheOptions, notice: Problem | undefined): Attached | Detached {
  try {
    return attachOnce(options, notice);
  } catch (error) {
    if (classifyFailure(error) === 'damaged' && notice === undefined) {
      return attachSomehow(options, setDamagedAside(options, error));
    }
    if (!lacksSharedMemory(error) || options.exclusive) throw error;
    return attachSomehow({ ...options, exclusive: true }, notice);
  }
}

/** Sets the database aside as damaged, newer or foreign, and says so. Throws what the file system throws. */
export function setDamagedAside({ stateDir, log, wallMs }: CacheOptions, error: unknown): Problem {
  const path = databasePath(stateDir);
  const label = error instanceof ForeignDatabaseError ? error.label : 'corrupt';
  const target = setAside(path, label === 'corrupt' ? `corrupt-${timestamp(wallMs())}` : label);
  const problem = `${path} could not be used (${error instanceof Error ? error.message : 'damaged'}) and was set aside as ${target}`;
  const remedy = 'Nothing has to be done: keys are fetched again. Delete the file set aside when nobody needs it.';
  log.error({ setAside: target }, problem);
  return { problem, remedy };
}

function attachOnce(options: CacheOptions, notice: Problem | undefined): Attached | Detached {
  const store = SqliteStore.open(databasePath(options.stateDir), options);
  try {
    const finding = findKek(store, options.kekHomes);
    if (finding.state !== 'reachable') {
      const timeline = store.meta.timeline()?.timeline;
      const lastEventId = store.events.lastId();
      store.close();
      const { reason: problem, remedy } = finding;
      const notYet = finding.state === 'unreachable' && finding.notYet === true;
      return { state: 'detached', cause: 'key', problem, remedy, timeline, lastEventId, notYet, notice };
    }
    const { kek, home } = finding;
    const loaded = loadRecords(store, kek, options.log);
    const recorded = store.meta.recordedKek();
    const unused = store.meta.unusedKek();
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
function writeBack(store: SqliteStore, { records, sealer }: Loaded, home: KekHome): unknown {
  try {
    store.transaction(() => store.replaceAll(records, sealer, home));
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
  const recorded = store.meta.recordedKek();
  if (recorded === undefined && !store.holdsSealed()) return findOrCreateKek(homes);
  const named: KekFinding = recorded === undefined ? NAMELESS : findRecordedKek(homes, recorded);
  return named.state === 'reachable' ? named : (findOpeningKek(store, homes, recorded?.home) ?? named);
}

const NAMELESS: KekFinding = {
  state: 'missing',
  reason: 'the key that sealed the database is gone',
  remedy: 'Put it back from a backup, or give up what it sealed: broker rotate-key --discard',
};

function findOpeningKek(store: SqliteStore, homes: readonly KekHome[], named?: string): KekFinding | undefined {
  const sealed = store.meta.digestKey();
  const id = sealed && kekIdOf(sealed);
  if (sealed === undefined || id === undefined) return undefined;
  let notYet: KekFinding | undefined;
  for (const home of homes) {
    // Where the note says another home, a keyring is not searched for a key that was never in it.
    if (home.keeper !== undefined && named !== undefined && named !== home.kind) continue;
    const reading = home.read('current', id);
    if (reading.state === 'reachable' && Sealer.restore(reading.kek, sealed) !== undefined) return { ...reading, home };
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
