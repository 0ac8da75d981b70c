import type { Config, CredentialConfig } from '../config/config.ts';
import { type FailureRecord, isTriedOnAsksOnly, type Urgency } from '../credential/back-off.ts';
import { type Freshness, judgeFreshness } from '../credential/freshness.ts';
import type { KeyVersion } from '../credential/key.ts';
import type { KeyAndLogin } from '../credential/life.ts';
import type { Doubt } from '../credential/marks.ts';
import type { RenewalNeeds } from '../credential/renewal.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError, type FailureConcern } from '../errors.ts';
import { hideShapes } from '../platform/text.ts';
import { DEFAULT_CLIENT_INTERVAL_MS } from '../protocol/request.ts';
import type { CheckAnswer } from '../providers/api-check.ts';
import type { SessionWords } from '../providers/provider.ts';
import type { BrokerPorts } from './api.ts';
import { type Loans, longestHold, ProviderGate, type ProviderSource, type RememberedFailure } from './gate.ts';

/** How a credential is read: what the configuration says, and the identity of the secret behind it. */
export interface CredentialSpec {
  readonly config: CredentialConfig;
  /** Of the provider's configuration and the secret: a key from another source is not this credential's. */
  readonly sourceFingerprint: string;
  /** Credentials with the same one share a read. */
  readonly readId: string;
  /** What is read for one session, where the provider is told which that is. */
  readonly sourceOf?: ((words: SessionWords) => unknown) | undefined;
  /** Where the secret is, in the provider's own words, for messages. */
  readonly place: string;
  readonly check?: CredentialCheck | undefined;
}

/** The API itself asked about a key, as configured. */
export interface CredentialCheck {
  readonly url: string;
  /** Of the check and the source of the key: what was learned of another one counts for nothing. */
  readonly fingerprint: string;
  /** Never rejects, unless the signal is aborted. */
  ask(key: SecretBytes, signal: AbortSignal): Promise<CheckAnswer>;
}

/** A refresh under way. */
interface Flight {
  readonly startedAtMs: number;
  readonly done: Promise<void>;
}

/** A configuration made ready for the broker: fingerprints taken, providers openable. */
export interface BrokerSetup {
  readonly config: Config;
  readonly providers: readonly ProviderSpec[];
  readonly credentials: readonly CredentialSpec[];
}

/** Everything the broker remembers of one credential. Only the refresher changes `key`, `failure` and `flight`. */
export class ManagedCredential implements RenewalNeeds {
  readonly name: string;
  readonly gate: ProviderGate;
  spec: CredentialSpec;
  /** A key must outlive the client's own cache by this much. */
  turnMarginMs: number;
  key: KeyVersion | undefined;
  failure: RememberedFailure | undefined;
  flight: Flight | undefined;
  lastAskedAtMs: number | undefined;
  timesServed = 0;
  /** The key is from before an unclean end and may have been replaced or revoked: it is served, and confirmed behind that. */
  isUnconfirmed = false;
  /** The wall clock less the provider's, as of the last read that told; undefined: not known. */
  clockSkewMs: number | undefined;
  /** Taken out of the configuration, or changed there: what is still under way for it must not touch its successor. */
  isRetired = false;
  /** Digests of values that are not to be served while the provider has another. */
  rejected = new Set<string>();
  /** The provider has returned a marked value once, and may have done so by a replica that lags behind. */
  doubt: Doubt | undefined;
  /** The longest refresh interval that any client has named lately. */
  longestIntervalMs = DEFAULT_CLIENT_INTERVAL_MS;
  #interval = { longestMs: 0, seenAtMs: 0 };

  constructor(spec: CredentialSpec, gate: ProviderGate, turnMarginMs: number) {
    this.name = spec.config.name;
    this.gate = gate;
    this.spec = spec;
    this.turnMarginMs = turnMarginMs;
  }

  /** undefined: nothing that could be served. */
  get living(): KeyAndLogin<KeyVersion> | undefined {
    if (this.key === undefined || this.rejected.has(this.key.digest)) return undefined;
    const loginId = this.key.lease?.loginId;
    return { key: this.key, login: loginId === undefined ? undefined : this.gate.login(loginId) };
  }

  /** How fit the key is for a client that keeps it for so long; undefined: there is none. */
  judge(nowMs: number, intervalMs: number): Freshness | undefined {
    const { living, turnMarginMs } = this;
    if (living === undefined) return undefined;
    return judgeFreshness(living, nowMs, intervalMs, { turnMarginMs, maxStaleMs: this.spec.config.maxStaleMs });
  }

  /**
   * The longest refresh interval named lately; it is forgotten when no client has named it for `forgetAfterMs`.
   * @returns whether it changed, so that what was planned with it has to be planned again.
   */
  noteAsk(nowMs: number, intervalMs: number, forgetAfterMs: number): boolean {
    this.lastAskedAtMs = nowMs;
    const { longestMs, seenAtMs } = this.#interval;
    if (intervalMs >= longestMs || nowMs - seenAtMs > forgetAfterMs) {
      this.#interval = { longestMs: intervalMs, seenAtMs: nowMs };
      this.longestIntervalMs = intervalMs || DEFAULT_CLIENT_INTERVAL_MS;
    }
    return this.#interval.longestMs !== longestMs;
  }

  isWanted(nowMs: number, idleAfterMs: number): boolean {
    return this.lastAskedAtMs !== undefined && nowMs - this.lastAskedAtMs <= idleAfterMs;
  }

  /** Its own and those of what its provider's credentials share. */
  get #failures(): readonly RememberedFailure[] {
    const { failure, gate } = this;
    return failure === undefined ? gate.failures : [failure, ...gate.failures];
  }

  /** What keeps the provider from being asked just now on such a one's behalf; undefined: nothing does. */
  holdOff(nowMs: number, urgency: Urgency): RememberedFailure | undefined {
    return longestHold(this.#failures, nowMs, urgency);
  }

  /** After this failure, its own or its provider's, the broker does not try again unasked. */
  get waitsForAsk(): boolean {
    return this.#failures.some(({ record }) => isTriedOnAsksOnly(record.kind));
  }

  /** Its own failure or its provider's, unless it could have been tried again since `sinceMs`. */
  knownFailure(sinceMs: number): RememberedFailure | undefined {
    return this.#failures.find(({ record }) => record.nextAttemptAtMs > sinceMs);
  }

  /** Known to be failing, whether or not the provider may be asked again by now: what happened last. */
  get lastFailure(): RememberedFailure | undefined {
    return this.#failures.reduce<RememberedFailure | undefined>(
      (a, b) => (a !== undefined && a.record.lastAtMs >= b.record.lastAtMs ? a : b),
      undefined,
    );
  }
}

/** A provider as the configuration describes it; `fingerprint` changes when its configuration does. */
export interface ProviderSpec extends Omit<ProviderSource, 'onRecovery'> {
  /** What it is: keys and logins of another are not its. */
  readonly fingerprint: string;
  /** How it is reached, which changes neither. */
  readonly reach: string;
}

interface KnownGate extends Pick<ProviderSpec, 'fingerprint' | 'reach'> {
  readonly gate: ProviderGate;
}

interface AdoptDeps {
  /** The credential is no longer what was configured. */
  readonly retire: (credential: ManagedCredential) => void;
  /** No longer configured: to be closed when nothing needs it any more. */
  readonly abandon: (gate: ProviderGate) => void;
  readonly onRecovery: (gate: ProviderGate, outage: FailureRecord, concerns: FailureConcern) => void;
  /** A stored key that is not of a configured credential, and that is judged by somebody else. */
  readonly mayKeep: (name: string) => boolean;
  /** The keys of other credentials that a provider may log in with. */
  readonly loansTo: (provider: string, names: readonly string[]) => Loans;
}

/** Which providers and credentials there are. Over a change of configuration, what did not change keeps everything. */
export class CredentialSet implements Iterable<ManagedCredential> {
  /** The one in force. */
  config: Config;
  readonly #ports: BrokerPorts;
  readonly #gates = new Map<string, KnownGate>();
  readonly #credentials = new Map<string, ManagedCredential>();
  readonly #readers = new Map<string, Set<ManagedCredential>>();
  readonly #startedAtMs: number;

  constructor(ports: BrokerPorts, config: Config) {
    this.#ports = ports;
    this.config = config;
    this.#startedAtMs = ports.clock.now();
  }

  [Symbol.iterator](): Iterator<ManagedCredential> {
    return this.#credentials.values();
  }

  get(name: string): ManagedCredential | undefined {
    return this.#credentials.get(name);
  }

  /** @param name undefined: the configured default. @throws BrokerError ERR_UNKNOWN_CREDENTIAL. */
  find(name: string | undefined): ManagedCredential {
    const { defaultCredential, file } = this.config;
    const wanted = name ?? defaultCredential;
    const credential = wanted === undefined ? undefined : this.#credentials.get(wanted);
    if (credential !== undefined) return credential;
    const names = [...this.#credentials.keys()].slice(0, 10).join(', ');
    // Some people write the key itself where its name belongs.
    const shown = hideShapes(wanted ?? '');
    const [message, otherwise] =
      wanted === undefined
        ? ['no credential was named and the configuration has no `default`', `set \`default\` in ${file}`]
        : [`there is no credential "${shown}"`, `add [credentials.${shown}] to ${file}`];
    const remedy = `${wanted === undefined ? 'name' : 'use'} one of: ${names}; or ${otherwise}`;
    throw new BrokerError('ERR_UNKNOWN_CREDENTIAL', message, { remedy });
  }

  get size(): number {
    return this.#credentials.size;
  }

  readersOf(readId: string): ReadonlySet<ManagedCredential> {
    return this.#readers.get(readId) ?? new Set();
  }

  gate(name: string): ProviderGate | undefined {
    return this.#gates.get(name)?.gate;
  }

  *gates(): Iterable<ProviderGate> {
    for (const { gate } of this.#gates.values()) yield gate;
  }

  /** Providers that log in with keys of this one. */
  *borrowersOf(lender: ProviderGate): Iterable<ProviderGate> {
    for (const gate of this.gates()) {
      if (gate.borrows.some((name) => this.get(name)?.gate === lender)) yield gate;
    }
  }

  adopt({ config, providers, credentials: specs }: BrokerSetup, deps: AdoptDeps): void {
    this.config = config;
    const abandoned = this.#adoptProviders(providers, deps);
    const stored = this.#storedKeys();
    const former = new Map(this.#credentials);
    this.#credentials.clear();
    this.#readers.clear();
    for (const spec of specs) {
      const { name } = spec.config;
      const credential = this.#keepOrCreate(former.get(name), spec, stored.get(name), deps);
      former.delete(name);
      stored.delete(name);
      this.#credentials.set(name, credential);
      const readers = this.#readers.get(spec.readId) ?? new Set();
      this.#readers.set(spec.readId, readers.add(credential));
    }
    for (const credential of former.values()) deps.retire(credential);
    // Keys on record that no credential of this configuration may serve.
    for (const name of stored.keys()) if (!deps.mayKeep(name)) this.#ports.cache.remove(name);
    for (const gate of abandoned) {
      gate.isAbandoned = true;
      deps.abandon(gate);
    }
  }

  /** Keys and marks as the cache has them now. */
  reload(): void {
    const stored = this.#storedKeys();
    for (const credential of this.#credentials.values()) {
      this.#load(credential, stored.get(credential.name));
    }
  }

  /** Forgets the values that the API rejected so long ago. */
  pruneRejected(beforeMs: number): void {
    this.#ports.cache.pruneRejected(beforeMs);
    for (const credential of this.#credentials.values()) this.#loadRejected(credential);
  }

  #storedKeys(): Map<string, KeyVersion> {
    return new Map(this.#ports.cache.keys().map((key) => [key.credential, key]));
  }

  #adoptProviders(providers: readonly ProviderSpec[], { onRecovery, loansTo }: AdoptDeps): ProviderGate[] {
    const former = new Map(this.#gates);
    this.#gates.clear();
    for (const spec of providers) {
      const { name, fingerprint, reach } = spec;
      const known = former.get(name);
      const isSame = known?.fingerprint === fingerprint;
      const source: ProviderSource = {
        ...spec,
        onRecovery: (outage, concerns) => onRecovery(gate, outage, concerns),
      };
      const gate: ProviderGate = isSame
        ? known.gate
        : new ProviderGate(source, this.#ports, loansTo(name, spec.borrows ?? []));
      if (isSame) former.delete(name);
      if (isSame && known.reach !== reach) gate.reopen(source);
      this.#gates.set(name, { gate, fingerprint, reach });
    }
    return [...former.values()].map(({ gate }) => gate);
  }

  #keepOrCreate(
    former: ManagedCredential | undefined,
    spec: CredentialSpec,
    stored: KeyVersion | undefined,
    { retire }: AdoptDeps,
  ): ManagedCredential {
    const { name, provider } = spec.config;
    const gate = this.gate(provider);
    if (gate === undefined) throw new TypeError(`credential "${name}" without a provider`);
    const { turnMarginMs } = this.config.daemon;
    if (former?.gate === gate && former.spec.sourceFingerprint === spec.sourceFingerprint) {
      return Object.assign(former, { spec, turnMarginMs, failure: undefined });
    }
    if (former !== undefined) retire(former);
    const credential = new ManagedCredential(spec, gate, turnMarginMs);
    this.#load(credential, stored);
    if (stored !== undefined && credential.key === undefined) this.#ports.cache.remove(name);
    return credential;
  }

  /** A key from another source is not this credential's. */
  #load(credential: ManagedCredential, stored: KeyVersion | undefined): void {
    credential.key = stored?.sourceFingerprint === credential.spec.sourceFingerprint ? stored : undefined;
    const confirmedAtMs = credential.key?.confirmedAtMs ?? this.#startedAtMs;
    credential.isUnconfirmed = this.#ports.afterUncleanEnd && confirmedAtMs < this.#startedAtMs;
    this.#loadRejected(credential);
  }

  #loadRejected(credential: ManagedCredential): void {
    credential.rejected = new Set(this.#ports.cache.rejectedMarks(credential.name));
  }
}
