/** A lifetime that a provider granted. All times are milliseconds on the broker's steady clock. */
export interface Lease {
  /** The provider's own id, as renewal and revocation want it. Not a secret by itself. */
  readonly id: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly renewable: boolean;
  /** No renewal takes it beyond this; undefined where the provider has not said. */
  readonly maxExpiresAtMs: number | undefined;
  /** The login this lease dies with; undefined where leases outlive logins. */
  readonly loginId: string | undefined;
}

/** A provider's login session (a Vault token, say): leases hang on it and die with it. */
export interface Login {
  readonly id: string;
  readonly issuedAtMs: number;
  /** undefined: does not expire. */
  readonly expiresAtMs: number | undefined;
  readonly renewable: boolean;
  readonly maxExpiresAtMs: number | undefined;
  /** True only if the broker itself logged in for it: only such a login may ever be revoked by the broker. */
  readonly ours: boolean;
}
