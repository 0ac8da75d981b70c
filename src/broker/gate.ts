import { type FailureRecord, isHeldOff, nextAttemptFor, recordFailure, type Urgency } from '../credential/back-off.ts';
import type { Login } from '../credential/life.ts';
import { BrokerError, type FailureConcern, ProviderError } from '../errors.ts';
import { hideShapes } from '../platform/text.ts';
import { type TimeLimit, within } from '../platform/waiting.ts';
import type { LoginAttempts } from '../providers/login-attempts.ts';
import { type Call, type CredentialLender, lendsNothing, type Provider } from '../providers/provider.ts';
import type { BrokerPorts } from './api.ts';

/** Not called, because the circuit is open; `failure` is what opened it. */
export class CircuitOpen extends Error {
  readonly failure: RememberedFailure;

  constructor(failure: RememberedFailure) {
    super('circuit open', { cause: failure.error });
    this.failure = failure;
  }
}

export interface RememberedFailure {
  readonly record: FailureRecord;
  readonly error: BrokerError;
}

interface SharedFailure extends RememberedFailure {
  readonly concerns: FailureConcern;
}

/** The failure that holds off longest such an asker; undefined: none does. */
export function longestHold(
  failures: readonly RememberedFailure[],
  nowMs: number,
  urgency: Urgency,
): RememberedFailure | undefined {
  const until = ({ record }: RememberedFailure) => nextAttemptFor(record, urgency);
  return failures
    .filter(({ record }) => isHeldOff(record, nowMs, urgency))
    .reduce<RememberedFailure | undefined>((a, b) => (a !== undefined && until(a) >= until(b) ? a : b), undefined);
}

/** A provider redacts what it was told; what it overlooked must not be kept, logged and shown to everybody. */
export function withoutShapes(failure: ProviderError): ProviderError {
  const { message, remedy } = failure;
  const [safe, safeRemedy] = [hideShapes(message), remedy === undefined ? undefined : hideShapes(remedy)];
  return safe === message && safeRemedy === remedy ? failure : failure.saying(safe, safeRemedy);
}

/** Under this age a failure is what just happened to the one who is told of it. */
const PRESENT_MS = 1_000;

/** What is known of a failure, for one who asks for `credential` now: how old it is, when the next try is, and how to try at once. */
export function recall({ record, error }: RememberedFailure, credential: string, nowMs: number): BrokerError {
  const ageMs = nowMs - record.lastAtMs;
  const waitMs = record.probeAtMs - nowMs;
  const isLimited = isRefusedLogin(error) && Number.isFinite(waitMs);
  if (ageMs < PRESENT_MS && !isLimited) return error;
  const message = ageMs < PRESENT_MS ? error.message : `${inWords(ageMs)} ago: ${error.message}`;
  const next = waitMs === Number.POSITIVE_INFINITY ? 'tried again when its login changes' : `next try ${soon(waitMs)}`;
  // Nobody may go past the limit of wrong logins.
  const again = isLimited ? next : `${next}, or now: broker refresh ${configuredName(credential)}`;
  return new BrokerError(error.code, message, {
    remedy: error.remedy === undefined ? again : `${again}; ${error.remedy}`,
    cause: error,
  });
}

/** The name in the configuration: a session's is that of its credential with the process behind it. */
export function configuredName(credential: string): string {
  return credential.split('@', 1)[0] ?? credential;
}

function isRefusedLogin(error: BrokerError): boolean {
  return error instanceof ProviderError && error.isRefusedLogin && error.concerns === 'login';
}

function soon(waitMs: number): string {
  return waitMs <= 0 ? 'with this ask' : `in ${inWords(waitMs)}`;
}

function inWords(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

/** A provider ends its calls within its own limit; one that does not is cut off so much later. */
const GRACE_MS = 1_000;

export interface ProviderSource {
  readonly name: string;
  readonly type: string;
  /** The credentials that it logs in with; absent: none. */
  readonly borrows?: readonly string[];
  /** Loads the implementation; called once, on first use. */
  readonly open: (credentials: CredentialLender) => Promise<Provider>;
  /** Logins on record from before the provider was opened. */
  readonly storedLogin: (loginId: string) => Login | undefined;
  /** What has become of its logins; shared with the provider, which makes them. */
  readonly attempts: LoginAttempts;
  /** What its credentials share works again after an outage. */
  readonly onRecovery: (outage: FailureRecord, concerns: FailureConcern) => void;
}

/** The keys of other credentials that a provider logs in with (lending.ts). */
export interface Loans extends CredentialLender {
  /** Whether a login that failed with what was lent is worth another try. */
  noticeChange(): boolean;
}

const NO_LOANS: Loans = { ...lendsNothing, noticeChange: () => false };

type GatePorts = Pick<BrokerPorts, 'clock' | 'random' | 'fingerprintFiles' | 'onCall'>;

/** What the credentials of a provider have in common, and so may fail for all of them at once. */
const SHARED = ['login', 'address'] as const;

/**
 * The one way to a provider: opens it on first use, holds it to its time limit, and remembers the failures of what its
 * credentials share, which is a login and an address, or neither. After such a failure the circuit is open; when its time is
 * over one call goes through as a probe and the others wait for what becomes of it. A failure of one secret is its credential's.
 */
export class ProviderGate {
  readonly name: string;
  readonly type: string;
  /** No longer in the configuration: open only for the leases that still depend on it. */
  isAbandoned = false;
  /** Of the login and of the address, while they are known to fail. Only the gate sets it. */
  failures: readonly SharedFailure[] = [];
  /** A call under way that tells whether the provider is back. Only the gate sets it. */
  probe: Promise<void> | undefined;
  #source: ProviderSource;
  /** To be reached in this way as soon as no call is under way. */
  #next: ProviderSource | undefined;
  #calls = 0;
  readonly #ports: GatePorts;
  readonly #loans: Loans;
  readonly #closing = new AbortController();
  #opening: Promise<Provider> | undefined;
  #provider: Provider | undefined;
  #limit: TimeLimit | undefined;
  #loginInputs: string | undefined;

  constructor(source: ProviderSource, ports: GatePorts, loans = NO_LOANS) {
    this.name = source.name;
    this.type = source.type;
    this.#source = source;
    this.#ports = ports;
    this.#loans = loans;
  }

  /** The credentials that its logins are made with. */
  get borrows(): readonly string[] {
    return this.#source.borrows ?? [];
  }

  login(loginId: string | undefined): Login | undefined {
    if (loginId === undefined) return undefined;
    return this.#provider === undefined ? this.#source.storedLogin(loginId) : this.#provider.login?.(loginId);
  }

  get supportsLeases(): boolean {
    return this.#provider?.revoke !== undefined;
  }

  /**
   * @param urgency a person's call goes through although the circuit is open.
   * @throws ProviderError what the provider said, or that it was too slow; CircuitOpen if it was not asked.
   */
  async call<T>(work: (provider: Provider, call: Call) => Promise<T>, urgency: Urgency = 'unasked'): Promise<T> {
    // Nothing is awaited between looking and becoming the probe, so that there is never a second one.
    while (urgency !== 'person' && this.failures.length > 0) {
      const hold = longestHold(this.failures, this.#ports.clock.now(), urgency);
      if (hold !== undefined) throw new CircuitOpen(hold);
      if (this.probe === undefined) break;
      await this.probe;
    }
    const attempt = this.#attempt(work);
    if (this.failures.length > 0 && this.probe === undefined) {
      this.probe = attempt.then(
        () => undefined,
        () => undefined,
      );
      this.probe.then(() => {
        this.probe = undefined;
      });
    }
    return attempt;
  }

  /**
   * A change to any input of the login makes a failed one worth trying again at once.
   * @returns true if the hold-off was cleared.
   */
  noticeChangedLogin(): boolean {
    if (this.#provider === undefined) return false;
    const inputs = this.#ports.fingerprintFiles(this.#provider.loginInputs());
    const changed = this.#loginInputs !== undefined && inputs !== this.#loginInputs;
    this.#loginInputs = inputs;
    const hasOtherKey = this.#loans.noticeChange();
    if (!changed && !hasOtherKey) return false;
    this.#provider.forgetLogin();
    this.failures = [];
    return true;
  }

  /** A person wants a login tried that was refused before. */
  allowLogin(): void {
    this.#source.attempts.allow();
  }

  /** The same provider is reached in another way from now on: what it is logged in with stays, and is nothing that two may use at once. */
  reopen(source: ProviderSource): void {
    this.#next = source;
    this.failures = [];
    if (this.#calls === 0) this.#takeNext();
  }

  #takeNext(): void {
    if (this.#next === undefined) return;
    this.#provider?.close();
    this.#provider = undefined;
    this.#loginInputs = undefined;
    this.#source = this.#next;
    this.#next = undefined;
  }

  /** The machine woke, perhaps elsewhere: what got no answer before is tried again without delay. */
  forgiveTransient(): void {
    this.failures = this.failures.filter(({ record }) => record.kind !== 'transient');
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  close(): void {
    this.#closing.abort(new BrokerError('ERR_PROVIDER_UNAVAILABLE', 'the broker is stopping'));
    this.#provider?.close();
  }

  async #attempt<T>(work: (provider: Provider, call: Call) => Promise<T>): Promise<T> {
    let inputs: string | undefined;
    this.#calls += 1;
    try {
      const provider = this.#provider ?? (await this.#open());
      // What the login is made from, before it is made: a change while the call is under way is a change all the same.
      inputs = this.#ports.fingerprintFiles(provider.loginInputs());
      const value = await within([this.#closing.signal], this.#limit, (signal) => work(provider, { signal }));
      if (this.failures.length > 0) this.#recover(SHARED);
      return value;
    } catch (cause) {
      throw this.#remember(cause instanceof ProviderError ? withoutShapes(cause) : cause, inputs);
    } finally {
      this.#calls -= 1;
      if (this.#calls === 0) this.#takeNext();
      this.#ports.onCall?.();
    }
  }

  #limitOf({ callLimitMs }: Provider): TimeLimit {
    const late = () =>
      new ProviderError('transient', `provider "${this.name}" did not answer within ${callLimitMs / 1000} seconds`, {
        remedy: 'check the network and the provider; broker keeps trying',
        concerns: 'address',
        waitedMs: callLimitMs,
      });
    return { clock: this.#ports.clock, limitMs: callLimitMs + GRACE_MS, late };
  }

  /** What fails for one secret alone shows that login and address work. */
  #remember(cause: unknown, inputs: string | undefined): unknown {
    if (!(cause instanceof ProviderError)) return cause;
    const { concerns } = cause;
    if (concerns === 'secret') {
      this.#recover(SHARED);
    } else {
      const { clock, random } = this.#ports;
      const former = this.failures.find((one) => one.concerns === concerns)?.record;
      const record = recordFailure(former, cause, clock.now(), random());
      this.failures = [...this.failures.filter((one) => one.concerns !== concerns), { concerns, record, error: cause }];
      if (isRefusedLogin(cause)) this.#recover(['address']);
    }
    this.#loginInputs = inputs;
    return cause;
  }

  #recover(what: readonly FailureConcern[]): void {
    const over = this.failures.filter(({ concerns }) => what.includes(concerns));
    this.failures = this.failures.filter((failure) => !over.includes(failure));
    for (const { record, concerns } of over) this.#source.onRecovery(record, concerns);
  }

  async #open(): Promise<Provider> {
    this.#opening ??= this.#source.open(this.#loans).finally(() => {
      this.#opening = undefined;
    });
    this.#provider = await this.#opening;
    this.#limit = this.#limitOf(this.#provider);
    return this.#provider;
  }
}
