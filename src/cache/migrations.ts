import type { Database } from 'better-sqlite3';
import { ForeignDatabaseError } from './recovery.ts';

/**
 * Step n takes a database from user_version n to n + 1. Steps are never edited once released, only added. A step that
 * changes what a row's seal is bound to has to keep the old binding readable: see RECORD_SCHEMA in sealer.ts.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE keks (id TEXT PRIMARY KEY, home TEXT NOT NULL, seals INTEGER NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE records (
    kind TEXT NOT NULL, id TEXT NOT NULL, facts TEXT NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT;

  CREATE TABLE events (
    id INTEGER PRIMARY KEY, at_ms REAL NOT NULL, kind TEXT NOT NULL, credential TEXT, detail TEXT NOT NULL
  ) STRICT;
  `,
];

/** "brk2": tells a database of ours from that of another program that was put in its place. */
const APPLICATION_ID = 0x62726b32;
/** "brkr": as no release ever wrote it. */
const FORMER_APPLICATION_ID = 0x62726b72;

/** Brings a database to the newest version in one transaction. Throws ForeignDatabaseError for one it must not touch. */
export function migrate(database: Database, migrations: readonly string[] = MIGRATIONS): void {
  const version = Number(database.pragma('user_version', { simple: true }));
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  const application = database.pragma('application_id', { simple: true });
  if (application === FORMER_APPLICATION_ID) {
    const words = 'it was written before version 0.1.0, in another format; its open leases lapse';
    throw new ForeignDatabaseError(words, 'before-0.1.0');
  }
  if (isEmpty ? version !== 0 : application !== APPLICATION_ID) {
    throw new ForeignDatabaseError('it is not a database of this program');
  }
  if (version > migrations.length) {
    throw new ForeignDatabaseError(
      `it was written by a newer version (schema ${version}, this version knows ${migrations.length})`,
      `newer-v${version}`,
    );
  }
  if (version < 0 || version === migrations.length) return;
  database
    .transaction(() => {
      for (const step of migrations.slice(version)) database.exec(step);
      database.pragma(`application_id = ${APPLICATION_ID}`);
      database.pragma(`user_version = ${migrations.length}`);
    })
    .immediate();
}
