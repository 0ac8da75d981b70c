import type { FailureRecord } from '../credential/back-off.ts';
import type { KeyVersion } from '../credential/key-version.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import { type CredentialSpec, ManagedCredential } from './managed-credential.ts';
import type { BrokerPorts } from './ports.ts';
import { ProviderGate, type ProviderSource } from './provider-gate.ts';
import type { Refresher } from './refresher.ts';

/** A provider as the configuration describes it; `fingerprint` changes when its configuration does. */
export interface ProviderSpec extends Omit<ProviderSource, 'onRecovery'> {
  readonly fingerprint: string;
}

export interface RosterDeps {
  readonly leases: LeaseKeeper;
  readonly refresher: Refresher;
  readonly onRecovery: (gate: ProviderGate, outage: FailureRecord) => void;
}

/** Which providers and credentials there are. Over a change of configuration, what did not change keeps everything. */
export class Roster {
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
