import type { KeyVersion } from '../../src/credential/key.ts';
import type { KeyAndLogin, Lease, Login } from '../../src/credential/life.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
/** When the keys of policy tests were fetched. */
export const START = Date.UTC(2030, 0, 1);

export interface LifeSketch {
  /** Of the value itself, after START. */
  readonly expiresInMs?: number;
  readonly ttlMs?: number;
  readonly confirmedAtMs?: number;
  readonly isJwt?: boolean;
  readonly lease?: Partial<Lease> & { readonly lastsMs: number; readonly maxMs?: number };
  readonly login?: Partial<Login> & { readonly lastsMs?: number; readonly maxMs?: number };
}

/** A key as policy sees it, fetched at START. */
export function living(sketch: LifeSketch = {}): KeyAndLogin {
  return { key: keyOf(sketch), login: sketch.login && loginOf(sketch.login) };
}

function keyOf({
  expiresInMs,
  ttlMs = 15 * MINUTE,
  confirmedAtMs = START,
  isJwt = false,
  lease,
}: LifeSketch): KeyVersion {
  return {
    credential: 'anthropic',
    sourceFingerprint: 'source',
    version: '1',
    digest: 'digest-1',
    issuedAtMs: START,
    confirmedAtMs,
    expiresAtMs: expiresInMs === undefined ? undefined : START + expiresInMs,
    expirySource: expiresInMs === undefined ? 'unknown' : 'field',
    ttlMs,
    lease: lease && leaseOf(lease),
    isJwt,
  };
}

function leaseOf({ lastsMs, maxMs, ...rest }: NonNullable<LifeSketch['lease']>): Lease {
  return {
    id: 'lease-1',
    issuedAtMs: START,
    expiresAtMs: START + lastsMs,
    renewable: false,
    maxExpiresAtMs: maxMs === undefined ? undefined : START + maxMs,
    loginId: undefined,
    ...rest,
  };
}

function loginOf({ lastsMs, maxMs, ...rest }: NonNullable<LifeSketch['login']>): Login {
  return {
    id: 'login-1',
    issuedAtMs: START,
    expiresAtMs: lastsMs === undefined ? undefined : START + lastsMs,
    grantedMs: lastsMs,
    renewable: false,
    maxExpiresAtMs: maxMs === undefined ? undefined : START + maxMs,
    ours: true,
    ...rest,
  };
}
