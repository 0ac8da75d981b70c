/** A lifetime that a provider granted. All times are milliseconds on the broker's steady clock. */
export interface Lease {
  /** The provider's own id, as renewal and revocation want it. Not a secret. */
  readonly id: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly renewable: boolean;
  /** No renewal takes it beyond this; undefined where the provider has not said. */
  readonly maxExpiresAtMs: number | undefined;
  /** The login this lease dies with; undefined where leases outlive logins. */
  readonly loginId: string | undefined;
}

/** A provider's login session (a Vault token, say): its leases end with it. */
export interface Login {
  readonly id: string;
  readonly issuedAtMs: number;
  /** undefined: does not expire. */
  readonly expiresAtMs: number | undefined;
  /**
   * How long a whole grant of it lasts: a renewal that gives less has met the max TTL. Kept with the login, since after some
   * renewals its life so far says nothing about it. undefined: does not expire, or not known.
   */
  readonly grantedMs: number | undefined;
  readonly renewable: boolean;
  readonly maxExpiresAtMs: number | undefined;
  /** Each request with it uses one up. Absent: they are not limited, as far as is known. */
  readonly hasLimitedUses?: true;
  /** True only if the broker itself logged in for it: only such a login may ever be revoked by the broker. */
  readonly ours: boolean;
}

/** What is known of the life of one fetched key. All times are milliseconds on the broker's steady clock. */
export interface KeyLife {
  /** Start of the last request in which the provider confirmed that this is the key. */
  readonly confirmedAtMs: number;
  /** When the value itself expires (JWT, named field, provider's word), whatever becomes of its lease; undefined: unknown. */
  readonly expiresAtMs: number | undefined;
  /** Where neither an expiry nor a lease is known: trusted this long after `confirmedAtMs`. */
  readonly ttlMs: number;
  readonly lease: Lease | undefined;
}

/** A key with the login that its lease depends on, if there is one: together they say how long it lives. */
export interface KeyAndLogin<Key extends KeyLife = KeyLife> {
  readonly key: Key;
  readonly login: Login | undefined;
}

/** When the key expires unless it is renewed: the earliest of value, lease and login. undefined: unknown. */
export function certainEnd({ key, login }: KeyAndLogin): number | undefined {
  return earliest([key.expiresAtMs, key.lease?.expiresAtMs, login?.expiresAtMs]);
}

/** When the key expires even if every renewal succeeds. undefined: never, as far as is known. */
export function possibleEnd({ key, login }: KeyAndLogin): number | undefined {
  return earliest([key.expiresAtMs, renewableEnd(key.lease), renewableEnd(login)]);
}

/** True where something renewable keeps the key alive, so that its certain end can be moved. */
export function canBeRenewed({ key, login }: KeyAndLogin): boolean {
  return key.lease?.renewable === true || (key.lease !== undefined && login?.renewable === true);
}

/** Neither expiry nor lease: trusted by ttl. */
export function hasUnknownLife(living: KeyAndLogin): boolean {
  return certainEnd(living) === undefined && possibleEnd(living) === undefined;
}

/** Start of the life that `possibleEnd` ends: a lease lives from its issue, anything else from its last confirmation. */
export function lifeStart({ key }: KeyAndLogin): number {
  return key.lease?.issuedAtMs ?? key.confirmedAtMs;
}

function renewableEnd(grant: Lease | Login | undefined): number | undefined {
  return grant?.renewable ? grant.maxExpiresAtMs : grant?.expiresAtMs;
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const time of times) if (time !== undefined && !(first !== undefined && first <= time)) first = time;
  return first;
}
