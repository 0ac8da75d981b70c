import { VALUE } from '../cache/cache.ts';
import { judgeFreshness } from '../credential/freshness.ts';
import { certainEnd } from '../credential/life.ts';
import { wipeAll } from '../credential/secret.ts';
import { BrokerError, type FailureKind, ProviderError } from '../errors.ts';
import { waitUntil } from '../platform/waiting.ts';
import { DEFAULT_CLIENT_INTERVAL_MS } from '../protocol/request.ts';
import type { Call, LentKey } from '../providers/provider.ts';
import type { BrokerPorts } from './api.ts';
import type { CredentialSet, ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import type { Loans } from './gate.ts';
import type { Logins } from './logins.ts';
import type { Refresher } from './refresher.ts';

/** How long whoever has the key goes on using it. */
interface Use {
  readonly intervalMs: number;
  readonly turnMarginMs: number;
}

/** A key that is lent is used at once: it has to outlive one login, not a client's cache. */
const ONE_LOGIN: Use = { intervalMs: 0, turnMarginMs: 30_000 };
/** Less than the limit of most providers for one call: a borrower has time left to say whom it waited for. */
const LENDER_WAIT_MS = 20_000;

interface LendingDeps {
  readonly credentials: CredentialSet;
  readonly refresher: Refresher;
  readonly events: EventLog;
  readonly logins: Logins;
}

/**
 * Keys of credentials for providers that log in with them. Providers know none of the others: one asks for a name, and gets a
 * key that is fit for one login or a failure that names both. The configuration has no circles (config/borrowing.ts).
 */
export class Lending {
  readonly #ports: BrokerPorts;
  readonly #deps: LendingDeps;

  constructor(ports: BrokerPorts, deps: LendingDeps) {
    this.#ports = ports;
    this.#deps = deps;
  }

  /** @param borrower the name of the provider. @param names what its configuration allows it to borrow. */
  to(borrower: string, names: readonly string[]): Loans {
    return new LoansOf(borrower, names, this);
  }

  /** @throws BrokerError why there is none; the signal's reason. */
  async open(borrower: string, name: string, call: Call, refused: string | undefined): Promise<LentKey> {
    const lent = await this.#find(this.#deps.credentials.find(name), ONE_LOGIN, call, refused);
    this.#deps.events.add('lent', name, { provider: borrower, fingerprint: lent.version.slice(0, 8) });
    return lent;
  }

  /**
   * A key for a file that programs read when they like (daemon/sinks.ts): it counts as asked for, and outlives a client's cache
   * where the provider grants that much.
   *
   * @param had the version that the file has. @param isSpent whoever read that may have used it up: the provider is asked for another.
   * @throws BrokerError why there is none, or that it never expires; the signal's reason.
   */
  async keep(name: string, call: Call, had: string | undefined, isSpent: boolean): Promise<KeptKey> {
    const { credentials, refresher, events } = this.#deps;
    const credential = credentials.find(name);
    const { idleAfterMs, turnMarginMs } = credentials.config.daemon;
    credential.noteAsk(this.#ports.clock.now(), DEFAULT_CLIENT_INTERVAL_MS, idleAfterMs);
    this.#deps.logins.noticeChange(credential.gate);
    const use = { intervalMs: DEFAULT_CLIENT_INTERVAL_MS, turnMarginMs };
    const kept = await this.#find(credential, use, call, isSpent ? had : undefined);
    refresher.schedule(credential);
    const expiresAtMs = credential.living === undefined ? undefined : certainEnd(credential.living);
    if (expiresAtMs === undefined) {
      kept.secret.wipe();
      throw neverExpires(name);
    }
    if (kept.version !== had) events.add('kept', name, { fingerprint: kept.version.slice(0, 8) });
    return { ...kept, expiresAtMs };
  }

  async #find(
    credential: ManagedCredential,
    use: Use,
    { signal }: Call,
    refused: string | undefined,
  ): Promise<LentKey> {
    const isRefused = refused !== undefined && refused === credential.key?.digest;
    if (this.#judge(credential, use) !== 'fresh' || isRefused) await this.#refresh(credential, use, isRefused, signal);
    const secrets = this.#ports.cache.open(credential.name);
    const { key } = credential;
    const value = secrets?.get(VALUE);
    if (secrets === undefined || key === undefined || value === undefined || this.#judge(credential, use) === 'unfit') {
      if (secrets !== undefined) wipeAll(secrets);
      const remedy = `run: broker refresh ${credential.name}`;
      throw new BrokerError('ERR_NO_FIT_KEY', 'there is no key fit to use', { remedy });
    }
    return { secret: value, version: key.digest };
  }

  /** Whether its provider must not be asked for it just now. A change of what that logs in with is noticed. */
  isHeldOff(name: string): boolean {
    const credential = this.#deps.credentials.get(name);
    if (credential === undefined) return false;
    this.#deps.logins.noticeChange(credential.gate);
    return credential.holdOff(this.#ports.clock.now(), 'ask') !== undefined;
  }

  versionOf(name: string): string | undefined {
    return this.#deps.credentials.get(name)?.living?.key.digest;
  }

  kindOf(name: string): FailureKind | undefined {
    return this.#deps.credentials.get(name)?.lastFailure?.record.kind;
  }

  /** Resolves, too, where the key in hand still does and the provider cannot be asked. */
  async #refresh(credential: ManagedCredential, use: Use, isRefused: boolean, signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const done = this.#deps.refresher.refresh(credential, isRefused ? 'rejection' : 'ask');
    try {
      const outcome = await waitUntil(clock, done, clock.now() + LENDER_WAIT_MS, signal);
      if (!outcome.done && this.#judge(credential, use) === 'unfit') throw notYet(credential);
    } catch (fault) {
      signal.throwIfAborted();
      if (this.#judge(credential, use) === 'unfit') throw fault;
    }
  }

  #judge(credential: ManagedCredential, { intervalMs, turnMarginMs }: Use): 'fresh' | 'stale' | 'unfit' {
    const { living, spec } = credential;
    if (living === undefined) return 'unfit';
    const policy = { turnMarginMs, maxStaleMs: spec.config.maxStaleMs };
    const freshness = judgeFreshness(living, this.#ports.clock.now(), intervalMs, policy);
    return freshness.state === 'fresh' && freshness.refreshBehind ? 'stale' : freshness.state;
  }
}

/** With the end of its life, on the steady clock. */
export interface KeptKey extends LentKey {
  readonly expiresAtMs: number;
}

function neverExpires(name: string): BrokerError {
  return new BrokerError('ERR_CONFIG', `the key of "${name}" has no expiry, and only what expires is kept in a file`, {
    remedy: `remove [credentials.${name}.sink]; or name the field that says when it ends: expires_field`,
  });
}

/** What one provider has borrowed, so that a change of it is followed. */
class LoansOf implements Loans {
  readonly #names: readonly string[];
  readonly #borrower: string;
  readonly #lending: Lending;
  /** Of each credential what was lent last; undefined: nothing could be. */
  readonly #last = new Map<string, string | undefined>();

  constructor(borrower: string, names: readonly string[], lending: Lending) {
    this.#borrower = borrower;
    this.#names = names;
    this.#lending = lending;
  }

  async lend(credential: string, call: Call, refused?: string): Promise<LentKey> {
    if (!this.#names.includes(credential)) throw new TypeError(`"${this.#borrower}" does not borrow "${credential}"`);
    try {
      const lent = await this.#lending.open(this.#borrower, credential, call, refused);
      this.#last.set(credential, lent.version);
      return lent;
    } catch (fault) {
      if (call.signal.aborted || !(fault instanceof BrokerError)) throw fault;
      this.#last.set(credential, undefined);
      throw notLent(this.#borrower, credential, fault, this.#lending.kindOf(credential));
    }
  }

  /** Whether a login that failed with what was borrowed is worth another try: there is another key, or one may be had again. */
  noticeChange(): boolean {
    let hasChanged = false;
    for (const [credential, last] of this.#last) {
      const isHeldOff = this.#lending.isHeldOff(credential);
      const version = this.#lending.versionOf(credential);
      if (last === undefined ? isHeldOff : version === undefined || version === last) continue;
      hasChanged = true;
      this.#last.delete(credential);
    }
    return hasChanged;
  }
}

function notYet({ name, gate }: ManagedCredential): BrokerError {
  return new BrokerError('ERR_REFRESH_PENDING', `provider "${gate.name}" has not answered yet`, {
    remedy: `the refresh of "${name}" goes on; try again in a few seconds, or see \`broker status\``,
  });
}

/** What the borrower makes of the lender's failure. A key that was taken away ends the login, not the keys that it has given. */
const AS_LOGIN: Readonly<Record<FailureKind, FailureKind>> = {
  transient: 'transient',
  'login-expired': 'login-expired',
  denied: 'login-expired',
  gone: 'login-expired',
  misconfigured: 'misconfigured',
};

/** The failure of another credential, of which this provider has to speak. */
function notLent(
  borrower: string,
  credential: string,
  fault: BrokerError,
  known: FailureKind | undefined,
): ProviderError {
  const kind = fault instanceof ProviderError ? fault.kind : (known ?? 'transient');
  const retryAfterMs = fault instanceof ProviderError ? fault.retryAfterMs : undefined;
  const message = `provider "${borrower}" logs in with the credential "${credential}", which cannot be had: ${fault.message}`;
  return new ProviderError(AS_LOGIN[kind], message, {
    concerns: 'login',
    ...(fault.remedy === undefined ? {} : { remedy: fault.remedy }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
