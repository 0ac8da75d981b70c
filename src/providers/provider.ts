import type { Lease, Login } from '../credential/lease.ts';
import type { SecretBytes } from '../credential/secret-bytes.ts';

/**
 * The port that every secret system is plugged in through. An implementation is one folder; it does no retries, no
 * caching of secrets and no scheduling of its own: the broker decides when to call, the provider only answers or
 * throws a ProviderError (src/errors.ts) whose kind says what the broker may do next. Every call honours
 * `call.signal` promptly, whatever the library underneath does, and rejects with the signal's reason.
 */
export interface Provider {
  /** Reads or issues the secret that `request.source` names. */
  issue(request: IssueRequest, call: Call): Promise<IssuedSecret>;

  /** Extends a lease; absent where there are no leases. Throws kind `gone` if the lease no longer exists. */
  renew?(lease: Lease, call: Call): Promise<RenewedLease>;

  /** Ends a lease; absent where there are no leases. Resolves if it is gone already. */
  revoke?(lease: Lease, call: Call): Promise<void>;

  /** The login that `loginId` names as it stands; undefined if the provider no longer knows it. */
  login?(loginId: string): Login | undefined;

  /** Extends a login that leases hang on. Throws kind `gone` if it no longer exists. */
  renewLogin?(loginId: string, call: Call): Promise<Login>;

  /**
   * A person has logged in (`broker login`): their token is used from now on and kept like a login of the provider's
   * own. Copies the token; the caller wipes it. Absent where nobody can. Throws a BrokerError ERR_USAGE if this
   * configuration logs in by itself, kind `login-expired` if the token is not (or no longer) good.
   */
  takeLogin?(token: SecretBytes, call: Call): Promise<Login>;

  /**
   * No lease hangs on this login any more: forget it and, if the provider's own login made it, revoke it. A login
   * that is still in use for new reads is left alone.
   */
  retireLogin?(loginId: string, call: Call): Promise<void>;

  /**
   * Files and variables whose change may mend a failed login (token file, secret-id file, CA file, ~/.aws/config …).
   * Compared by stat and value by the broker on an ask that would fail.
   */
  loginInputs(): readonly string[];

  /** A login input changed: forget memoized logins, SDK clients and cached files, so that the next call starts anew. */
  forgetLogin(): void;

  /** Waits for nothing; aborts what is under way. */
  close(): void;
}

export interface Call {
  readonly signal: AbortSignal;
}

export interface IssueRequest {
  /** The credential's own options, already parsed by the definition's credential schema. */
  readonly source: unknown;
  /** The key should live at least this long; a provider with logins takes a new login if the present one would not. */
  readonly wantedLifeMs: number;
}

export interface IssuedSecret {
  /** What was read. A structured secret is walked with `field`; a text secret is the key itself. */
  readonly content: SecretContent;
  readonly version: string | undefined;
  readonly lease: IssuedLease | undefined;
  /** A hint (KV v1's lease_duration without a lease_id): at most this long between two reads. No expiry. */
  readonly ttlHintMs: number | undefined;
  /** A moment by the provider's own clock at which the secret dies for certain (KV v2's deletion_time). */
  readonly expiresAtServerMs: number | undefined;
  /** The provider's clock when it answered (Date header), for correcting absolute times. */
  readonly serverTimeMs: number | undefined;
}

/** `text` is wiped by the broker after use; `json` holds strings that cannot be wiped and is dropped at once. */
export type SecretContent =
  | { readonly kind: 'text'; readonly text: SecretBytes }
  | { readonly kind: 'json'; readonly json: Readonly<Record<string, unknown>> };

export interface IssuedLease {
  readonly id: string;
  readonly durationMs: number;
  readonly renewable: boolean;
  /** From issue to the last possible expiry; undefined where the provider does not say. */
  readonly maxDurationMs: number | undefined;
  readonly loginId: string | undefined;
}

export interface RenewedLease {
  readonly durationMs: number;
  readonly renewable: boolean;
  readonly serverTimeMs: number | undefined;
}
