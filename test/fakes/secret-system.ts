import type { Login } from '../../src/credential/life.ts';
import { ProviderError } from '../../src/errors.ts';
import type { FakeClock } from './fake-clock.ts';

/** Where a value comes from. Durations in milliseconds. */
export type EngineSketch =
  | { readonly kind: 'static'; readonly ttlHintMs?: number }
  /** `lastsMs`: the life of each value; the one on record is replaced by its issuer when `renewedAt` of it has passed. */
  | { readonly kind: 'jwt' | 'expires-at'; readonly lastsMs: number; readonly renewedAt?: number }
  | { readonly kind: 'leased'; readonly lastsMs: number; readonly maxMs?: number; readonly renewable?: boolean };

export interface LeaseTruth {
  readonly id: string;
  readonly path: string;
  readonly value: string;
  readonly issuedAtMs: number;
  readonly maxExpiresAtMs: number;
  readonly loginId: string | undefined;
  expiresAtMs: number;
  revoked: boolean;
}

interface Place {
  readonly path: string;
  readonly engine: EngineSketch;
  version: number;
  value: string;
  former: string | undefined;
  issuedAtMs: number;
  expiresAtMs: number | undefined;
  /** No value of this place is accepted by the API: a policy that forbids the model, say. */
  forbidden: boolean;
}

export interface LoginPolicy {
  readonly lastsMs: number;
  readonly maxMs: number;
  readonly renewable: boolean;
}

/**
 * A secret system and the API behind it, as they truly are: which values exist, until when they live and which the
 * API accepts. Providers look at it through their own troubles; tests hold answers against it.
 */
export class SecretSystem {
  readonly leases = new Map<string, LeaseTruth>();
  readonly logins = new Map<string, { login: Login; revoked: boolean }>();
  /** Values that the API refuses from now on although they exist. */
  readonly revoked = new Set<string>();
  loginPolicy: LoginPolicy | undefined;
  readonly #clock: FakeClock;
  readonly #places = new Map<string, Place>();
  readonly #pathOf = new Map<string, string>();
  readonly #endOf = new Map<string, number>();
  #serial = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  add(path: string, engine: EngineSketch): void {
    const place: Place = {
      path,
      engine,
      version: 0,
      value: '',
      former: undefined,
      issuedAtMs: 0,
      expiresAtMs: undefined,
      forbidden: false,
    };
    this.#places.set(path, place);
    if (engine.kind !== 'leased') this.rotate(path);
  }

  place(path: string): Place | undefined {
    const place = this.#places.get(path);
    if (place !== undefined && isDueForRenewal(place, this.#clock.now())) this.rotate(path);
    return place;
  }

  /** A new value is stored; the former lives on until it is revoked or ends. */
  rotate(path: string): string {
    const place = this.#find(path);
    const { engine } = place;
    place.version += 1;
    if (place.value !== '') place.former = place.value;
    place.issuedAtMs = this.#clock.now();
    place.expiresAtMs =
      engine.kind === 'jwt' || engine.kind === 'expires-at' ? place.issuedAtMs + engine.lastsMs : undefined;
    place.value = this.#mint(path, place.expiresAtMs, engine.kind === 'jwt');
    return place.value;
  }

  /** Somebody stores the value from before the last rotation again. */
  putBack(path: string): void {
    const place = this.#find(path);
    if (place.former === undefined) return;
    [place.value, place.former] = [place.former, place.value];
    place.version += 1;
  }

  /** The value on record is refused from now on; nobody stores another one. */
  revokeCurrent(path: string): void {
    this.revoked.add(this.#find(path).value);
  }

  remove(path: string): void {
    this.#places.delete(path);
  }

  forbid(path: string, forbidden = true): void {
    this.#find(path).forbidden = forbidden;
  }

  logIn(): Login | undefined {
    const policy = this.loginPolicy;
    if (policy === undefined) return undefined;
    const now = this.#clock.now();
    this.#serial += 1;
    const login: Login = {
      id: `login-${this.#serial}`,
      issuedAtMs: now,
      expiresAtMs: now + policy.lastsMs,
      grantedMs: policy.lastsMs,
      renewable: policy.renewable,
      maxExpiresAtMs: now + policy.maxMs,
      ours: true,
    };
    this.logins.set(login.id, { login, revoked: false });
    return login;
  }

  liveLogin(loginId: string): Login | undefined {
    const entry = this.logins.get(loginId);
    if (entry === undefined || entry.revoked || (entry.login.expiresAtMs ?? 0) <= this.#clock.now()) return undefined;
    return entry.login;
  }

  renewLogin(loginId: string): Login {
    const login = this.liveLogin(loginId);
    const policy = this.loginPolicy;
    if (login === undefined || policy === undefined) throw new ProviderError('gone', 'this login is over');
    const expiresAtMs = Math.min(this.#clock.now() + policy.lastsMs, login.maxExpiresAtMs ?? Number.POSITIVE_INFINITY);
    const renewed = { ...login, expiresAtMs };
    this.logins.set(loginId, { login: renewed, revoked: false });
    return renewed;
  }

  issueLease(path: string, loginId: string | undefined): LeaseTruth {
    const { engine } = this.#find(path);
    if (engine.kind !== 'leased') throw new TypeError(`${path} issues no leases`);
    const now = this.#clock.now();
    const lease: LeaseTruth = {
      id: `${path}/${this.#serial + 1}`,
      path,
      value: this.#mint(path, undefined, false),
      issuedAtMs: now,
      maxExpiresAtMs: now + (engine.maxMs ?? engine.lastsMs),
      loginId,
      expiresAtMs: now + engine.lastsMs,
      revoked: false,
    };
    this.leases.set(lease.id, lease);
    return lease;
  }

  /** @throws ProviderError `gone`, as Vault's 404 or 400. */
  renewLease(id: string): LeaseTruth {
    const lease = this.leases.get(id);
    if (lease === undefined || !this.#isLeaseAlive(lease)) throw new ProviderError('gone', 'lease not found');
    const { engine } = this.#find(lease.path);
    if (engine.kind !== 'leased' || !engine.renewable) throw new ProviderError('gone', 'lease is not renewable');
    lease.expiresAtMs = Math.min(this.#clock.now() + engine.lastsMs, lease.maxExpiresAtMs);
    return lease;
  }

  revokeLease(id: string): void {
    const lease = this.leases.get(id);
    if (lease !== undefined) lease.revoked = true;
  }

  get liveLeases(): readonly LeaseTruth[] {
    return [...this.leases.values()].filter((lease) => this.#isLeaseAlive(lease));
  }

  /** What the value's own words say: is it over? Says nothing about revocation, which nobody can see from outside. */
  isExpired(value: string): boolean {
    const end = this.endOf(value);
    return end !== undefined && this.#clock.now() >= end;
  }

  /** When the value dies if nothing else happens; undefined: never. */
  endOf(value: string): number | undefined {
    const lease = this.#leaseOf(value);
    if (lease === undefined) return this.#endOf.get(value);
    const login = lease.loginId === undefined ? undefined : this.logins.get(lease.loginId)?.login;
    return Math.min(lease.expiresAtMs, login?.expiresAtMs ?? Number.POSITIVE_INFINITY);
  }

  /** What the API says to a request with this key. */
  accepts(value: string): boolean {
    const path = this.#pathOf.get(value);
    if (path === undefined || this.revoked.has(value) || this.isExpired(value)) return false;
    const lease = this.#leaseOf(value);
    if (lease !== undefined && !this.#isLeaseAlive(lease)) return false;
    return this.#places.get(path)?.forbidden !== true;
  }

  #leaseOf(value: string): LeaseTruth | undefined {
    const id = /^key:(.*)$/.exec(value)?.[1];
    return id === undefined ? undefined : this.leases.get(id);
  }

  #isLeaseAlive(lease: LeaseTruth): boolean {
    if (lease.revoked || lease.expiresAtMs <= this.#clock.now()) return false;
    return lease.loginId === undefined || this.liveLogin(lease.loginId) !== undefined;
  }

  #mint(path: string, expiresAtMs: number | undefined, isJwt: boolean): string {
    this.#serial += 1;
    const id = `${path}/${this.#serial}`;
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const value = isJwt ? `${part({ alg: 'none' })}.${part({ exp: (expiresAtMs ?? 0) / 1000, id })}.x` : `key:${id}`;
    this.#pathOf.set(value, path);
    if (expiresAtMs !== undefined) this.#endOf.set(value, expiresAtMs);
    return value;
  }

  #find(path: string): Place {
    const place = this.#places.get(path);
    if (place === undefined) throw new TypeError(`there is no ${path}`);
    return place;
  }
}

function isDueForRenewal({ engine, issuedAtMs }: Place, now: number): boolean {
  if (engine.kind !== 'jwt' && engine.kind !== 'expires-at') return false;
  return now - issuedAtMs >= engine.lastsMs * (engine.renewedAt ?? 0.5);
}
