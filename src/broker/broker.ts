import type { Config, DaemonConfig } from '../config/config.ts';
import type { FailureRecord } from '../credential/back-off.ts';
import type { KeyVersion } from '../credential/key.ts';
import type { Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { BrokerEvent, CredentialStatus, HealthReport, StatusReport } from '../protocol/reports.ts';
import { Answering, type Ask, type OpenedKey } from './answering.ts';
import {
  type BrokerApi,
  type DaemonFacts,
  describeCredential,
  describeDaemon,
  describeHealth,
  type EventQuery,
} from './api.ts';
import { CredentialSet, type CredentialSpec, type ManagedCredential, type ProviderSpec } from './credentials.ts';
import { EventLog } from './event-log.ts';
import type { ProviderGate } from './gate.ts';
import { LeaseKeeper } from './leases.ts';
import type { BrokerPorts } from './ports.ts';
import { Refresher, SPREAD_MS } from './refresher.ts';
import { RejectionDetector } from './rejection-detector.ts';
import { Scheduler } from './scheduler.ts';

/** No credential has a name like this, so it can share the scheduler with them. */
const LEASE_SWEEP = '#leases';
/** A timer this late did not run late: the machine slept. */
const SLEPT_MS = 5_000;
/** The client warns its user at 10 s, and the helper gives up at 9.5. */
const MAX_WAIT_MS = 9_000;
/** A single failure is no outage: the failed credential keeps its own hold-off. */
const OUTAGE_FAILURES = 2;

/** Marks of rejected values live a day and more; they are looked through this often, and once at the start. */
const PRUNE_MS = 60 * 60_000;

/** A configuration made ready for the broker: fingerprints taken, providers openable. */
export interface BrokerSetup {
  readonly config: Config;
  readonly providers: readonly ProviderSpec[];
  readonly credentials: readonly CredentialSpec[];
}

/** One request after another, judged by policy and answered; see docs/architecture.md for the two journeys. */
export class Broker implements BrokerApi {
  readonly #ports: BrokerPorts;
  readonly #facts: () => DaemonFacts;
  readonly #events: EventLog;
  readonly #scheduler: Scheduler;
  readonly #leases: LeaseKeeper;
  readonly #refresher: Refresher;
  readonly #answering: Answering;
  readonly #suspicion: RejectionDetector;
  readonly #roster: CredentialSet;
  #config: Config;
  #prunedAtMs = 0;

  constructor(ports: BrokerPorts, setup: BrokerSetup, facts: () => DaemonFacts) {
    this.#ports = ports;
    this.#facts = facts;
    this.#config = setup.config;
    const policy = (): DaemonConfig => this.#config.daemon;
    this.#events = new EventLog(ports);
    this.#roster = new CredentialSet(ports);
    this.#scheduler = new Scheduler(
      ports.clock,
      (id) => this.#runDue(id),
      (lateMs) => {
        ports.onTick();
        this.#pruneMarks();
        if (lateMs >= SLEPT_MS) this.#wakeUp();
      },
    );
    this.#leases = new LeaseKeeper(
      ports,
      this.#events,
      () => policy().turnMarginMs,
      () => this.#planSweep(),
    );
    this.#refresher = new Refresher(ports, {
      events: this.#events,
      leases: this.#leases,
      scheduler: this.#scheduler,
      policy,
      readersOf: (readId) => this.#roster.readersOf(readId),
    });
    this.#answering = new Answering(ports, {
      refresher: this.#refresher,
      policy,
      onMendedLogin: (gate) => this.#forgive(gate, () => true),
    });
    this.#suspicion = new RejectionDetector(ports, this.#events, this.#refresher);
    this.#adopt(setup);
    this.#leases.resume(ports.cache.leases(), (name) => this.#roster.gate(name));
    this.#leases.releaseOrphans(this.#currentLeases());
    this.#pruneMarks();
    this.#planSweep();
  }

  async answer(ask: Ask): Promise<OpenedKey> {
    const credential = this.#find(ask.credential);
    const now = this.#ports.clock.now();
    const deadlineMs = now + MAX_WAIT_MS;
    const isNewInterval = credential.noteAsk(now, ask.intervalMs, this.#config.daemon.idleAfterMs);
    try {
      return await this.#answerFrom(credential, ask, deadlineMs, isNewInterval);
    } catch (fault) {
      // The configuration changed meanwhile: what failed is no longer what was asked for.
      if (credential.isRetired) return this.answer(ask);
      throw fault;
    }
  }

  async #answerFrom(
    credential: ManagedCredential,
    ask: Ask,
    deadlineMs: number,
    isNewInterval: boolean,
  ): Promise<OpenedKey> {
    await this.#suspicion.consider(credential, ask);
    for (let isRepeat = false; ; isRepeat = true) {
      const { key, state } = await this.#answering.find(credential, ask, deadlineMs);
      // Replaced in between: what would be opened now is not what was judged.
      if (credential.key !== key) continue;
      const secrets = this.#ports.cache.open(credential.name);
      if (secrets !== undefined) {
        if (isNewInterval || this.#scheduler.at(credential.name) === undefined) this.#refresher.schedule(credential);
        return { key, state, secrets, delivered: () => this.#delivered(credential, key, ask, state) };
      }
      // What is stored does not authenticate any more: it is as if there were nothing.
      this.#refresher.drop(credential);
      if (isRepeat) throw cannotOpen(credential);
    }
  }

  async refresh(name: string | undefined): Promise<CredentialStatus> {
    const credential = this.#find(name);
    credential.rejected.clear();
    this.#ports.cache.clearRejected(credential.name);
    credential.gate.noticeMendedLogin();
    await this.#refresher.refresh(credential, 'person');
    return this.#describe(credential);
  }

  async refreshAll(): Promise<readonly CredentialStatus[]> {
    const all = [...this.#roster.credentials];
    await Promise.allSettled(all.map((credential) => this.refresh(credential.name)));
    return all.map((credential) => this.#describe(credential));
  }

  async invalidate(name: string | undefined): Promise<CredentialStatus> {
    const credential = this.#find(name);
    const lease = credential.key?.lease;
    this.#refresher.drop(credential);
    credential.failure = undefined;
    this.#scheduler.cancel(credential.name);
    this.#events.add('invalidated', credential.name);
    if (lease !== undefined) await this.#leases.revokeNow(lease);
    return this.#describe(credential);
  }

  /**
   * A person has logged in to this provider: its credentials are tried again at once. The caller wipes the token.
   * @throws BrokerError ERR_USAGE if there is no such provider or it logs in automatically; what the provider says to the token.
   */
  async takeLogin(provider: string, token: SecretBytes): Promise<Login> {
    const gate = this.#roster.gate(provider);
    if (gate === undefined) throw unknownProvider(provider, [...this.#roster.gates()]);
    const login = await gate.call(async (port, call) => {
      if (port.takeLogin === undefined) throw takesNoLogin(provider);
      return port.takeLogin(token, call).catch((fault: unknown) => {
        // A token that is no good says nothing about the login at hand, so the gate is not to remember it.
        if (!(fault instanceof ProviderError)) throw fault;
        throw new BrokerError(fault.code, fault.message, fault.remedy === undefined ? {} : { remedy: fault.remedy });
      });
    }, true);
    this.#forgive(gate, () => true);
    this.#events.add('logged-in', undefined, { provider });
    return login;
  }

  status(): StatusReport {
    return {
      daemon: describeDaemon(this.#facts(), this.#ports),
      credentials: [...this.#roster.credentials].map((credential) => this.#describe(credential)),
    };
  }

  health(): HealthReport {
    return describeHealth(this.#roster.credentials, this.#facts());
  }

  events(query: EventQuery): readonly BrokerEvent[] {
    return this.#events.query(query);
  }

  onEvents(listener: () => void): () => void {
    return this.#events.listen(listener);
  }

  /** Takes over a changed configuration; credentials and providers that did not change keep everything. */
  reconfigure(setup: BrokerSetup): void {
    this.#config = setup.config;
    this.#adopt(setup);
    this.#events.add('reconfigured', undefined, { credentials: this.#roster.names.length });
  }

  /** The cache found its database again: what was stored there and what is in memory have been joined. */
  reloadCache(): void {
    this.#roster.reloadKeys();
    this.#suspicion.forgetClients();
  }

  /** The machine slept or the clock was set: what is due is done now, spread out, and a lost network is forgiven. */
  noticeWake(): void {
    this.#wakeUp();
    this.#scheduler.catchUp();
  }

  #wakeUp(): void {
    const now = this.#ports.clock.now();
    for (const gate of this.#roster.gates()) gate.forgiveFailure();
    for (const credential of this.#roster.credentials) {
      if (credential.failure?.record.kind === 'transient') credential.failure = undefined;
      const dueAtMs = this.#scheduler.at(credential.name);
      if (dueAtMs !== undefined && dueAtMs < now + SPREAD_MS) {
        this.#scheduler.schedule(credential.name, now + this.#ports.random() * SPREAD_MS);
      }
    }
  }

  /** Before a real stop that leases are not to outlive; takes as long as the providers do, so `stop` may cut it off. */
  async revokeLeases(): Promise<void> {
    this.#scheduler.stop();
    // Nothing revoked, or to be revoked later, is to be served by the next daemon.
    for (const credential of this.#roster.credentials) {
      if (credential.key?.lease !== undefined) this.#refresher.drop(credential);
    }
    await this.#leases.revokeAll();
  }

  /** What is under way at a provider is given up at once; leases stay in the journal for the next start. */
  async stop(): Promise<void> {
    this.#scheduler.stop();
    for (const gate of this.#roster.gates()) gate.close();
    await this.#leases.settled();
    this.#events.flush();
  }

  #adopt({ providers, credentials }: BrokerSetup): void {
    this.#roster.adopt(providers, credentials, {
      leases: this.#leases,
      refresher: this.#refresher,
      onRecovery: (gate, outage) => this.#recovered(gate, outage),
    });
  }

  #currentLeases(): Set<string> {
    const ids = new Set<string>();
    for (const { key } of this.#roster.credentials) if (key?.lease !== undefined) ids.add(key.lease.id);
    return ids;
  }

  #find(name: string | undefined): ManagedCredential {
    const wanted = name ?? this.#config.defaultCredential;
    const credential = wanted === undefined ? undefined : this.#roster.get(wanted);
    if (credential !== undefined) return credential;
    const names = this.#roster.names.slice(0, 10).join(', ');
    if (wanted === undefined) {
      throw new BrokerError(
        'ERR_UNKNOWN_CREDENTIAL',
        'no credential was named and the configuration has no `default`',
        {
          remedy: `name one of: ${names}; or set \`default\` in ${this.#config.file}`,
        },
      );
    }
    throw new BrokerError('ERR_UNKNOWN_CREDENTIAL', `there is no credential "${wanted}"`, {
      remedy: `use one of: ${names}; or add [credentials.${wanted}] to ${this.#config.file}`,
    });
  }

  #describe(credential: ManagedCredential): CredentialStatus {
    return describeCredential(credential, {
      ports: this.#ports,
      config: this.#config,
      nextRefreshAtMs: this.#scheduler.at(credential.name),
    });
  }

  #delivered(credential: ManagedCredential, key: KeyVersion, ask: Ask, state: OpenedKey['state']): void {
    const { client } = ask;
    const { digest } = key;
    credential.timesServed += 1;
    this.#leases.delivered(key, client);
    if (client !== undefined) this.#suspicion.served(client, credential.name, key);
    this.#events.add('served', credential.name, {
      state,
      client: client?.name ?? 'unknown',
      pid: client?.pid ?? 0,
      fingerprint: digest.slice(0, 8),
    });
  }

  #runDue(id: string): void {
    if (id === LEASE_SWEEP) {
      this.#leases.sweep().finally(() => this.#planSweep());
      return;
    }
    const credential = this.#roster.get(id);
    const { clock, random } = this.#ports;
    if (!credential?.isWanted(clock.now(), this.#config.daemon.idleAfterMs)) return;
    if (credential.gate.isProbing) {
      // Whatever becomes of the probe, nobody is to follow on its heels.
      this.#scheduler.schedule(id, clock.now() + (1 - random()) * SPREAD_MS);
      return;
    }
    this.#refresher.refresh(credential, 'ahead').catch(() => undefined);
  }

  /** A rejected value may be served again once nobody could have held it stale: somebody may have put it back. */
  #pruneMarks(): void {
    const now = this.#ports.clock.now();
    if (now - this.#prunedAtMs < PRUNE_MS) return;
    this.#prunedAtMs = now;
    const longestMs = Math.max(0, ...[...this.#config.credentials.values()].map(({ maxStaleMs }) => maxStaleMs));
    this.#ports.cache.pruneRejected(now - longestMs);
    for (const credential of this.#roster.credentials) {
      credential.rejected.clear();
      for (const digest of this.#ports.cache.rejectedMarks(credential.name)) credential.rejected.add(digest);
    }
  }

  /** A sweep that is planned already is not put off. */
  #planSweep(): void {
    const dueAtMs = this.#leases.nextSweepAt();
    const plannedAtMs = this.#scheduler.at(LEASE_SWEEP);
    if (dueAtMs === undefined) this.#scheduler.cancel(LEASE_SWEEP);
    else if (plannedAtMs === undefined || dueAtMs < plannedAtMs) this.#scheduler.schedule(LEASE_SWEEP, dueAtMs);
  }

  #recovered(gate: ProviderGate, outage: FailureRecord): void {
    if (outage.failures < OUTAGE_FAILURES) return;
    this.#forgive(gate, (credential) => credential.failure?.record.kind === outage.kind);
  }

  /** Their failures were their provider's: they try again, but not all at the same moment. */
  #forgive(gate: ProviderGate, concerned: (credential: ManagedCredential) => boolean): void {
    const { clock, random } = this.#ports;
    for (const credential of this.#roster.credentials) {
      if (credential.gate !== gate || credential.failure === undefined || !concerned(credential)) continue;
      credential.failure = undefined;
      this.#refresher.schedule(credential, clock.now() + random() * SPREAD_MS);
    }
  }
}

function unknownProvider(name: string, gates: readonly ProviderGate[]): BrokerError {
  return new BrokerError('ERR_USAGE', `there is no provider "${name}"`, {
    remedy: `name one of: ${gates.map((gate) => gate.name).join(', ')}`,
  });
}

function takesNoLogin(name: string): BrokerError {
  return new BrokerError('ERR_USAGE', `nobody can log in to provider "${name}" through the broker`, {
    remedy: 'log in with the tools of that secret system; the broker takes it up at once',
  });
}

function cannotOpen(credential: ManagedCredential): BrokerError {
  return new BrokerError('ERR_INTERNAL', `the key of "${credential.name}" cannot be read back after it was stored`, {
    remedy: 'see `broker status` for the state of the cache, then restart the daemon',
  });
}
