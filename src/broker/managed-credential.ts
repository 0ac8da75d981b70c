import type { CredentialConfig } from '../config/config.ts';
import { type FailureRecord, isHeldOff } from '../credential/back-off.ts';
import type { KeyVersion } from '../credential/key-version.ts';
import type { LivingKey } from '../credential/life.ts';
import type { Verdict } from '../credential/rejection.ts';
import type { BrokerError } from '../errors.ts';
import { DEFAULT_CLIENT_INTERVAL_MS } from '../protocol/headers.ts';
import type { ProviderGate } from './provider-gate.ts';

/** How a credential is read: what the configuration says, and the identity of the secret behind it. */
export interface CredentialSpec {
  readonly config: CredentialConfig;
  /** Of the provider's configuration and the secret: a key from another source is not this credential's. */
  readonly sourceFingerprint: string;
  /** Credentials with the same one share a read. */
  readonly readId: string;
  /** Where the secret lies, in the provider's own words, for messages. */
  readonly place: string;
}

export interface RememberedFailure {
  readonly record: FailureRecord;
  readonly error: BrokerError;
}

/** A refresh under way. */
export interface Flight {
  readonly startedAtMs: number;
  readonly done: Promise<void>;
}

/** Everything the broker remembers of one credential. Only the refresher changes `key`, `failure` and `flight`. */
export class ManagedCredential {
  spec: CredentialSpec;
  readonly gate: ProviderGate;
  key: KeyVersion | undefined;
  failure: RememberedFailure | undefined;
  flight: Flight | undefined;
  lastVerdict: Verdict | undefined;
  lastAskedAtMs: number | undefined;
  timesServed = 0;
  /** The wall clock less the provider's, as of the last read that told; undefined: not known. */
  clockSkewMs: number | undefined;
  /** Taken out of the configuration, or changed there: what is still under way for it must not touch its successor. */
  isRetired = false;
  /** Digests of values that the API rejected. */
  readonly rejected: Set<string>;
  #interval = { longestMs: 0, seenAtMs: 0 };

  constructor(spec: CredentialSpec, gate: ProviderGate, key: KeyVersion | undefined, rejected: Iterable<string>) {
    this.spec = spec;
    this.gate = gate;
    this.key = key;
    this.rejected = new Set(rejected);
  }

  get name(): string {
    return this.spec.config.name;
  }

  /** undefined: nothing that could be served. */
  get living(): LivingKey | undefined {
    if (this.key === undefined || this.rejected.has(this.key.digest)) return undefined;
    return { key: this.key, login: this.gate.login(this.key.lease?.loginId) };
  }

  /**
   * The longest refresh interval named lately; it is forgotten when nobody has named it for `forgetAfterMs`.
   * @returns whether it changed, so that what was planned with it has to be planned anew.
   */
  noteAsk(nowMs: number, intervalMs: number, forgetAfterMs: number): boolean {
    this.lastAskedAtMs = nowMs;
    const { longestMs, seenAtMs } = this.#interval;
    if (intervalMs >= longestMs || nowMs - seenAtMs > forgetAfterMs) {
      this.#interval = { longestMs: intervalMs, seenAtMs: nowMs };
    }
    return this.#interval.longestMs !== longestMs;
  }

  get longestIntervalMs(): number {
    return this.#interval.longestMs || DEFAULT_CLIENT_INTERVAL_MS;
  }

  isWanted(nowMs: number, idleAfterMs: number): boolean {
    return this.lastAskedAtMs !== undefined && nowMs - this.lastAskedAtMs <= idleAfterMs;
  }

  /** What keeps the provider from being asked just now, its own failure or its provider's; undefined: nothing does. */
  holdOff(nowMs: number): RememberedFailure | undefined {
    const provider = this.providerFailure;
    if (isHeldOff(this.failure?.record, nowMs)) {
      return isHeldOff(provider?.record, nowMs) && later(provider, this.failure) ? provider : this.failure;
    }
    return isHeldOff(provider?.record, nowMs) ? provider : undefined;
  }

  /** Its own failure or its provider's, unless it could have been tried again since `sinceMs`. */
  knownFailure(sinceMs: number): RememberedFailure | undefined {
    return [this.failure, this.providerFailure].find((known) => (known?.record.nextAttemptAtMs ?? 0) > sinceMs);
  }

  get providerFailure(): RememberedFailure | undefined {
    const { failure, error } = this.gate;
    return failure && error && { record: failure, error };
  }

  /** Known to be failing, whether or not the provider may be asked again by now. */
  get lastFailure(): RememberedFailure | undefined {
    return this.failure ?? this.providerFailure;
  }
}

function later(a: RememberedFailure | undefined, b: RememberedFailure | undefined): boolean {
  return (a?.record.nextAttemptAtMs ?? 0) > (b?.record.nextAttemptAtMs ?? 0);
}
