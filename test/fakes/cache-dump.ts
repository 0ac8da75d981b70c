import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';

/** Every value of every table of `cache.db` as text, whatever lies in the log beside it included. */
export function cacheDump(stateDir: string): string {
  const database = new SqliteDatabase(join(stateDir, 'cache.db'), { readonly: true });
  try {
    const tables = database.prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return tables.flatMap(({ name }) => [name, ...rowsOf(database, name)]).join('\n');
  } finally {
    database.close();
  }
}

function rowsOf(database: SqliteDatabase.Database, table: string): string[] {
  const rows = database.prepare<[], Record<string, unknown>>(`SELECT * FROM "${table}"`).all();
  return rows.map((row) =>
    Object.entries(row)
      .map(([column, value]) => `${column}=${value instanceof Buffer ? value.toString('latin1') : String(value)}`)
      .join('|'),
  );
}
