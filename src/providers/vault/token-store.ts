import type { Login } from '../../credential/life.ts';
import type { SecretBytes } from '../../credential/secret.ts';
import type { LoginStore } from '../provider.ts';

/** A login with its token, as the provider holds it. */
export interface HeldLogin {
  readonly login: Login;
  readonly token: SecretBytes;
  /** When this process got it; undefined for one that was stored. */
  readonly acquiredAtMs: number | undefined;
  /** For messages: where a token that was handed in came from. */
  readonly source: string | undefined;
}

/** Every login that is known, in memory and, as far as it has to outlive a restart, in the store. */
export class TokenStore {
  readonly #store: LoginStore;
  readonly #held = new Map<string, HeldLogin>();
  readonly #bearing = new Set<string>();
  #loaded = false;

  constructor(store: LoginStore) {
    this.#store = store;
  }

  get(id: string): HeldLogin | undefined {
    return this.#held.get(id);
  }

  /** Takes over the stored logins that still live; does so once. */
  load(now: number): void {
    if (this.#loaded) return;
    this.#loaded = true;
    for (const { login, token } of this.#store.load()) {
      if (this.#held.has(login.id)) token.wipe();
      else this.#held.set(login.id, { login, token, acquiredAtMs: undefined, source: undefined });
      this.#bearing.add(login.id);
    }
    this.dropExpired(now);
  }

  /** A lease depends on it: from now on only the broker decides when it is dropped. */
  bearsLease(id: string): void {
    if (this.#bearing.has(id)) return;
    this.#bearing.add(id);
    const held = this.#held.get(id);
    if (held !== undefined) this.#save(held);
  }

  /** Drops it unless leases may depend on it, as they may on any that an earlier process stored. */
  dropUnlessBearing(id: string): void {
    if (!this.#bearing.has(id)) this.drop(id);
  }

  /** The stored login of ours that lives longest. */
  longestLived(): HeldLogin | undefined {
    const ours = [...this.#held.values()].filter(({ login }) => login.ours);
    const end = ({ login }: HeldLogin) => login.expiresAtMs ?? Number.POSITIVE_INFINITY;
    return ours.sort((a, b) => end(b) - end(a))[0];
  }

  /** A login with this very token. */
  withToken(token: string): HeldLogin | undefined {
    const bytes = Buffer.from(token);
    return [...this.#held.values()].find((held) => held.token.bytes.equals(bytes));
  }

  put(held: HeldLogin): HeldLogin {
    const former = this.#held.get(held.login.id);
    if (former !== undefined && former.token !== held.token) former.token.wipe();
    this.#held.set(held.login.id, held);
    this.#save(held);
    return held;
  }

  drop(id: string): void {
    this.#held.get(id)?.token.wipe();
    this.#held.delete(id);
    this.#bearing.delete(id);
    this.#store.remove(id);
  }

  dropExpired(now: number): void {
    for (const { login } of this.#held.values()) {
      if (login.expiresAtMs !== undefined && login.expiresAtMs <= now) this.drop(login.id);
    }
  }

  /** Memory only: the store outlives the provider. */
  wipe(): void {
    for (const { token } of this.#held.values()) token.wipe();
    this.#held.clear();
  }

  /** A token that was handed in is not ours to keep, but the leases that depend on it have to be renewed after a restart. */
  #save({ login, token }: HeldLogin): void {
    if (login.ours || this.#bearing.has(login.id)) this.#store.save(login, token);
  }
}
