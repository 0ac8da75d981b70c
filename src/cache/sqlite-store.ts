import type { Database } from 'better-sqlite3';
import type { KekHome } from '../crypto/kek-home.ts';
import { type DatabaseOptions, durably, emptyLog, openDatabase } from './database.ts';
import { eventsTable } from './events-table.ts';
import { keysTable } from './keys-table.ts';
import { leasesTable } from './leases-table.ts';
import { loginsTable } from './logins-table.ts';
import { metaTable } from './meta-table.ts';
import type { Records } from './records.ts';
import { rejectedTable } from './rejected-table.ts';
import type { Sealer } from './sealer.ts';

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
