import type { SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import { SingleFlight, type TimeLimit, within } from '../../platform/waiting.ts';
import type { ProviderHost } from '../provider.ts';
import { lastMomentOf, type TokenApi } from './token-api.ts';
import type { HeldLogin, TokenStore } from './token-store.ts';

/** A token that ends within this is not worth starting a request with. */
const LAST_MOMENTS_MS = 2_000;

/**
 * Which login is used for new reads. One login at a time is made: reads that find none share the
 * one under way, and only the last to leave aborts it.
 */
export class CurrentLogin {
  readonly #host: ProviderHost;
  readonly #store: TokenStore;
  readonly #tokens: TokenApi;
  readonly #limit: TimeLimit;
  readonly #flights = new SingleFlight<HeldLogin>();
  #current: string | undefined;
  /** Grows whenever logins are forgotten: what was begun before does not become current after. */
  #epoch = 0;

  /** `limit`: of a login or renewal that callers share, who come and go. */
  constructor(host: ProviderHost, store: TokenStore, tokens: TokenApi, limit: TimeLimit) {
    this.#host = host;
    this.#store = store;
    this.#tokens = tokens;
    this.#limit = limit;
  }

  /** The login for a new read that should live `wantedLifeMs`, renewed or replaced if that gives more life. */
  async forRead(wantedLifeMs: number, signal: AbortSignal): Promise<HeldLogin> {
    const now = this.#host.clock.now();
    if (this.#current === undefined) this.#startFromStore(now);
    const held = this.#live(now);
    if (held === undefined) return await this.#acquire(signal);
    const renewed = isHalfOver(held, now) ? await this.#renewOrKeep(held, signal) : held;
    if (renewed === undefined) return await this.#acquire(signal);
    if (this.#tokens.mode !== 'unattended' || !wantsSuccessor(renewed, now, wantedLifeMs)) return renewed;
    return await this.#succeed(renewed, signal);
  }

  /** Vault no longer knows this login: another one, unless another read has taken one meanwhile. */
  async replace(lost: HeldLogin, signal: AbortSignal): Promise<HeldLogin> {
    this.lost(lost.login.id);
    return this.#live(this.#host.clock.now()) ?? (await this.#acquire(signal));
  }

  /** @throws ProviderError gone if Vault no longer knows it, which is then forgotten. */
  async renew(held: HeldLogin, signal: AbortSignal): Promise<HeldLogin> {
    const { id } = held.login;
    try {
      return await this.#share(
        `renew ${id}`,
        signal,
        (shared) => this.#tokens.renew(held, shared),
        (renewed) => (this.#store.get(id) === undefined ? renewed : this.#store.put(renewed)),
      );
    } catch (error) {
      if (error instanceof ProviderError && error.kind === 'gone') this.lost(id);
      throw error;
    }
  }

  /** A person has logged in: the next read uses this login. Leases stay with the login that they depend on. */
  async adopt(token: SecretBytes, signal: AbortSignal): Promise<HeldLogin> {
    this.#startFromStore(this.#host.clock.now());
    const held = this.#store.put(await this.#tokens.adopt(token, signal));
    this.#host.logins.attempts.accepted();
    const former = this.#current;
    this.#epoch += 1;
    this.#current = held.login.id;
    if (former !== undefined && former !== held.login.id) this.#store.dropUnlessBearing(former);
    return held;
  }

  lost(id: string): void {
    this.#store.drop(id);
    if (this.#current === id) this.#current = undefined;
  }

  isCurrent(id: string): boolean {
    return this.#current === id;
  }

  /** The next read logs in again, unless only a person can. Logins that leases may depend on stay known. */
  forget(): void {
    this.#host.logins.attempts.allow();
    if (this.#tokens.mode === 'interactive') return;
    this.#epoch += 1;
    if (this.#current !== undefined) this.#store.dropUnlessBearing(this.#current);
    this.#current = undefined;
  }

  #startFromStore(now: number): void {
    if (this.#epoch > 0 || this.#current !== undefined) return;
    this.#epoch = 1;
    this.#store.load(now);
    if (this.#tokens.mode !== 'handed-in') this.#current = this.#store.longestLived()?.login.id;
  }

  #live(now: number): HeldLogin | undefined {
    const held = this.#current === undefined ? undefined : this.#store.get(this.#current);
    if (held === undefined) return undefined;
    if (lives(held, now)) return held;
    this.#current = undefined;
    return undefined;
  }

  #acquire(signal: AbortSignal): Promise<HeldLogin> {
    const epoch = this.#epoch;
    return this.#share(
      `log in ${epoch}`,
      signal,
      (shared) => this.#logInOrKeep(shared),
      (held) => {
        if (epoch === this.#epoch) this.#current = held.login.id;
        return this.#store.put(held);
      },
    );
  }

  #share(
    key: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<HeldLogin>,
    keep: (held: HeldLogin) => HeldLogin,
  ): Promise<HeldLogin> {
    const begin = async (shared: AbortSignal) => {
      try {
        return keep(await within([shared], this.#limit, work));
      } catch (error) {
        throw asLoginFailure(error);
      }
    };
    return this.#flights.join(key, begin, signal);
  }

  /** A changed input is no reason to lose the login that a person made: until they make another, it is the best there is. */
  async #logInOrKeep(signal: AbortSignal): Promise<HeldLogin> {
    try {
      return await this.#logIn(signal);
    } catch (error) {
      const kept = this.#tokens.mode === 'interactive' ? this.#store.longestLived() : undefined;
      if (kept === undefined || signal.aborted || !lives(kept, this.#host.clock.now())) throw error;
      return kept;
    }
  }

  /** A login that was refused is not tried again with the same inputs, whoever needs it. */
  async #logIn(signal: AbortSignal): Promise<HeldLogin> {
    // A token that was handed in is looked up, which locks nothing, and another one may have taken its place.
    if (this.#tokens.mode === 'handed-in') return await this.#tokens.acquire(signal);
    const { attempts } = this.#host.logins;
    attempts.check();
    try {
      const held = await this.#tokens.acquire(signal);
      attempts.accepted();
      return held;
    } catch (error) {
      if (error instanceof ProviderError && error.isRefusedLogin) attempts.refused(error);
      throw error;
    }
  }

  /** Undefined if the login turned out to be gone. Any other failure leaves it as it is: it still lives. */
  async #renewOrKeep(held: HeldLogin, signal: AbortSignal): Promise<HeldLogin | undefined> {
    try {
      const renewed = await this.renew(held, signal);
      return this.#store.get(held.login.id) === undefined ? undefined : renewed;
    } catch (error) {
      if (signal.aborted || !(error instanceof ProviderError)) throw error;
      return error.kind === 'gone' ? undefined : held;
    }
  }

  /** A new login before the old one's last moment; the old one stays for the leases that depend on it. */
  async #succeed(old: HeldLogin, signal: AbortSignal): Promise<HeldLogin> {
    try {
      const held = await this.#acquire(signal);
      if (held.login.id !== old.login.id) this.#store.dropUnlessBearing(old.login.id);
      return held;
    } catch (error) {
      if (signal.aborted || !(error instanceof ProviderError)) throw error;
      this.#host.log.warn(
        { code: error.code, reason: error.message },
        'no new login yet; the present one is still used',
      );
      return old;
    }
  }
}

/** Whatever a login fails with stands in the way of every read: a file that is missing, a path, a quota. */
function asLoginFailure(error: unknown): unknown {
  return error instanceof ProviderError && error.concerns === 'secret' ? error.concerning('login') : error;
}

function lives({ login: { expiresAtMs } }: HeldLogin, now: number): boolean {
  return expiresAtMs === undefined || expiresAtMs - now > LAST_MOMENTS_MS;
}

function isHalfOver({ login }: HeldLogin, now: number): boolean {
  const { renewable, expiresAtMs, grantedMs, maxExpiresAtMs } = login;
  if (!renewable || expiresAtMs === undefined) return false;
  const atItsEnd = maxExpiresAtMs !== undefined && expiresAtMs >= maxExpiresAtMs;
  // A renewal tells what an older version of the program did not keep.
  return !atItsEnd && (grantedMs === undefined || expiresAtMs - now < grantedMs / 2);
}

/** Only past its half: a login that lives too short from the start is not replaced by an equal one at every read. */
function wantsSuccessor({ login }: HeldLogin, now: number, wantedLifeMs: number): boolean {
  const end = lastMomentOf(login);
  if (end === undefined || end - now >= wantedLifeMs) return false;
  return now - login.issuedAtMs >= end - now;
}
