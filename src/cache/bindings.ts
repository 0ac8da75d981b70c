import type { KeyVersion } from '../credential/key.ts';
import type { Lease, Login } from '../credential/life.ts';
import { encodeFields, type Field } from '../crypto/digest.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { LeaseEntry } from './cache.ts';

/**
 * What each row's seal or MAC is bound to: everything that says whose it is and everything that gives it life. Change
 * the list or the meaning of a field and every stored record stops authenticating, so raise RECORD_SCHEMA with it:
 * the two must not be confused. It is not the database's user_version, which also counts changes of tables only.
 */
const RECORD_SCHEMA = 1;

export function keyBinding(key: KeyVersion): Buffer {
  return encodeFields('broker/key', [
    RECORD_SCHEMA,
    key.credential,
    key.sourceFingerprint,
    key.version,
    key.digest,
    key.issuedAtMs,
    key.confirmedAtMs,
    key.expiresAtMs,
    key.expirySource,
    key.ttlMs,
    key.isJwt,
    ...(key.lease === undefined ? [undefined] : leaseFields(key.lease)),
  ]);
}

export function loginBinding(provider: string, fingerprint: string, login: Login): Buffer {
  return encodeFields('broker/login', [
    RECORD_SCHEMA,
    provider,
    fingerprint,
    login.id,
    login.issuedAtMs,
    login.expiresAtMs,
    login.renewable,
    login.maxExpiresAtMs,
    login.ours,
  ]);
}

export function digestKeyBinding(): Buffer {
  return encodeFields('broker/digest-key', [RECORD_SCHEMA]);
}

export function leaseEntryFields(entry: LeaseEntry): readonly Field[] {
  return [
    RECORD_SCHEMA,
    entry.provider,
    entry.credential,
    entry.state,
    entry.replacedAtMs,
    ...leaseFields(entry.lease),
  ];
}

export function timelineFields(timeline: Timeline): readonly Field[] {
  return [RECORD_SCHEMA, timeline.bootId, timeline.offsetMs, timeline.lastSeenMs];
}

function leaseFields(lease: Lease): readonly Field[] {
  return [lease.id, lease.issuedAtMs, lease.expiresAtMs, lease.renewable, lease.maxExpiresAtMs, lease.loginId];
}
