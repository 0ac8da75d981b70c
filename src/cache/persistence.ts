import type { Database } from 'better-sqlite3';
import type { KekHome } from '../crypto/kek-store.ts';
import { type EventJournal, eventsTable } from './events.ts';
import { keysTable } from './keys-table.ts';
import { leasesTable } from './leases-table.ts';
import { loginsTable } from './logins-table.ts';
import { metaTable } from './meta-table.ts';
import { type Attached, type CacheOptions, databasePath, setDamagedAside } from './open.ts';
import type { Records } from './records.ts';
import { type DatabaseOptions, durably, emptyLog, openDatabase } from './records-db.ts';
import { classifyFailure, describeEnvironment, type Problem } from './recovery.ts';
import { rejectedTable } from './rejected-table.ts';
import type { Sealer } from './sealer.ts';

/** What the database is to hold: always the whole of memory, never a part of it. */
export interface Contents {
  readonly records: Records;
  readonly sealer: Sealer;
  readonly home: KekHome;
  readonly events: EventJournal;
}

/** Between two attempts to write to a disk that refused: each may block for the busy time limit. */
const RETRY_AFTER_MS = 5_000;
/** A disk that damages every new database as well is not going to be cured by another one. */
const MAX_REBUILDS = 3;

/**
 * Writes memory through to the database and never throws: a write that fails leaves the database behind, and from
 * then on everything is written at once as soon as that works again. A database that turns out damaged is set aside
 * and built anew from memory, which has everything.
 */
export class Persistence {
  /** Absent between a damaged database and the next one. */
  #store: SqliteStore | undefined;
  #behind: (Problem & { readonly sinceMs: number }) | undefined;
  #notice: Problem | undefined;
  #rebuilds = 0;
  readonly #options: CacheOptions;

  constructor({ store, notice, writeFailure }: Attached, options: CacheOptions) {
    this.#store = store;
    this.#notice = notice;
    this.#options = options;
    if (writeFailure !== undefined) this.#fallBehind(writeFailure);
  }

  get behind(): Problem | undefined {
    return this.#behind;
  }

  /** What a person should know although all is well: a database was set aside. */
  get notice(): Problem | undefined {
    return this.#notice;
  }

  /** `memory` is only what to fall back to: it already holds what `action` writes. */
  write(memory: Contents, action: (store: SqliteStore) => void, committed: () => void = () => {}): void {
    if (this.#behind !== undefined) {
      const waitedMs = this.#options.wallMs() - this.#behind.sinceMs;
      if (waitedMs >= RETRY_AFTER_MS || waitedMs < 0) this.catchUp(memory);
      return;
    }
    this.#attempt(memory, () => {
      this.#open().transaction(action);
      committed();
    });
  }

  /** Writes everything, now. True if the database is no longer behind. */
  catchUp(memory: Contents): boolean {
    this.#attempt(memory, () => {
      this.#store?.reclaim();
      this.#replaceAll(memory);
    });
    return this.#behind === undefined;
  }

  /** One transaction, synced to the disk. Throws: for what a person asked for and has to hear about. */
  durably(action: (store: SqliteStore) => void): void {
    this.#open().durably(action);
  }

  /** Never throws: with a database that cannot be read, `fallback` has to do. */
  read<T>(read: (store: SqliteStore) => T, fallback: () => T): T {
    try {
      return read(this.#open());
    } catch (error) {
      this.#options.log.warn({ code: codeOf(error) }, 'the cache database could not be read');
      return fallback();
    }
  }

  releaseMemory(): void {
    if (this.#store !== undefined)
      this.read(
        (store) => store.releaseMemory(),
        () => undefined,
      );
  }

  close(): void {
    this.#store?.close();
    this.#store = undefined;
  }

  #open(): SqliteStore {
    this.#store ??= SqliteStore.open(databasePath(this.#options.stateDir), this.#options);
    return this.#store;
  }

  #replaceAll({ records, sealer, home, events }: Contents): void {
    this.#open().transaction((store) => {
      store.replaceAll(records, sealer, home);
      events.flush(store);
    });
    events.written();
  }

  #attempt(memory: Contents, write: () => void): void {
    try {
      write();
      if (this.#behind !== undefined) this.#options.log.info({}, 'the cache is stored on disk again');
      this.#behind = undefined;
    } catch (error) {
      if (classifyFailure(error) === 'damaged' && this.#rebuild(memory, error)) return;
      this.#fallBehind(error);
    }
  }

  #rebuild(memory: Contents, damage: unknown): boolean {
    if (this.#rebuilds >= MAX_REBUILDS) return false;
    this.#rebuilds += 1;
    try {
      this.close();
      this.#notice = setDamagedAside(this.#options, damage);
      this.#replaceAll(memory);
      this.#behind = undefined;
      return true;
    } catch (error) {
      this.#fallBehind(error);
      return true;
    }
  }

  #fallBehind(error: unknown): void {
    const { problem, remedy } = describeEnvironment(databasePath(this.#options.stateDir), error);
    if (this.#behind === undefined) {
      this.#options.log.error({ code: codeOf(error) }, `${problem}; serving from memory`);
    }
    this.#behind = { problem, remedy, sinceMs: this.#options.wallMs() };
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

/** The database as tables of records. Throws what SQLite throws; who may know what about a failure is decided above. */
export class SqliteStore {
  readonly keys: ReturnType<typeof keysTable>;
  readonly leases: ReturnType<typeof leasesTable>;
  readonly logins: ReturnType<typeof loginsTable>;
  readonly rejected: ReturnType<typeof rejectedTable>;
  readonly events: ReturnType<typeof eventsTable>;
  readonly meta: ReturnType<typeof metaTable>;
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
    this.keys = keysTable(database);
    this.leases = leasesTable(database);
    this.logins = loginsTable(database);
    this.rejected = rejectedTable(database);
    this.events = eventsTable(database);
    this.meta = metaTable(database);
  }

  static open(path: string, options: DatabaseOptions): SqliteStore {
    const database = openDatabase(path, options);
    try {
      return new SqliteStore(database);
    } catch (error) {
      // Statements that do not compile: the stored schema is not what its version says.
      database.close();
      throw error;
    }
  }

  /** All of `action` or nothing. */
  transaction(action: (store: SqliteStore) => void): void {
    this.#database.transaction(() => action(this)).immediate();
  }

  /** The same, synced to the disk. */
  durably(action: (store: SqliteStore) => void): void {
    durably(this.#database, () => action(this));
  }

  /** Whether anything in here needs the key that sealed it. */
  holdsSealed(): boolean {
    return this.keys.all().length > 0 || this.logins.all().length > 0 || this.meta.digestKey() !== undefined;
  }

  /** Makes the database hold exactly `records`, and know which key sealed them. Within a transaction. */
  replaceAll(records: Records, sealer: Sealer, home: KekHome): void {
    this.meta.recordKek({ home: home.kind, id: sealer.kek.id });
    this.meta.putDigestKey(sealer.sealedDigestKey);
    const { timeline } = records;
    if (timeline === undefined) this.meta.clearTimeline();
    else this.meta.putTimeline({ timeline, mac: sealer.timelineMac(timeline) });
    for (const table of [this.keys, this.leases, this.logins, this.rejected]) table.clear();
    for (const record of records.keys.values()) this.keys.put(record);
    for (const record of records.logins.values()) this.logins.put(record);
    for (const entry of records.leases.values()) this.leases.put({ entry, mac: sealer.leaseMac(entry) });
    for (const mark of records.rejectedMarks()) this.rejected.put(mark);
  }

  /** Frees what disk space can be freed: a log that could not grow any more has to be emptied before anything else. */
  reclaim(): void {
    emptyLog(this.#database);
  }

  /** Pages and statements that SQLite keeps at hand. */
  releaseMemory(): void {
    this.#database.pragma('shrink_memory');
  }

  close(): void {
    this.#database.close();
  }
}
