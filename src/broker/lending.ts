import { VALUE } from '../cache/cache.ts';
import { judgeFreshness } from '../credential/freshness.ts';
import { wipeAll } from '../credential/secret.ts';
import { BrokerError, type FailureKind, ProviderError } from '../errors.ts';
import { waitUntil } from '../platform/waiting.ts';
import type { Call, LentKey } from '../providers/provider.ts';
import type { BrokerPorts } from './api.ts';
import type { CredentialSet, ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import type { Loans, ProviderGate } from './gate.ts';
import type { Refresher } from './refresher.ts';

/** A key that is lent is used at once: it has to outlive one login, not a client's cache. */
const ONE_LOGIN_MS = 30_000;
/** Less than the limit of most providers for one call: a borrower has time left to say whom it waited for. */
const LENDER_WAIT_MS = 20_000;

interface LendingDeps {
  readonly credentials: CredentialSet;
  readonly refresher: Refresher;
  readonly events: EventLog;
  /** What a login is made from has changed: its failures are forgiven. */
  readonly onChangedLogin: (gate: ProviderGate) => void;
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
  async open(borrower: string, name: string, { signal }: Call, refused: string | undefined): Promise<LentKey> {
    const credential = this.#deps.credentials.find(name);
    const known = this.#judge(credential);
    const isRefused = refused !== undefined && refused === credential.key?.digest;
    if (known !== 'fresh' || isRefused) await this.#refresh(credential, isRefused, signal);
    const { cache } = this.#ports;
    const secrets = cache.open(name);
    const { key } = credential;
    const value = secrets?.get(VALUE);
    if (secrets === undefined || key === undefined || value === undefined || this.#judge(credential) === 'unfit') {
      if (secrets !== undefined) wipeAll(secrets);
      throw new BrokerError('ERR_NO_FIT_KEY', 'there is no key fit to use', { remedy: `run: broker refresh ${name}` });
    }
    this.#deps.events.add('lent', name, { provider: borrower, fingerprint: key.digest.slice(0, 8) });
    return { secret: value, version: key.digest };
  }

  /** Providers that log in with keys of this one. */
  *borrowersOf(gate: ProviderGate): Iterable<ProviderGate> {
    const { credentials } = this.#deps;
    for (const other of credentials.gates()) {
      if (other.borrows.some((name) => credentials.get(name)?.gate === gate)) yield other;
    }
  }

  /** Whether its provider must not be asked for it just now. A change of what that logs in with is noticed. */
  isHeldOff(name: string): boolean {
    const credential = this.#deps.credentials.get(name);
    if (credential === undefined) return false;
    if (credential.gate.noticeChangedLogin()) this.#deps.onChangedLogin(credential.gate);
    return credential.holdOff(this.#ports.clock.now(), 'ask') !== undefined;
  }

  versionOf(name: string): string | undefined {
    return this.#deps.credentials.get(name)?.living?.key.digest;
  }

  kindOf(name: string): FailureKind | undefined {
    return this.#deps.credentials.get(name)?.lastFailure?.record.kind;
  }

  /** Resolves, too, where the key in hand still does and the provider cannot be asked. */
  async #refresh(credential: ManagedCredential, isRefused: boolean, signal: AbortSignal): Promise<void> {
    const { clock } = this.#ports;
    const done = this.#deps.refresher.refresh(credential, isRefused ? 'rejection' : 'ask');
    try {
      const outcome = await waitUntil(clock, done, clock.now() + LENDER_WAIT_MS, signal);
      if (!outcome.done && this.#judge(credential) === 'unfit') throw notYet(credential);
    } catch (fault) {
      signal.throwIfAborted();
      if (this.#judge(credential) === 'unfit') throw fault;
    }
  }

  #judge(credential: ManagedCredential): 'fresh' | 'stale' | 'unfit' {
    const { living, spec } = credential;
    if (living === undefined) return 'unfit';
    const policy = { turnMarginMs: ONE_LOGIN_MS, maxStaleMs: spec.config.maxStaleMs };
    const freshness = judgeFreshness(living, this.#ports.clock.now(), 0, policy);
    return freshness.state === 'fresh' && freshness.refreshBehind ? 'stale' : freshness.state;
  }
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
