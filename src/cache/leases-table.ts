import type { Database } from 'better-sqlite3';
import type { LeaseEntry } from './cache.ts';
import { statementsFor } from './columns.ts';

interface Row {
  provider: string;
  lease_id: string;
  credential: string;
  state: string;
  replaced_at_ms: number | null;
  issued_at_ms: number;
  expires_at_ms: number;
  renewable: number;
  max_expires_at_ms: number | null;
  login_id: string | null;
  mac: Buffer;
}

interface AuthenticatedLease {
  readonly entry: LeaseEntry;
  readonly mac: Buffer;
}

const STATEMENTS = statementsFor('leases', [
  'provider',
  'lease_id',
  'credential',
  'state',
  'replaced_at_ms',
  'issued_at_ms',
  'expires_at_ms',
  'renewable',
  'max_expires_at_ms',
  'login_id',
  'mac',
]);

export function leasesTable(database: Database) {
  const selectAll = database.prepare<[], Row>(STATEMENTS.select);
  const replace = database.prepare<[Row]>(STATEMENTS.replace);
  const remove = database.prepare<[string, string]>('DELETE FROM leases WHERE provider = ? AND lease_id = ?');
  const clear = database.prepare('DELETE FROM leases');
  return {
    all: (): AuthenticatedLease[] => selectAll.all().map(fromRow),
    put: (lease: AuthenticatedLease): void => void replace.run(toRow(lease)),
    remove: (provider: string, leaseId: string): void => void remove.run(provider, leaseId),
    clear: (): void => void clear.run(),
  };
}

function toRow({ entry, mac }: AuthenticatedLease): Row {
  const { lease } = entry;
  return {
    provider: entry.provider,
    lease_id: lease.id,
    credential: entry.credential,
    state: entry.state,
    replaced_at_ms: entry.replacedAtMs ?? null,
    issued_at_ms: lease.issuedAtMs,
    expires_at_ms: lease.expiresAtMs,
    renewable: Number(lease.renewable),
    max_expires_at_ms: lease.maxExpiresAtMs ?? null,
    login_id: lease.loginId ?? null,
    mac,
  };
}

function fromRow(row: Row): AuthenticatedLease {
  return {
    entry: {
      provider: row.provider,
      credential: row.credential,
      lease: {
        id: row.lease_id,
        issuedAtMs: row.issued_at_ms,
        expiresAtMs: row.expires_at_ms,
        renewable: row.renewable === 1,
        maxExpiresAtMs: row.max_expires_at_ms ?? undefined,
        loginId: row.login_id ?? undefined,
      },
      state: row.state as LeaseEntry['state'],
      replacedAtMs: row.replaced_at_ms ?? undefined,
    },
    mac: row.mac,
  };
}
