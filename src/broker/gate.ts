import { type FailureRecord, isHeldOff, recordFailure } from '../credential/back-off.ts';
import type { Login } from '../credential/life.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import { type TimeLimit, within } from '../platform/waiting.ts';
import type { Call, Provider } from '../providers/provider.ts';
import type { BrokerPorts } from './api.ts';

/** Not called, because the circuit is open; `error` is what the provider failed with. */
export class CircuitOpen extends Error {
  readonly error: BrokerError;

  constructor(error: BrokerError) {
    super('circuit open', { cause: error });
    this.error = error;
  }
}

export interface RememberedFailure {
  readonly record: FailureRecord;
  readonly error: BrokerError;
}

/** A provider ends its calls within its own limit; one that does not is cut off so much later. */
const GRACE_MS = 1_000;

export interface ProviderSource {
  readonly name: string;
  readonly type: string;
  /** Loads the implementation; called once, on first use. */
  readonly open: () => Promise<Provider>;
  /** Logins on record from before the provider was opened. */
  readonly storedLogin: (loginId: string) => Login | undefined;
  /** The provider answers again after an outage. */
  readonly onRecovery: (outage: FailureRecord) => void;
}

type GatePorts = Pick<BrokerPorts, 'clock' | 'random' | 'fingerprintFiles'>;

/**
 * The one way to a provider: opens it on first use, holds it to its time limit, and remembers failures that concern
 * all of its credentials. After such a failure the circuit is open; when its time is over one call goes through as a
 * probe and the others wait for what becomes of it.
 */
export class ProviderGate {
  readonly name: string;
  readonly type: string;
  /** No longer in the configuration: open only for the leases that still depend on it. */
  isAbandoned = false;
  /** Set while the provider as a whole is known to be down or its login to be over. Only the gate sets it. */
  outage: RememberedFailure | undefined;
  /** A call under way that tells whether the provider is back. Only the gate sets it. */
  probe: Promise<void> | undefined;
  readonly #source: ProviderSource;
  readonly #ports: GatePorts;
  readonly #closing = new AbortController();
  #opening: Promise<Provider> | undefined;
  #provider: Provider | undefined;
  #limit: TimeLimit | undefined;
  #loginInputs: string | undefined;

  constructor(source: ProviderSource, ports: GatePorts) {
    this.name = source.name;
    this.type = source.type;
    this.#source = source;
    this.#ports = ports;
  }

  login(loginId: string | undefined): Login | undefined {
    if (loginId === undefined) return undefined;
    return this.#provider === undefined ? this.#source.storedLogin(loginId) : this.#provider.login?.(loginId);
  }

  get supportsLeases(): boolean {
    return this.#provider?.revoke !== undefined;
  }

  /**
   * @param forced a person asked: goes through although the circuit is open.
   * @throws ProviderError what the provider said, or that it was too slow; CircuitOpen if it was not asked.
   */
  async call<T>(work: (provider: Provider, call: Call) => Promise<T>, forced = false): Promise<T> {
    // Nothing is awaited between looking and becoming the probe, so that there is never a second one.
    while (!forced && this.outage !== undefined) {
      const { record, error } = this.outage;
      if (isHeldOff(record, this.#ports.clock.now())) throw new CircuitOpen(error);
      if (this.probe === undefined) break;
      await this.probe;
    }
    const attempt = this.#attempt(work);
    if (this.outage !== undefined && this.probe === undefined) {
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
    if (!changed) return false;
    this.#provider.forgetLogin();
    this.forgiveFailure();
    return true;
  }

  /** After a wake the network may be another one; a login that needs a person still needs them. */
  forgiveNetwork(): void {
    if (this.outage?.record.kind === 'transient') this.forgiveFailure();
  }

  /** The reason for the failures is gone: try again without delay. */
  forgiveFailure(): void {
    this.outage = undefined;
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
    try {
      const provider = this.#provider ?? (await this.#open());
      // What the login is made from, before it is made: a change while the call is under way is a change all the same.
      inputs = this.#ports.fingerprintFiles(provider.loginInputs());
      const value = await within([this.#closing.signal], this.#limit, (signal) => work(provider, { signal }));
      if (this.outage !== undefined) this.#recover();
      return value;
    } catch (cause) {
      throw this.#remember(cause, inputs);
    }
  }

  #limitOf({ callLimitMs }: Provider): TimeLimit {
    const late = () =>
      new ProviderError('transient', `provider "${this.name}" did not answer within ${callLimitMs / 1000} seconds`, {
        remedy: 'check the network and the provider; broker keeps trying',
      });
    return { clock: this.#ports.clock, limitMs: callLimitMs + GRACE_MS, late };
  }

  /** A provider that answers "denied" or "gone" for one secret works: only what concerns all of them opens the circuit. */
  #remember(cause: unknown, inputs: string | undefined): unknown {
    if (!(cause instanceof ProviderError)) return cause;
    if (cause.kind === 'transient' || cause.kind === 'login-expired') {
      const { clock, random } = this.#ports;
      this.outage = { record: recordFailure(this.outage?.record, cause, clock.now(), random()), error: cause };
    } else {
      this.#recover();
    }
    this.#loginInputs = inputs;
    return cause;
  }

  #recover(): void {
    const { outage } = this;
    this.outage = undefined;
    if (outage !== undefined) this.#source.onRecovery(outage.record);
  }

  async #open(): Promise<Provider> {
    this.#opening ??= this.#source.open().finally(() => {
      this.#opening = undefined;
    });
    this.#provider = await this.#opening;
    this.#limit = this.#limitOf(this.#provider);
    return this.#provider;
  }
}
