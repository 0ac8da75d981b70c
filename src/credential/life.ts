import type { KeyVersion } from './key.ts';

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

/** A key with the login that its lease hangs on, if there is one: together they say how long it lives. */
export interface LivingKey {
  readonly key: KeyVersion;
  readonly login: Login | undefined;
}

/** When the key dies unless somebody renews it: the earliest of value, lease and login. undefined: unknown. */
export function certainEnd({ key, login }: LivingKey): number | undefined {
  return earliest([key.expiresAtMs, key.lease?.expiresAtMs, login?.expiresAtMs]);
}

/** When the key dies although every renewal succeeds. undefined: never, as far as anybody knows. */
export function possibleEnd({ key, login }: LivingKey): number | undefined {
  return earliest([key.expiresAtMs, renewableEnd(key.lease), renewableEnd(login)]);
}

/** True where something renewable keeps the key alive, so that its certain end can be moved. */
export function canBeRenewed({ key, login }: LivingKey): boolean {
  return key.lease?.renewable === true || (key.lease !== undefined && login?.renewable === true);
}

/** Neither expiry nor lease: trusted by ttl. */
export function hasUnknownLife(living: LivingKey): boolean {
  return certainEnd(living) === undefined && possibleEnd(living) === undefined;
}

/** Start of the life that `possibleEnd` ends: a lease lives from its issue, anything else from its last confirmation. */
export function lifeStart({ key }: LivingKey): number {
  return key.lease?.issuedAtMs ?? key.confirmedAtMs;
}

function renewableEnd(grant: Lease | Login | undefined): number | undefined {
  return grant?.renewable ? grant.maxExpiresAtMs : grant?.expiresAtMs;
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
