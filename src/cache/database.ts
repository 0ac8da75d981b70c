import { chmodSync, closeSync, lstatSync, openSync, readSync, type Stats, unlinkSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import SqliteDatabase from 'better-sqlite3';
import { BrokerError, shellWord } from '../errors.ts';
import { flawOf } from '../platform/place-rules.ts';
import { MIGRATIONS, migrate } from './migrations.ts';
import { DamagedDatabaseError } from './recovery.ts';

export interface DatabaseOptions {
  /** A rollback journal instead of WAL, whose shared memory does not work across machines. */
  readonly networkFileSystem: boolean;
  /** Only for tests of migrations. */
  readonly migrations?: readonly string[];
}

/** How long the start waits for another program that has the database open (a `sqlite3` shell, a backup). */
const BUSY_TIMEOUT_MS = 100;
/** Above this size the check at start leaves out the events: 1.3 ms per 2 MB must not become a slow start. */
const FULL_CHECK_MAX_PAGES = 4096;
const TABLES_THAT_MATTER = ['keks', 'records'] as const;

/**
 * Opens, checks and migrates one database file, creating it 0600 if it is absent. Throws what SQLite throws (see
 * classifyFailure), or ERR_UNSAFE_FILE for a file that must not be used as it is.
 */
export function openDatabase(path: string, options: DatabaseOptions): Database {
  ensurePrivateFile(path);
  checkHeader(path);
  const database = new SqliteDatabase(path, { fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    configure(database, options);
    removeSharedMemory(path);
    check(database);
    migrate(database, options.migrations ?? MIGRATIONS);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** SQLite gives -wal and -journal the mode that the database has at that moment, so this one mode settles them all. */
function ensurePrivateFile(path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    closeSync(openSync(path, 'wx', 0o600));
    return;
  }
  // First: another mode would make nothing of a folder that can be used.
  if (!stats.isSymbolicLink()) requireRegular(path, stats);
  const flaw = flawOf(path, stats, 'private', process.getuid?.() ?? 0);
  if (flaw !== undefined) throw new BrokerError('ERR_UNSAFE_FILE', flaw.reason, { remedy: flaw.remedy });
  for (const suffix of ['-wal', '-journal']) ensureCompanion(`${path}${suffix}`, stats);
}

/** One that was made while the database was read-only would keep it so after that is fixed. */
function ensureCompanion(path: string, { uid, mode }: Stats): void {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  requireRegular(path, stats);
  if ((mode & 0o200) !== 0 && stats.uid === uid && (stats.mode & 0o600) !== 0o600) chmodSync(path, 0o600);
}

/** SQLite would wait for the other end of a named pipe. */
function requireRegular(path: string, stats: Stats): void {
  if (stats.isFile()) return;
  throw new BrokerError('ERR_UNSAFE_FILE', `${path} is not a regular file`, {
    remedy: `Move it away: mv ${shellWord(path)} ${shellWord(`${path}.moved`)}`,
  });
}

/**
 * Bytes 18 and 19 are the format's write and read version, 1 or 2 (SQLite file format, 1.3.3). SQLite takes a damaged
 * write version for one of the future and the database for read-only, which would never heal by trying again.
 */
function checkHeader(path: string): void {
  const fd = openSync(path, 'r');
  try {
    const versions = Buffer.alloc(2);
    const isWhole = readSync(fd, versions, 0, 2, 18) === 2;
    if (isWhole && versions.some((version) => version !== 1 && version !== 2)) {
      throw new DamagedDatabaseError('its header is damaged');
    }
  } finally {
    closeSync(fd);
  }
}

/**
 * Durability: in WAL mode with synchronous NORMAL a commit survives the death of the process, kill -9 included, and a
 * power cut leaves an intact database that may lack the last commits. That is enough, and costs no fsync per answer:
 * keys can be fetched again, and a lease whose journal entry is lost lapses at its own end. With a rollback journal NORMAL
 * may corrupt after a power cut, hence FULL there. A rotation, which destroys the old key, syncs fully: see SqliteStore.durably.
 */
function configure(database: Database, { networkFileSystem }: DatabaseOptions): void {
  // Before anything is read: then the index of the log is kept in memory, not in a mapped -shm file, which a network file
  // system or a full disk cannot give, and whose truncation by anybody ends the process with SIGBUS.
  database.pragma('locking_mode = EXCLUSIVE');
  database.pragma(`journal_mode = ${networkFileSystem ? 'DELETE' : 'WAL'}`);
  database.pragma(`synchronous = ${networkFileSystem ? 'FULL' : 'NORMAL'}`);
  // What is deleted or replaced is overwritten with zeros, not left in free pages.
  database.pragma('secure_delete = ON');
  database.pragma('journal_size_limit = 1048576');
  database.pragma('temp_store = MEMORY');
  // The file may be damaged or made by another program: its schema gets no rights, its cells are checked when read.
  database.pragma('trusted_schema = OFF');
  database.pragma('cell_size_check = ON');
}

/** Left by a version that shared the database. Now that it is locked, nobody has it mapped, and SQLite does not look at it. */
function removeSharedMemory(path: string): void {
  try {
    unlinkSync(`${path}-shm`);
  } catch {
    // Not there, or somebody's folder.
  }
}

function check(database: Database): void {
  const small = Number(database.pragma('page_count', { simple: true })) <= FULL_CHECK_MAX_PAGES;
  const scopes = small ? ['1'] : TABLES_THAT_MATTER.map((table) => `'${table}'`);
  for (const scope of scopes) {
    const verdict = database.pragma(`quick_check(${scope})`, { simple: true });
    if (verdict !== 'ok') throw new DamagedDatabaseError('its integrity check failed');
  }
}
