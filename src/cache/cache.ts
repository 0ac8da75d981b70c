import type { KeyVersion } from '../credential/key.ts';
import type { Lease, Login } from '../credential/life.ts';
import type { ClientHistory } from '../credential/rejection.ts';
import type { SecretBytes } from '../credential/secret.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { KeyHome } from '../protocol/reports.ts';

/** A key's values by field name; the single value of a plain credential is under `VALUE`. */
export type SecretFields = ReadonlyMap<string, SecretBytes>;
export const VALUE = 'value';

/**
 * Sealed keys, login tokens, rejected marks and the lease journal: everything that outlives the daemon. Synchronous,
 * because SQLite is. Every write is one transaction. A cache that cannot reach its key-encryption key keeps working
 * from memory and says so in `health()`.
 */
export interface CredentialCache {
  /** Every key on record, for the start of the daemon. */
  keys(): readonly KeyVersion[];
  /** Seals and stores, replacing the credential's former key. Copies the secrets; the caller still owns and wipes them. */
  put(key: KeyVersion, secrets: SecretFields): void;
  /** New metadata for the stored key with the same digest (confirmed again, lease renewed): re-sealed, since metadata is authenticated. */
  touch(key: KeyVersion): void;
  /** Unseals for one answer; the caller wipes. Undefined if there is none or it does not authenticate. */
  open(credential: string): SecretFields | undefined;
  remove(credential: string): void;

  /** Keyed digest of a value: stable across restarts, useless to anybody without the key-encryption key. */
  digest(secrets: SecretFields): string;

  /** A value that is not to be served while the provider has another. */
  markRejected(credential: string, digest: string, atMs: number): void;
  rejectedMarks(credential: string): readonly string[];
  /** @param digest undefined: all of them. */
  clearRejected(credential: string, digest?: string): void;
  pruneRejected(beforeMs: number): void;

  /** What is remembered of the clients, so that a restart of the daemon ends no chain of early asks. */
  saveClients(clients: readonly ClientRecord[]): void;
  clients(): readonly ClientRecord[];
  removeClients(ids: readonly string[]): void;

  saveArmedCheck(armed: ArmedCheck): void;
  armedCheck(credential: string): ArmedCheck | undefined;

  /** Journals a lease before anybody is given its key; `state` replaced: to be revoked. */
  journalLease(entry: LeaseEntry): void;
  forgetLease(provider: string, leaseId: string): void;
  leases(): readonly LeaseEntry[];

  saveLogin(provider: string, fingerprint: string, login: Login, token: SecretBytes): void;
  removeLogin(provider: string, loginId: string): void;
  logins(provider: string, fingerprint: string): readonly { login: Login; token: SecretBytes }[];

  /** When logins with this account were refused lately; an empty list forgets them. */
  refusedLogins(account: string): readonly number[];
  saveRefusedLogins(account: string, atMs: readonly number[]): void;

  appendEvents(events: readonly StoredEvent[]): void;
  /** Newest last; `afterId` for following. */
  events(query: {
    readonly afterId?: number;
    readonly limit: number;
  }): readonly (StoredEvent & { readonly id: number })[];

  /** Where the steady clock stood when the last daemon saved it; see Timeline. */
  timeline(): Timeline | undefined;
  saveTimeline(timeline: Timeline): void;

  health(): CacheHealth;
  close(): void;
}

/** A check that has accepted a served key and refused a made-up one. */
export interface ArmedCheck {
  readonly credential: string;
  readonly fingerprint: string;
}

export interface ClientRecord {
  /** Of the boot and the pid namespace in which the pid means this process. */
  readonly space: string;
  readonly id: string;
  readonly pid: number;
  readonly startTime: string;
  /** Those of its credentials and formats, by the name under which the broker keeps them. */
  readonly histories: Readonly<Record<string, ClientHistory>>;
}

export interface LeaseEntry {
  readonly provider: string;
  readonly credential: string;
  readonly lease: Lease;
  readonly state: 'live' | 'replaced';
  readonly replacedAtMs: number | undefined;
  /** A renewal was sent and not answered: it may live longer than `lease` says. Absent: no. */
  readonly mayLiveOn?: boolean;
}

/** What happened, for `broker events`; `detail` never holds a key, a token or a password. */
export interface StoredEvent {
  readonly atMs: number;
  readonly kind: string;
  readonly credential: string | undefined;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export interface CacheHealth {
  readonly persistent: boolean;
  /** Why nothing is stored, or (while persistent) that a damaged database was set aside; undefined when all is well. */
  readonly problem: string | undefined;
  readonly remedy: string | undefined;
  /** For people. */
  readonly keyEncryptionKeyHome: string;
  /** Undefined while the key cannot be reached. */
  readonly keyHome: KeyHome | undefined;
}
