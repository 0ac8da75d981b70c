import type { CredentialConfig } from '../config/config.ts';
import { type FailureRecord, isHeldOff } from '../credential/back-off.ts';
import type { KeyVersion } from '../credential/key.ts';
import type { KeyAndLogin } from '../credential/life.ts';
import type { Verdict } from '../credential/rejection.ts';
import type { BrokerError } from '../errors.ts';
import { DEFAULT_CLIENT_INTERVAL_MS } from '../protocol/request.ts';
import { ProviderGate, type ProviderSource } from './gate.ts';
import type { LeaseKeeper } from './leases.ts';
import type { BrokerPorts } from './ports.ts';
import type { Refresher } from './refresher.ts';

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

interface RememberedFailure {
  readonly record: FailureRecord;
  readonly error: BrokerError;
}

/** A refresh under way. */
interface Flight {
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
  get living(): KeyAndLogin<KeyVersion> | undefined {
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

/** A provider as the configuration describes it; `fingerprint` changes when its configuration does. */
export interface ProviderSpec extends Omit<ProviderSource, 'onRecovery'> {
  readonly fingerprint: string;
}

interface RosterDeps {
  readonly leases: LeaseKeeper;
  readonly refresher: Refresher;
  readonly onRecovery: (gate: ProviderGate, outage: FailureRecord) => void;
}

/** Which providers and credentials there are. Over a change of configuration, what did not change keeps everything. */
export class CredentialSet {
  readonly #ports: BrokerPorts;
  readonly #gates = new Map<string, { readonly gate: ProviderGate; readonly fingerprint: string }>();
  readonly #credentials = new Map<string, ManagedCredential>();
  readonly #readers = new Map<string, Set<ManagedCredential>>();

  constructor(ports: BrokerPorts) {
    this.#ports = ports;
  }

  get(name: string): ManagedCredential | undefined {
    return this.#credentials.get(name);
  }

  get credentials(): Iterable<ManagedCredential> {
    return this.#credentials.values();
  }

  get names(): readonly string[] {
    return [...this.#credentials.keys()];
  }

  readersOf(readId: string): Iterable<ManagedCredential> {
    return this.#readers.get(readId) ?? [];
  }

  gate(name: string): ProviderGate | undefined {
    return this.#gates.get(name)?.gate;
  }

  *gates(): Iterable<ProviderGate> {
    for (const { gate } of this.#gates.values()) yield gate;
  }

  adopt(providers: readonly ProviderSpec[], specs: readonly CredentialSpec[], deps: RosterDeps): void {
    const abandoned = this.#adoptProviders(providers, deps);
    const stored = new Map(this.#ports.cache.keys().map((key) => [key.credential, key]));
    const former = new Map(this.#credentials);
    this.#credentials.clear();
    this.#readers.clear();
    for (const spec of specs) {
      const gate = this.gate(spec.config.provider);
      if (gate === undefined) throw new TypeError(`credential "${spec.config.name}" without a provider`);
      const credential = this.#keepOrCreate(former.get(spec.config.name), spec, gate, stored, deps);
      former.delete(spec.config.name);
      this.#credentials.set(credential.name, credential);
      const readers = this.#readers.get(spec.readId) ?? new Set();
      this.#readers.set(spec.readId, readers.add(credential));
      stored.delete(credential.name);
    }
    for (const credential of former.values()) deps.refresher.retire(credential);
    // Keys on record that no credential of this configuration may serve.
    for (const name of stored.keys()) this.#ports.cache.remove(name);
    for (const gate of abandoned) {
      gate.isAbandoned = true;
      if (!deps.leases.dependOn(gate)) gate.close();
    }
  }

  /** Keys and marks as the cache has them now. */
  reloadKeys(): void {
    const stored = new Map(this.#ports.cache.keys().map((key) => [key.credential, key]));
    for (const credential of this.#credentials.values()) {
      const key = stored.get(credential.name);
      credential.key = key?.sourceFingerprint === credential.spec.sourceFingerprint ? key : undefined;
      credential.lastVerdict = undefined;
      credential.rejected.clear();
      for (const digest of this.#ports.cache.rejectedMarks(credential.name)) credential.rejected.add(digest);
    }
  }

  #adoptProviders(providers: readonly ProviderSpec[], deps: RosterDeps): ProviderGate[] {
    const former = new Map(this.#gates);
    this.#gates.clear();
    for (const spec of providers) {
      const known = former.get(spec.name);
      if (known?.fingerprint === spec.fingerprint) {
        former.delete(spec.name);
        this.#gates.set(spec.name, known);
        continue;
      }
      const gate: ProviderGate = new ProviderGate(
        { ...spec, onRecovery: (outage) => deps.onRecovery(gate, outage) },
        this.#ports,
      );
      this.#gates.set(spec.name, { gate, fingerprint: spec.fingerprint });
    }
    return [...former.values()].map(({ gate }) => gate);
  }

  #keepOrCreate(
    former: ManagedCredential | undefined,
    spec: CredentialSpec,
    gate: ProviderGate,
    stored: ReadonlyMap<string, KeyVersion>,
    deps: RosterDeps,
  ): ManagedCredential {
    const { name } = spec.config;
    if (former?.gate === gate && former.spec.sourceFingerprint === spec.sourceFingerprint) {
      former.spec = spec;
      former.failure = undefined;
      return former;
    }
    if (former !== undefined) deps.refresher.retire(former);
    const key = stored.get(name);
    const usable = key?.sourceFingerprint === spec.sourceFingerprint ? key : undefined;
    if (key !== undefined && usable === undefined) this.#ports.cache.remove(name);
    return new ManagedCredential(spec, gate, usable, this.#ports.cache.rejectedMarks(name));
  }
}
