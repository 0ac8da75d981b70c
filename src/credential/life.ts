import type { KeyVersion } from './key-version.ts';
import type { Lease, Login } from './lease.ts';

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
