import { nextLoginAt, type RefusedLogins, withRefusedLogin } from '../credential/back-off.ts';
import { ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';

/** Where refused logins are kept over a restart, by account: two providers with one account count together. */
export interface RefusalStore {
  /** Of whom a message speaks. */
  readonly provider: string;
  load(): RefusedLogins;
  save(refused: RefusedLogins): void;
}

/**
 * Stands before every login that a provider makes unattended. One that was refused is not tried again until somebody says that
 * there is a reason to; and an account is given at most two wrong logins in 15 minutes, whatever the reason, since five of
 * them lock it for every machine that shares it.
 */
export class LoginAttempts {
  readonly #clock: Clock;
  /** undefined: nothing can be locked by wrong logins. */
  readonly #store: RefusalStore | undefined;
  #refusal: ProviderError | undefined;
  #isAllowed = true;

  constructor(clock: Clock, store?: RefusalStore) {
    this.#clock = clock;
    this.#store = store;
  }

  /** @throws ProviderError what the last login was refused with, if there must not be another now. */
  check(): void {
    const nowMs = this.#clock.now();
    const refused = this.#store?.load() ?? [];
    // The steady clock of a former run may have been ahead.
    const waitMs = nextLoginAt(refused.map((atMs) => Math.min(atMs, nowMs))) - nowMs;
    if (waitMs > 0) throw tooMany(this.#store?.provider ?? '', this.#refusal, waitMs);
    if (this.#refusal !== undefined && !this.#isAllowed) throw this.#refusal;
  }

  /** What a login was refused with. */
  refused(refusal: ProviderError): void {
    this.#refusal = refusal;
    this.#isAllowed = false;
    if (this.#store !== undefined) this.#store.save(withRefusedLogin(this.#store.load(), this.#clock.now()));
  }

  accepted(): void {
    this.#refusal = undefined;
    this.#isAllowed = true;
    if (this.#store !== undefined && this.#store.load().length > 0) this.#store.save([]);
  }

  /** There is a reason to try again: an input of the login has changed, or a person says so. */
  allow(): void {
    this.#isAllowed = true;
  }
}

function tooMany(provider: string, last: ProviderError | undefined, retryAfterMs: number): ProviderError {
  const said = last === undefined ? '' : `, the last time: ${last.message}`;
  const message = `two logins of provider "${provider}" were refused within 15 minutes${said}`;
  const fix = last?.remedy ?? `renew the secret of [providers.${provider}.auth]`;
  return new ProviderError(last?.kind ?? 'login-expired', message, {
    remedy: `more of them would lock the account for everybody; ${fix}`,
    concerns: 'login',
    isRefusedLogin: true,
    retryAfterMs,
  });
}
