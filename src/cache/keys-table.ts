import type { Database } from 'better-sqlite3';
import type { KeyVersion } from '../credential/key.ts';
import type { Lease } from '../credential/life.ts';
import { statementsFor } from './columns.ts';
import type { SealedKey } from './records.ts';

interface Row {
  credential: string;
  source_fingerprint: string;
  version: string | null;
  digest: string;
  issued_at_ms: number;
  confirmed_at_ms: number;
  expires_at_ms: number | null;
  expiry_source: string;
  ttl_ms: number;
  is_jwt: number;
  lease_id: string | null;
  lease_issued_at_ms: number | null;
  lease_expires_at_ms: number | null;
  lease_renewable: number | null;
  lease_max_expires_at_ms: number | null;
  lease_login_id: string | null;
  sealed: Buffer;
}

const STATEMENTS = statementsFor('keys', [
  'credential',
  'source_fingerprint',
  'version',
  'digest',
  'issued_at_ms',
  'confirmed_at_ms',
  'expires_at_ms',
  'expiry_source',
  'ttl_ms',
  'is_jwt',
  'lease_id',
  'lease_issued_at_ms',
  'lease_expires_at_ms',
  'lease_renewable',
  'lease_max_expires_at_ms',
  'lease_login_id',
  'sealed',
]);

/** Rows come back as they lie there: only after their seal was opened may anything in them be believed. */
export function keysTable(database: Database) {
  const selectAll = database.prepare<[], Row>(STATEMENTS.select);
  const replace = database.prepare<[Row]>(STATEMENTS.replace);
  const remove = database.prepare<[string]>('DELETE FROM keys WHERE credential = ?');
  const clear = database.prepare('DELETE FROM keys');
  return {
    all: (): SealedKey[] => selectAll.all().map(fromRow),
    put: (record: SealedKey): void => void replace.run(toRow(record)),
    remove: (credential: string): void => void remove.run(credential),
    clear: (): void => void clear.run(),
  };
}

function toRow({ key, sealed }: SealedKey): Row {
  return {
    credential: key.credential,
    source_fingerprint: key.sourceFingerprint,
    version: key.version ?? null,
    digest: key.digest,
    issued_at_ms: key.issuedAtMs,
    confirmed_at_ms: key.confirmedAtMs,
    expires_at_ms: key.expiresAtMs ?? null,
    expiry_source: key.expirySource,
    ttl_ms: key.ttlMs,
    is_jwt: Number(key.isJwt),
    lease_id: key.lease?.id ?? null,
    lease_issued_at_ms: key.lease?.issuedAtMs ?? null,
    lease_expires_at_ms: key.lease?.expiresAtMs ?? null,
    lease_renewable: key.lease === undefined ? null : Number(key.lease.renewable),
    lease_max_expires_at_ms: key.lease?.maxExpiresAtMs ?? null,
    lease_login_id: key.lease?.loginId ?? null,
    sealed,
  };
}

function fromRow(row: Row): SealedKey {
  return {
    key: {
      credential: row.credential,
      sourceFingerprint: row.source_fingerprint,
      version: row.version ?? undefined,
      digest: row.digest,
      issuedAtMs: row.issued_at_ms,
      confirmedAtMs: row.confirmed_at_ms,
      expiresAtMs: row.expires_at_ms ?? undefined,
      expirySource: row.expiry_source as KeyVersion['expirySource'],
      ttlMs: row.ttl_ms,
      lease: row.lease_id === null ? undefined : leaseOf(row, row.lease_id),
      isJwt: row.is_jwt === 1,
    },
    sealed: row.sealed,
  };
}

function leaseOf(row: Row, id: string): Lease {
  return {
    id,
    issuedAtMs: row.lease_issued_at_ms ?? 0,
    expiresAtMs: row.lease_expires_at_ms ?? 0,
    renewable: row.lease_renewable === 1,
    maxExpiresAtMs: row.lease_max_expires_at_ms ?? undefined,
    loginId: row.lease_login_id ?? undefined,
  };
}
