import type { Lease } from './lease.ts';

/** How the broker knows when a key dies; `unknown` for static secrets, which have a ttl instead. */
export type ExpirySource = 'lease' | 'jwt' | 'field' | 'provider' | 'unknown';

/**
 * Everything the broker knows about one fetched key but the key itself, so that policy can judge it and status can
 * show it. All times are milliseconds on the broker's steady clock.
 */
export interface KeyVersion {
  readonly credential: string;
  /** Identifies the provider configuration and secret it was read from; a key whose source changed is dropped. */
  readonly sourceFingerprint: string;
  /** The provider's own word for it (KV v2 version number, AWS VersionId), else undefined. */
  readonly version: string | undefined;
  /** Keyed digest of the value: tells two values apart without holding either. */
  readonly digest: string;
  /** Start of the request that fetched it. */
  readonly issuedAtMs: number;
  /** Start of the last request in which the provider confirmed that this is the key. */
  readonly confirmedAtMs: number;
  /** When the value itself dies (JWT, named field, provider's word), whatever becomes of its lease; undefined: unknown. */
  readonly expiresAtMs: number | undefined;
  readonly expirySource: Exclude<ExpirySource, 'lease'>;
  /** Where neither an expiry nor a lease is known: trusted this long after `confirmedAtMs`. */
  readonly ttlMs: number;
  readonly lease: Lease | undefined;
  readonly isJwt: boolean;
}
