import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import type { RecordedKek } from '../crypto/kek-store.ts';
import { failpoint } from '../platform/failpoints.ts';
import { birthOf, statQuietly } from '../platform/files.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { KeyHome } from '../protocol/reports.ts';
import { type DatabaseOptions, openDatabase } from './database.ts';
import { type EventsTable, eventsTable } from './events.ts';
import type { Contents } from './memory.ts';
import type { Row } from './records.ts';

/**
 * The database as rows of records, events, and the keys that seal or sealed it. Throws what SQLite throws; what a failure
 * means is decided by those who call.
 *
 * Every column is written out and aliased: SQLite takes result names from the stored schema, so that a flipped bit there
 * ("iD") would otherwise make a value vanish without an error.
 */
export class SqliteStore {
  readonly events: EventsTable;
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #files: DatabaseFiles;

  private constructor(database: Database, path: string) {
    this.#database = database;
    this.#statements = prepare(database);
    this.events = eventsTable(database);
    this.#files = new DatabaseFiles(path);
  }

  static open(path: string, options: DatabaseOptions): SqliteStore {
    const database = openDatabase(path, options);
    try {
      return new SqliteStore(database, path);
    } catch (error) {
      // Statements that do not compile: the stored schema is not what its version says.
      database.close();
      throw error;
    }
  }

  /** All of `action` or nothing. */
  transaction(action: (store: SqliteStore) => void): void {
    this.#database
      .transaction(() => {
        action(this);
        failpoint('database.written');
      })
      .immediate();
    if (!this.#files.logWasFilled) this.#files.noteWritten();
    failpoint('database.committed');
  }

  /** The same, on the disk when it returns, and its predecessors out of the log. */
  durably(action: (store: SqliteStore) => void): void {
    const usual = Number(this.#database.pragma('synchronous', { simple: true }));
    this.#database.pragma('synchronous = FULL');
    // On macOS fsync(2) leaves the bytes in the drive's own memory; elsewhere this says nothing.
    this.#database.pragma('fullfsync = ON');
    try {
      this.transaction(action);
    } finally {
      this.#database.pragma('fullfsync = OFF');
      this.#database.pragma(`synchronous = ${usual}`);
    }
    this.reclaim();
  }

  /** As they are stored: only after its seal was opened may anything in a row be believed. */
  rows(): Row[] {
    return this.#statements.rows.all();
  }

  put({ kind, id, facts, sealed }: Row): void {
    this.#statements.put.run(kind, id, facts, sealed);
  }

  remove(kind: string, id: string): void {
    this.#statements.remove.run(kind, id);
  }

  /** Makes the database hold exactly `contents`, and know where the key is that seals them. Within a transaction. */
  replaceAll({ records, sealer }: Contents, home: KeyHome, unused: readonly RecordedKek[]): void {
    this.#statements.clear.run();
    for (const row of [sealer.digestKeyRow, ...records.rows()]) this.put(row);
    this.#statements.forgetKeks.run();
    for (const kek of unused) this.noteUnusedKek(kek);
    this.#statements.noteKek.run(sealer.kek.id, home, 1);
  }

  /** The key that seals everything in here. */
  recordedKek(): RecordedKek | undefined {
    return this.#statements.keks.all(1)[0];
  }

  /** Keys that seal nothing yet or nothing any more, to be removed from where they are kept. */
  unusedKeks(): RecordedKek[] {
    return this.#statements.keks.all(0);
  }

  noteUnusedKek({ id, home }: RecordedKek): void {
    this.#statements.noteKek.run(id, home, 0);
  }

  forgetUnusedKek({ id }: RecordedKek): void {
    this.#statements.forgetUnusedKek.run(id);
  }

  /** Not authenticated: good enough to start a clock, not to judge a stored key by. */
  timelineHint(): Timeline | undefined {
    const text = this.#statements.timeline.get()?.facts;
    try {
      const { bootId, offsetMs, lastSeenMs }: Partial<Record<keyof Timeline, unknown>> = JSON.parse(text ?? '');
      const isWhole = typeof bootId === 'string' && typeof offsetMs === 'number' && typeof lastSeenMs === 'number';
      return isWhole ? { bootId, offsetMs, lastSeenMs } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Moves the log into the database and gives its space back: one that cannot grow any more has to be emptied first. */
  reclaim(): void {
    this.#files.noteReclaimed();
    try {
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // What is committed stays so, and a later checkpoint will do it.
    }
  }

  /** Pages and statements that SQLite keeps at hand. */
  releaseMemory(): void {
    this.#database.pragma('shrink_memory');
  }

  /** Whether the files that SQLite has open are still those at the path, with something in them. */
  isInPlace(): boolean {
    return this.#files.areInPlace();
  }

  /** Once they are not: what is left of them goes, so that nobody takes the log of one database for that of another. */
  removeLeftOvers(): void {
    this.#files.removeOwn();
  }

  close(): void {
    this.#database.close();
  }
}

/** SQLite notices neither that its files are gone nor that others took their place: it writes on, to nobody's use. */
class DatabaseFiles {
  readonly #path: string;
  readonly #own: ReadonlyMap<string, string>;
  /** It had something in it since it was last reclaimed: one that is empty now was emptied by somebody else. */
  logWasFilled = false;

  constructor(path: string) {
    this.#path = path;
    // The log is there from the first reading on; a rollback journal comes and goes.
    const files = ['', '-wal'].map((suffix) => [`${path}${suffix}`, birthOf(`${path}${suffix}`)] as const);
    this.#own = new Map(files.filter((file): file is [string, string] => file[1] !== undefined));
  }

  /** Only then may the log become empty. */
  noteReclaimed(): void {
    this.logWasFilled = false;
  }

  noteWritten(): void {
    this.logWasFilled = this.#logBytes() > 0;
  }

  areInPlace(): boolean {
    if ([...this.#own].some(([file, birth]) => birthOf(file) !== birth)) return false;
    const bytes = this.#logBytes();
    if (bytes === 0 && this.logWasFilled) return false;
    // Emptied, and written on since: SQLite goes on where it was, and a restart would find a log that begins with nothing.
    if (bytes > 0 && !hasHeader(`${this.#path}-wal`)) return false;
    this.noteWritten();
    return statQuietly(this.#path)?.size !== 0;
  }

  #logBytes(): number {
    return statQuietly(`${this.#path}-wal`)?.size ?? 0;
  }

  removeOwn(): void {
    for (const [file, birth] of this.#own) if (birthOf(file) === birth) rmSync(file, { force: true });
  }
}

/** A log begins with 0x377f0682 or 0x377f0683 (SQLite file format, 4.1). */
function hasHeader(log: string): boolean {
  try {
    const fd = openSync(log, 'r');
    try {
      const magic = Buffer.alloc(4);
      readSync(fd, magic, 0, 4, 0);
      return magic.readUInt32BE() >>> 1 === 0x377f0682 >>> 1;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

function prepare(database: Database) {
  return {
    rows: database.prepare<[], Row>('SELECT kind AS kind, id AS id, facts AS facts, sealed AS sealed FROM records'),
    timeline: database.prepare<[], { facts: string }>("SELECT facts AS facts FROM records WHERE kind = 'timeline'"),
    put: database.prepare<[string, string, string, Buffer]>(
      'INSERT OR REPLACE INTO records (kind, id, facts, sealed) VALUES (?, ?, ?, ?)',
    ),
    remove: database.prepare<[string, string]>('DELETE FROM records WHERE kind = ? AND id = ?'),
    clear: database.prepare('DELETE FROM records'),
    keks: database.prepare<[number], RecordedKek>('SELECT id AS id, home AS home FROM keks WHERE seals = ?'),
    noteKek: database.prepare<[string, string, number]>(
      'INSERT OR REPLACE INTO keks (id, home, seals) VALUES (?, ?, ?)',
    ),
    forgetKeks: database.prepare('DELETE FROM keks'),
    forgetUnusedKek: database.prepare<[string]>('DELETE FROM keks WHERE id = ? AND seals = 0'),
  };
}
