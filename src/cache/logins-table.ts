import type { Database } from 'better-sqlite3';
import { statementsFor } from './columns.ts';
import type { SealedLogin } from './records.ts';

interface Row {
  provider: string;
  login_id: string;
  fingerprint: string;
  issued_at_ms: number;
  expires_at_ms: number | null;
  renewable: number;
  max_expires_at_ms: number | null;
  ours: number;
  sealed: Buffer;
}

const STATEMENTS = statementsFor('logins', [
  'provider',
  'login_id',
  'fingerprint',
  'issued_at_ms',
  'expires_at_ms',
  'renewable',
  'max_expires_at_ms',
  'ours',
  'sealed',
]);

/** Rows come back as they lie there: only after their seal was opened may anything in them be believed. */
export function loginsTable(database: Database) {
  const selectAll = database.prepare<[], Row>(STATEMENTS.select);
  const replace = database.prepare<[Row]>(STATEMENTS.replace);
  const remove = database.prepare<[string, string]>('DELETE FROM logins WHERE provider = ? AND login_id = ?');
  const clear = database.prepare('DELETE FROM logins');
  return {
    all: (): SealedLogin[] => selectAll.all().map(fromRow),
    put: (record: SealedLogin): void => void replace.run(toRow(record)),
    remove: (provider: string, loginId: string): void => void remove.run(provider, loginId),
    clear: (): void => void clear.run(),
  };
}

function toRow({ provider, fingerprint, login, sealed }: SealedLogin): Row {
  return {
    provider,
    login_id: login.id,
    fingerprint,
    issued_at_ms: login.issuedAtMs,
    expires_at_ms: login.expiresAtMs ?? null,
    renewable: Number(login.renewable),
    max_expires_at_ms: login.maxExpiresAtMs ?? null,
    ours: Number(login.ours),
    sealed,
  };
}

function fromRow(row: Row): SealedLogin {
  return {
    provider: row.provider,
    fingerprint: row.fingerprint,
    login: {
      id: row.login_id,
      issuedAtMs: row.issued_at_ms,
      expiresAtMs: row.expires_at_ms ?? undefined,
      renewable: row.renewable === 1,
      maxExpiresAtMs: row.max_expires_at_ms ?? undefined,
      ours: row.ours === 1,
    },
    sealed: row.sealed,
  };
}
