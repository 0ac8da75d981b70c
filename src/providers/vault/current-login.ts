import type { SecretBytes } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import type { ProviderHost } from '../provider.ts';
import type { VaultClient } from './client.ts';
import { SharedWork } from './shared-work.ts';
import { lastMomentOf, type TokenApi } from './token-api.ts';
import type { HeldLogin, TokenStore } from './token-store.ts';

/** A token that ends within this is not worth starting a request with. */
const LAST_MOMENTS_MS = 2_000;

/**
 * Which login is used for new reads. One login at a time is taken, whoever needs it: callers that find none share the
 * one under way, and only the last to leave aborts it.
 */
export class CurrentLogin {
  readonly #host: ProviderHost;
  readonly #book: TokenStore;
  readonly #desk: TokenApi;
  #current: string | undefined;
  #acquiring: SharedWork<HeldLogin> | undefined;
  readonly #renewing = new Map<string, SharedWork<HeldLogin>>();
  /** Grows whenever logins are forgotten: what was begun before does not become current after. */
  #epoch = 0;

  constructor(host: ProviderHost, book: TokenStore, desk: TokenApi) {
    this.#host = host;
    this.#book = book;
    this.#desk = desk;
  }

  /** The login for a new read that should live `wantedLifeMs`, renewed or taken anew if that gives more life. */
  async forRead(wantedLifeMs: number, client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    const now = this.#host.clock.now();
    this.#startFromStore(now);
    const held = this.#live(now);
    if (held === undefined) return await this.#acquire(client, signal);
    const renewed = isHalfOver(held, now) ? await this.#renewOrKeep(held, client, signal) : held;
    if (renewed === undefined) return await this.#acquire(client, signal);
    if (this.#desk.mode !== 'unattended' || !wantsSuccessor(renewed, now, wantedLifeMs)) return renewed;
    return await this.#succeed(renewed, client, signal);
  }

  /** Vault no longer knows this login: another one, unless somebody has taken one meanwhile. */
  async replace(lost: HeldLogin, client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    this.lost(lost.login.id);
    return this.#live(this.#host.clock.now()) ?? (await this.#acquire(client, signal));
  }

  /** @throws ProviderError gone if Vault no longer knows it. */
  renew(held: HeldLogin, client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    const { id } = held.login;
    const renew = async (shared: AbortSignal) => {
      const renewed = await this.#desk.renew(held, client, shared);
      return this.#book.get(id) === undefined ? renewed : this.#book.put(renewed);
    };
    const over = (work: SharedWork<HeldLogin>) => {
      if (this.#renewing.get(id) === work) this.#renewing.delete(id);
    };
    const work = this.#renewing.get(id) ?? new SharedWork(renew, over);
    this.#renewing.set(id, work);
    return work.join(signal);
  }

  /** A person has logged in: the next read uses this login. Leases stay with the login that they hang on. */
  async adopt(token: SecretBytes, client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    this.#startFromStore(this.#host.clock.now());
    const held = this.#book.put(await this.#desk.adopt(token, client, signal));
    const former = this.#current;
    this.#epoch += 1;
    this.#acquiring = undefined;
    this.#current = held.login.id;
    if (former !== undefined && former !== held.login.id) this.#book.dropUnlessBearing(former);
    return held;
  }

  lost(id: string): void {
    this.#book.drop(id);
    if (this.#current === id) this.#current = undefined;
  }

  isCurrent(id: string): boolean {
    return this.#current === id;
  }

  /** The next read logs in anew, unless only a person can. Logins that leases may hang on stay known. */
  forget(): void {
    if (this.#desk.mode === 'interactive') return;
    this.#epoch += 1;
    this.#acquiring = undefined;
    if (this.#current !== undefined) this.#book.dropUnlessBearing(this.#current);
    this.#current = undefined;
  }

  #startFromStore(now: number): void {
    if (this.#epoch > 0 || this.#current !== undefined) return;
    this.#epoch = 1;
    this.#book.load(now);
    if (this.#desk.mode !== 'handed-in') this.#current = this.#book.longestLived()?.login.id;
  }

  #live(now: number): HeldLogin | undefined {
    const held = this.#current === undefined ? undefined : this.#book.get(this.#current);
    if (held === undefined) return undefined;
    if (lives(held, now)) return held;
    this.#current = undefined;
    return undefined;
  }

  #acquire(client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    const epoch = this.#epoch;
    const acquire = async (shared: AbortSignal) => {
      const held = await this.#logInOrKeep(client, shared);
      if (epoch === this.#epoch) this.#current = held.login.id;
      return this.#book.put(held);
    };
    this.#acquiring ??= new SharedWork(acquire, (work) => {
      if (this.#acquiring === work) this.#acquiring = undefined;
    });
    return this.#acquiring.join(signal);
  }

  /** A changed input is no reason to lose the login that a person made: until they make another, it is the best there is. */
  async #logInOrKeep(client: VaultClient, shared: AbortSignal): Promise<HeldLogin> {
    try {
      return await this.#desk.acquire(client, shared);
    } catch (error) {
      const kept = this.#desk.mode === 'interactive' ? this.#book.longestLived() : undefined;
      if (kept === undefined || shared.aborted || !lives(kept, this.#host.clock.now())) throw error;
      return kept;
    }
  }

  /** Undefined if the login turned out to be gone. Any other failure leaves it as it is: it still lives. */
  async #renewOrKeep(held: HeldLogin, client: VaultClient, signal: AbortSignal): Promise<HeldLogin | undefined> {
    try {
      const renewed = await this.renew(held, client, signal);
      return this.#book.get(held.login.id) === undefined ? undefined : renewed;
    } catch (error) {
      if (signal.aborted || !(error instanceof ProviderError)) throw error;
      if (error.kind !== 'gone') return held;
      this.lost(held.login.id);
      return undefined;
    }
  }

  /** A new login before the old one's last moment; the old one stays for the leases that hang on it. */
  async #succeed(old: HeldLogin, client: VaultClient, signal: AbortSignal): Promise<HeldLogin> {
    try {
      const held = await this.#acquire(client, signal);
      if (held.login.id !== old.login.id) this.#book.dropUnlessBearing(old.login.id);
      return held;
    } catch (error) {
      if (signal.aborted || !(error instanceof ProviderError)) throw error;
      this.#host.log.warn({ code: error.code, reason: error.message }, 'no new login yet; the present one is used on');
      return old;
    }
  }
}

function lives({ login: { expiresAtMs } }: HeldLogin, now: number): boolean {
  return expiresAtMs === undefined || expiresAtMs - now > LAST_MOMENTS_MS;
}

function isHalfOver({ login, grantedMs }: HeldLogin, now: number): boolean {
  const { renewable, expiresAtMs, maxExpiresAtMs } = login;
  if (!renewable || expiresAtMs === undefined || grantedMs === undefined) return false;
  const atItsEnd = maxExpiresAtMs !== undefined && expiresAtMs >= maxExpiresAtMs;
  return !atItsEnd && expiresAtMs - now < grantedMs / 2;
}

/** Only past its half: a login that lives too short from the start is not replaced by an equal one at every read. */
function wantsSuccessor({ login }: HeldLogin, now: number, wantedLifeMs: number): boolean {
  const end = lastMomentOf(login);
  if (end === undefined || end - now >= wantedLifeMs) return false;
  return now - login.issuedAtMs >= end - now;
}
