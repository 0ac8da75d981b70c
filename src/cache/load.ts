import { timingSafeEqual } from 'node:crypto';
import type { KeyEncryptionKey } from '../crypto/key-encryption-key.ts';
import type { Log } from '../platform/log.ts';
import { Records } from './records.ts';
import { Sealer } from './sealer.ts';
import { wipeSecrets } from './secret-fields.ts';
import type { SqliteStore } from './sqlite-store.ts';

export interface Loaded {
  readonly records: Records;
  readonly sealer: Sealer;
  /** Something in the database did not authenticate or was made anew: it has to be written again. */
  readonly changed: boolean;
}

/**
 * Everything in the database that authenticates. What does not is left out with a line in the log: it was damaged or
 * tampered with, and can be fetched again; the rest goes on.
 */
export function loadRecords(store: SqliteStore, kek: KeyEncryptionKey, log: Log): Loaded {
  const stored = restoreSealer(store, kek, log);
  const records = new Records();
  let changed = stored.isNew;
  const drop = (fields: object, what: string) => {
    changed = true;
    log.warn(fields, `${what} in the cache does not authenticate and was dropped`);
  };
  for (const record of store.keys.all()) {
    const secrets = stored.sealer.openKey(record.key, record.sealed);
    if (secrets === undefined) {
      drop({ credential: record.key.credential }, 'a key');
      continue;
    }
    // The digest key was lost: digests have to be made anew, or every value would look like a changed one.
    const key = stored.isNew ? { ...record.key, digest: stored.sealer.digest(secrets) } : record.key;
    records.addKey(stored.isNew ? { key, sealed: stored.sealer.sealKey(key, secrets) } : record);
    wipeSecrets(secrets);
  }
  for (const record of store.logins.all()) {
    const token = stored.sealer.openLogin(record.provider, record.fingerprint, record.login, record.sealed);
    if (token === undefined) drop({ provider: record.provider }, 'a login');
    else records.addLogin(record);
    token?.wipe();
  }
  for (const { entry, mac } of store.leases.all()) {
    if (sameMac(mac, () => stored.sealer.leaseMac(entry))) records.addLease(entry);
    else drop({ provider: entry.provider, credential: entry.credential }, 'a lease');
  }
  for (const mark of store.rejected.all()) records.addRejected(mark);
  const found = store.meta.timeline();
  if (found !== undefined) {
    if (sameMac(found.mac, () => stored.sealer.timelineMac(found.timeline))) records.timeline = found.timeline;
    else drop({}, 'the timeline');
  }
  return { records, sealer: stored.sealer, changed };
}

function restoreSealer(store: SqliteStore, kek: KeyEncryptionKey, log: Log): { sealer: Sealer; isNew: boolean } {
  const sealed = store.meta.digestKey();
  const restored = sealed && Sealer.restore(kek, sealed);
  if (restored !== undefined) return { sealer: restored, isNew: false };
  if (sealed !== undefined) log.warn({}, 'the digest key in the cache does not authenticate and was made anew');
  return { sealer: Sealer.create(kek), isNew: true };
}

/** What a damaged row holds may have no canonical encoding, or be no bytes at all. */
function sameMac(stored: unknown, compute: () => Buffer): boolean {
  try {
    return Buffer.isBuffer(stored) && timingSafeEqual(stored, compute());
  } catch {
    return false;
  }
}
