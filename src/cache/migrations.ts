import type { Database } from 'better-sqlite3';

/**
 * Step n takes a database from user_version n to n + 1. Steps are never edited once released, only added. A step that
 * changes what a sealed row is bound to has to keep the old binding readable: see RECORD_SCHEMA in bindings.ts.
 *
 * Times are milliseconds in REAL columns: an IEEE double comes back as exactly the number that was authenticated.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE timeline (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot_id TEXT NOT NULL, offset_ms REAL NOT NULL, last_seen_ms REAL NOT NULL,
    mac BLOB NOT NULL
  ) STRICT;

  CREATE TABLE keys (
    credential TEXT PRIMARY KEY,
    source_fingerprint TEXT NOT NULL, version TEXT, digest TEXT NOT NULL,
    issued_at_ms REAL NOT NULL, confirmed_at_ms REAL NOT NULL,
    expires_at_ms REAL, expiry_source TEXT NOT NULL, ttl_ms REAL NOT NULL, is_jwt INTEGER NOT NULL,
    lease_id TEXT, lease_issued_at_ms REAL, lease_expires_at_ms REAL, lease_renewable INTEGER,
    lease_max_expires_at_ms REAL, lease_login_id TEXT,
    sealed BLOB NOT NULL
  ) STRICT;

  CREATE TABLE rejected (
    credential TEXT NOT NULL, digest TEXT NOT NULL, at_ms REAL NOT NULL,
    PRIMARY KEY (credential, digest)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE leases (
    provider TEXT NOT NULL, lease_id TEXT NOT NULL, credential TEXT NOT NULL,
    state TEXT NOT NULL, replaced_at_ms REAL,
    issued_at_ms REAL NOT NULL, expires_at_ms REAL NOT NULL, renewable INTEGER NOT NULL,
    max_expires_at_ms REAL, login_id TEXT,
    mac BLOB NOT NULL,
    PRIMARY KEY (provider, lease_id)
  ) STRICT;

  CREATE TABLE logins (
    provider TEXT NOT NULL, login_id TEXT NOT NULL, fingerprint TEXT NOT NULL,
    issued_at_ms REAL NOT NULL, expires_at_ms REAL, renewable INTEGER NOT NULL, max_expires_at_ms REAL,
    ours INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (provider, login_id)
  ) STRICT;

  CREATE TABLE events (
    id INTEGER PRIMARY KEY, at_ms REAL NOT NULL, kind TEXT NOT NULL, credential TEXT, detail TEXT NOT NULL
  ) STRICT;
  `,
];

/** "brkr": tells a database of ours from somebody else's that was put in its place. */
const APPLICATION_ID = 0x62726b72;

/** The file is a database that this version must not touch: newer, or not ours. */
export class ForeignDatabaseError extends Error {
  /** What it is set aside as. */
  readonly label: string;

  constructor(message: string, label: string) {
    super(message);
    this.label = label;
  }
}

/** Brings a database to the newest version in one transaction. Throws ForeignDatabaseError for one it must not touch. */
export function migrate(database: Database, migrations: readonly string[] = MIGRATIONS): void {
  const version = Number(database.pragma('user_version', { simple: true }));
  const isEmpty = database.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get() === undefined;
  if (isEmpty ? version !== 0 : database.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new ForeignDatabaseError('it is not a database of this program', 'corrupt');
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
