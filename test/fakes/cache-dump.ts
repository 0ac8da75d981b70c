import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';

/** Reads a copy of `cache.db` and its log, as somebody may who has the files: who has the database open lets nobody else in. */
export function readStored<Result>(stateDir: string, read: (database: SqliteDatabase.Database) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'broker-copy-'));
  try {
    const [from, to] = [join(stateDir, 'cache.db'), join(folder, 'cache.db')];
    for (const suffix of ['', '-wal']) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
    const database = new SqliteDatabase(to);
    try {
      return read(database);
    } finally {
      database.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Every value of every table as text, whatever lies in the log included. */
export function cacheDump(stateDir: string): string {
  return readStored(stateDir, (database) => {
    const tables = database.prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return tables.flatMap(({ name }) => [name, ...rowsOf(database, name)]).join('\n');
  });
}

function rowsOf(database: SqliteDatabase.Database, table: string): string[] {
  const rows = database.prepare<[], Record<string, unknown>>(`SELECT * FROM "${table}"`).all();
  return rows.map((row) =>
    Object.entries(row)
      .map(([column, value]) => `${column}=${value instanceof Buffer ? value.toString('latin1') : String(value)}`)
      .join('|'),
  );
}
