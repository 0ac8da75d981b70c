import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { statQuietly } from '../platform/files.ts';
import { eventsTable, type NumberedEvent } from './events.ts';
import { databasePath } from './recovery.ts';

/** What a bug report says of a database; nothing of what is sealed in it. */
export interface DatabaseLook {
  readonly bytes: number;
  readonly logBytes: number;
  /** `ok`, or what SQLite finds wrong. */
  readonly quickCheck: readonly string[];
  readonly version: number;
  readonly records: Readonly<Record<string, number>>;
  readonly keyHomes: readonly string[];
  readonly events: readonly NumberedEvent[];
}

const LARGEST_BYTES = 256 * 1024 * 1024;
/** A daemon that writes all the time is copied in the middle of something: the copy would look damaged. */
const ATTEMPTS = 5;
const MOST_FAULTS = 20;

/**
 * Looks at a copy of the database, so that a daemon that has it locked is not disturbed and a damaged one is not touched.
 * @throws what the file system and SQLite throw; undefined: there is none.
 */
export function inspectDatabase(stateDir: string, newestEvents: number): DatabaseLook | undefined {
  const file = databasePath(stateDir);
  const stats = statQuietly(file);
  if (stats === undefined) return undefined;
  if (!stats.isFile() || stats.size > LARGEST_BYTES) throw new Error('it is not a file of a size that can be copied');
  const folder = mkdtempSync(join(tmpdir(), 'broker-inspect-'));
  try {
    copyWhole(file, folder);
    const look = lookAt(join(folder, basename(file)), newestEvents);
    return { bytes: stats.size, logBytes: statQuietly(`${file}-wal`)?.size ?? 0, ...look };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The database with its log, from one moment if that can be had. */
function copyWhole(file: string, folder: string): void {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = identityOf(file);
    for (const suffix of ['', '-wal', '-journal']) {
      const copy = join(folder, basename(file) + suffix);
      rmSync(copy, { force: true });
      if (statQuietly(file + suffix)?.isFile() !== true) continue;
      copyFileSync(file + suffix, copy);
      chmodSync(copy, 0o600);
    }
    if (identityOf(file) === before) return;
  }
}

function identityOf(file: string): string {
  return ['', '-wal', '-journal']
    .map((suffix) => {
      const { size, mtimeMs } = statSync(file + suffix, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
      return `${size}:${mtimeMs}`;
    })
    .join(' ');
}

function lookAt(copy: string, newestEvents: number): Omit<DatabaseLook, 'bytes' | 'logBytes'> {
  const database = new SqliteDatabase(copy, { fileMustExist: true });
  // A damaged database has some of it, and that may be what is looked for.
  const attempt = <T>(otherwise: (said: string) => T, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      return otherwise(error instanceof Error ? error.message : 'it fails');
    }
  };
  const count = (sql: string) =>
    attempt<Record<string, number>>(
      () => ({}),
      () =>
        Object.fromEntries(
          database
            .prepare<[], { name: string; count: number }>(sql)
            .all()
            .map((row) => [row.name, row.count]),
        ),
    );
  try {
    const quickCheck = attempt<readonly string[]>(
      (said) => [said],
      () => {
        database.pragma('locking_mode = EXCLUSIVE');
        database.pragma('trusted_schema = OFF');
        const rows = database.pragma(`quick_check(${MOST_FAULTS})`) as readonly { quick_check: string }[];
        return rows.map((row) => row.quick_check);
      },
    );
    return {
      quickCheck,
      version: attempt(
        () => -1,
        () => Number(database.pragma('user_version', { simple: true })),
      ),
      records: count('SELECT kind AS name, count(*) AS count FROM records GROUP BY kind'),
      keyHomes: Object.keys(count('SELECT home AS name, count(*) AS count FROM keks GROUP BY home')),
      events: attempt<readonly NumberedEvent[]>(
        () => [],
        () => eventsTable(database).newest(newestEvents),
      ),
    };
  } finally {
    database.close();
  }
}
