import type { Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import { type AllowWord, unseen } from '../platform/attestation.ts';
import { waitUntil } from '../platform/waiting.ts';
import type { BrokerEvent, CheckReport, CredentialStatus, HealthReport, StatusReport } from '../protocol/reports.ts';
import type { Call } from '../providers/provider.ts';
import { Answering } from './answering.ts';
import type { Ask, BrokerApi, BrokerPorts, EventQuery, OpenedKey } from './api.ts';
import { type BrokerSetup, CredentialSet, type ManagedCredential } from './credentials.ts';
import { EventLog } from './event-log.ts';
import { KeyChecks } from './key-checks.ts';
import { LeaseKeeper } from './leases.ts';
import { type KeptKey, Lending } from './lending.ts';
import { Logins } from './logins.ts';
import { Refresher, SPREAD_MS } from './refresher.ts';
import { RejectionDetector } from './rejection-detector.ts';
import { Scheduler, TICK_MS } from './scheduler.ts';
import { isSessionName, Sessions } from './sessions.ts';
import { type DaemonFacts, describeCredential, describeDaemon, describeHealth } from './status.ts';

/** No credential has a name like this, so it can share the scheduler with them. */
const LEASE_SWEEP = '#leases';
/** A timer this late did not run late: the machine slept. */
const SLEPT_MS = 5_000;

/** Marks of rejected values live a day and more; they are looked through this often, and once at the start. */
const PRUNE_MS = 60 * 60_000;

/** For what may be a lease when its provider is closed: nobody could revoke one that never came to the journal. */
const ISSUING_MS = 1_000;

/** One request after another, judged by policy and answered; see docs/architecture.md for the two walks. */
export class Broker implements BrokerApi {
  readonly #ports: BrokerPorts;
  readonly #facts: () => DaemonFacts;
  readonly #credentials: CredentialSet;
  readonly #events: EventLog;
  readonly #scheduler: Scheduler;
  readonly #leases: LeaseKeeper;
  readonly #refresher: Refresher;
  readonly #sessions: Sessions;
  readonly #logins: Logins;
  readonly #answering: Answering;
  readonly #lending: Lending;
  readonly #checks: KeyChecks;
  readonly #rejections: RejectionDetector;
  #tickedAtMs = 0;
  #prunedAtMs = 0;

  constructor(ports: BrokerPorts, setup: BrokerSetup, facts: () => DaemonFacts) {
    this.#ports = ports;
    this.#facts = facts;
    const credentials = new CredentialSet(ports, setup.config);
    const events = new EventLog(ports);
    const scheduler = new Scheduler(ports.clock, this.#runDue.bind(this), this.#lookAround.bind(this));
    const leases = new LeaseKeeper(
      ports,
      events,
      () => credentials.config.daemon.turnMarginMs,
      () => this.#planSweep(),
    );
    this.#credentials = credentials;
    this.#events = events;
    this.#scheduler = scheduler;
    this.#leases = leases;
    const refresher = new Refresher(ports, { credentials, events, leases, scheduler });
    const sessions = new Sessions(ports, { credentials, events, leases, refresher });
    const logins = new Logins(ports, { credentials, sessions, events, refresher });
    this.#refresher = refresher;
    this.#sessions = sessions;
    this.#logins = logins;
    this.#answering = new Answering(ports, refresher, logins);
    this.#lending = new Lending(ports, { credentials, refresher, events, logins });
    this.#checks = new KeyChecks(ports);
    this.#rejections = new RejectionDetector(ports, events, refresher, this.#checks);
    this.#adopt(setup);
    leases.resume(ports.cache.leases(), (name) => credentials.gate(name));
    leases.releaseOrphans(this.#currentLeases());
    sessions.endLeftOvers();
    this.#pruneMarks(ports.clock.now());
    if (leases.hasForced) scheduler.schedule(LEASE_SWEEP, ports.clock.now());
    this.#planSweep();
  }

  async answer(ask: Ask): Promise<OpenedKey> {
    const configured = this.#credentials.find(ask.credential);
    const { allow } = configured.spec.config;
    if (ask.format === 'env') requireLendable(configured);
    if (allow !== undefined) this.#admit(configured, ask, allow);
    const credential =
      configured.spec.config.scope === 'session' ? this.#sessions.credentialFor(configured, ask) : configured;
    configured.lastAskedAtMs = ask.at.nowMs;
    const { idleAfterMs } = this.#credentials.config.daemon;
    const isNewInterval = credential.noteAsk(ask.at.nowMs, ask.intervalMs, idleAfterMs);
    try {
      const at = await this.#rejections.consider(credential, ask);
      const opened = await this.#answering.find(credential, ask, at);
      if (isNewInterval || this.#scheduler.at(credential.name) === undefined) this.#refresher.schedule(credential);
      const { key, state, secrets } = opened;
      if (credential !== configured) this.#sessions.answered(credential, key);
      const delivered = this.#delivered.bind(this, configured, credential.name, opened, ask);
      return { key, state, secrets, at: opened.at, delivered };
    } catch (fault) {
      // The configuration changed meanwhile: what failed is no longer what was asked for.
      if (credential.isRetired) return this.answer(ask);
      throw fault;
    }
  }

  /** @throws as Lending.keep. The caller wipes the secret. */
  keep(name: string, call: Call, had: string | undefined, isSpent: boolean): Promise<KeptKey> {
    return this.#lending.keep(name, call, had, isSpent);
  }

  /** Of what `keep` keeps: the version of the present key, and how often clients were given one. Undefined: no such credential. */
  glance(name: string): { readonly version: string | undefined; readonly timesServed: number } | undefined {
    const credential = this.#credentials.get(name);
    return credential && { version: credential.living?.key.digest, timesServed: credential.timesServed };
  }

  /** Before anything else, so that a call that is refused starts no refresh and keeps none going. */
  #admit({ name }: ManagedCredential, ask: Ask, allow: readonly AllowWord[]): void {
    const verdict = ask.attest?.(allow) ?? unseen('nothing shows who asks');
    if (verdict.allowed) return;
    const { clause, taken, why, remedy, client } = verdict;
    this.#events.add('caller-refused', name, { clause, taken, why, remedy, client: client?.pid ?? 0 });
    const message = `"${name}" is for Claude Code's own helper calls, and this was taken for ${taken}: ${why}`;
    throw new BrokerError('ERR_CALLER_REFUSED', message, { remedy });
  }

  async refresh(name: string | undefined): Promise<CredentialStatus> {
    const configured = this.#credentials.find(name);
    const sessions = this.#sessions.of(configured.name);
    if (sessions.length > 0) {
      await Promise.all(sessions.map((session) => this.#refresh(session)));
      return this.#describe(configured);
    }
    return this.#refresh(configured);
  }

  async #refresh(credential: ManagedCredential): Promise<CredentialStatus> {
    credential.rejected.clear();
    this.#ports.cache.clearRejected(credential.name);
    this.#logins.noticeChange(credential.gate);
    credential.gate.allowLogin();
    this.#checks.forget(credential);
    await this.#refresher.refresh(credential, 'person');
    return this.#describe(credential);
  }

  async refreshAll(): Promise<readonly CredentialStatus[]> {
    const all = [...this.#credentials];
    await Promise.allSettled(all.map((credential) => this.refresh(credential.name)));
    return all.map((credential) => this.#describe(credential));
  }

  async check(name: string | undefined): Promise<CheckReport> {
    const credential = this.#credentials.find(name);
    if (credential.living === undefined && credential.spec.check !== undefined) await this.refresh(credential.name);
    const report = await this.#checks.arm(credential);
    const { word, seen, armed } = report;
    this.#events.add('checked', credential.name, { word, seen, armed });
    return report;
  }

  async invalidate(name: string | undefined): Promise<CredentialStatus> {
    const credential = this.#credentials.find(name);
    const lease = credential.key?.lease;
    this.#sessions.endAll(credential.name);
    this.#refresher.drop(credential);
    credential.failure = undefined;
    this.#scheduler.cancel(credential.name);
    this.#events.add('invalidated', credential.name);
    if (lease !== undefined) await this.#leases.revokeNow(lease);
    return this.#describe(credential);
  }

  /** @throws as Logins.take. The caller wipes the token. */
  takeLogin(provider: string, token: SecretBytes): Promise<Login> {
    return this.#logins.take(provider, token);
  }

  /** @throws as Logins.drop. */
  dropLogin(provider: string): Promise<void> {
    return this.#logins.drop(provider);
  }

  status(): StatusReport {
    const at = this.#ports.clock.read();
    return {
      daemon: describeDaemon(this.#facts(), at),
      credentials: [...this.#credentials].map((credential) => this.#describe(credential, at)),
    };
  }

  health(): HealthReport {
    return describeHealth(this.#everyCredential(), this.#facts(), this.#ports.clock.now());
  }

  events(query: EventQuery): readonly BrokerEvent[] {
    return this.#events.query(query);
  }

  onEvents(listener: () => void): () => void {
    return this.#events.listen(listener);
  }

  /** Takes over a changed configuration; credentials and providers that did not change keep everything. */
  reconfigure(setup: BrokerSetup): void {
    this.#adopt(setup);
    this.#events.add('reconfigured', undefined, { credentials: this.#credentials.size });
  }

  /** The cache found its database again: what was stored there and what is in memory have been joined. */
  reloadCache(): void {
    this.#credentials.reload();
    this.#sessions.adopt();
    this.#rejections.forgetClients();
  }

  /** The machine slept or the clock was set: what is due is done now, spread out, and a lost network is forgiven. */
  noticeWake(): void {
    this.#wakeUp();
    this.#scheduler.catchUp();
  }

  *#everyCredential(): Iterable<ManagedCredential> {
    yield* this.#credentials;
    yield* this.#sessions;
  }

  #wakeUp(): void {
    const now = this.#ports.clock.now();
    for (const gate of this.#credentials.gates()) gate.forgiveTransient();
    for (const credential of this.#everyCredential()) {
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
    for (const credential of this.#everyCredential()) {
      if (credential.key?.lease !== undefined) this.#refresher.drop(credential);
    }
    await this.#leases.revokeAll();
  }

  /** What is under way at a provider is given up, at once unless it may be a lease; these stay in the journal for the next start. */
  async stop(): Promise<void> {
    this.#scheduler.stop();
    const issuing = [...this.#everyCredential()].filter(mayBeIssuing).map(({ flight }) => flight?.done);
    if (issuing.length > 0) {
      const { clock } = this.#ports;
      await waitUntil(clock, Promise.allSettled(issuing), clock.now() + ISSUING_MS);
    }
    this.#sessions.stop();
    for (const gate of this.#credentials.gates()) gate.close();
    await this.#leases.settled();
    this.#rejections.saveClients();
    this.#events.flush();
  }

  #adopt(setup: BrokerSetup): void {
    const issuers = new Set([...this.#everyCredential()].filter(mayBeIssuing).map(({ gate }) => gate));
    this.#credentials.adopt(setup, {
      retire: (credential) => this.#refresher.retire(credential),
      abandon: (gate) => {
        const close = () => this.#leases.closeIfUnused(gate);
        if (issuers.has(gate)) this.#ports.clock.after(ISSUING_MS, close);
        else close();
      },
      onRecovery: (gate, outage, concerns) => this.#logins.recovered(gate, outage, concerns),
      loansTo: (provider, names) => this.#lending.to(provider, names),
      mayKeep: isSessionName,
    });
    this.#sessions.adopt();
  }

  #currentLeases(): Set<string> {
    const ids = new Set<string>();
    for (const { key } of this.#everyCredential()) if (key?.lease !== undefined) ids.add(key.lease.id);
    return ids;
  }

  #describe(credential: ManagedCredential, at = this.#ports.clock.read()): CredentialStatus {
    const { config } = this.#credentials;
    const shown = this.#sessions.exampleOf(credential);
    const nextRefreshAtMs = this.#scheduler.at(shown.name);
    const isCheckArmed = this.#checks.isArmed(credential);
    const sink = config.credentials.get(credential.name)?.sink && this.#facts().sinkOf?.(credential.name);
    const sessions = this.#sessions.of(credential.name).length;
    const view = { at, config, nextRefreshAtMs, isCheckArmed, sessions, sink: sink || undefined };
    return { ...describeCredential(shown, view), name: credential.name, timesServed: credential.timesServed };
  }

  #delivered(
    configured: ManagedCredential,
    name: string,
    { key, state }: Omit<OpenedKey, 'delivered'>,
    ask: Ask,
  ): void {
    const { client } = ask;
    const at = this.#ports.clock.read();
    configured.timesServed += 1;
    // Whatever the program starts has the key too, and nobody sees who: its lease is left to lapse.
    this.#leases.delivered(key, ask.format === 'env' ? undefined : client, at.nowMs);
    this.#rejections.served(ask, key, at);
    const fingerprint = key.digest.slice(0, 8);
    const inEnvironment = ask.format === 'env' ? { format: 'env' } : {};
    const served = { state, client: client?.name ?? 'unknown', pid: client?.pid ?? 0, fingerprint, ...inEnvironment };
    this.#events.add('served', name, served, at.wallMs);
  }

  #runDue(id: string): void {
    if (id === LEASE_SWEEP) {
      this.#leases.sweep().finally(() => this.#planSweep());
      return;
    }
    const credential = this.#credentials.get(id) ?? this.#sessions.get(id);
    const { clock, random } = this.#ports;
    if (!credential?.isWanted(clock.now(), this.#credentials.config.daemon.idleAfterMs)) return;
    // Its provider's login may have ended since this was planned.
    if (credential.waitsForAsk) return;
    if (credential.gate.probe !== undefined) {
      // Whatever becomes of the probe, the others do not follow at once.
      this.#scheduler.schedule(id, clock.now() + (1 - random()) * SPREAD_MS);
      return;
    }
    this.#refresher.refresh(credential, 'ahead').catch(() => undefined);
  }

  #lookAround(lateMs: number, nowMs: number): void {
    if (lateMs >= SLEPT_MS) this.#wakeUp();
    if (nowMs - this.#tickedAtMs < TICK_MS) return;
    this.#tickedAtMs = nowMs;
    this.#ports.onTick();
    this.#pruneMarks(nowMs);
  }

  /** A rejected value may be served again once it is older than any stale key: it may have been stored again since. */
  #pruneMarks(nowMs: number): void {
    if (nowMs - this.#prunedAtMs < PRUNE_MS) return;
    this.#prunedAtMs = nowMs;
    const longestMs = Math.max(
      0,
      ...[...this.#credentials.config.credentials.values()].map(({ maxStaleMs }) => maxStaleMs),
    );
    this.#credentials.pruneRejected(nowMs - longestMs);
  }

  /** A sweep that is planned already is not put off. */
  #planSweep(): void {
    const dueAtMs = this.#leases.nextSweepAt();
    const plannedAtMs = this.#scheduler.at(LEASE_SWEEP);
    if (dueAtMs === undefined) this.#scheduler.cancel(LEASE_SWEEP);
    else if (plannedAtMs === undefined || dueAtMs < plannedAtMs) this.#scheduler.schedule(LEASE_SWEEP, dueAtMs);
  }
}

/** What is in an environment goes to every program that this one starts, and nobody sees who has it or until when. */
function requireLendable({ name, spec: { config } }: ManagedCredential): void {
  const [setting, why] =
    config.allow !== undefined
      ? ['allow', 'is for some callers only']
      : config.scope === 'session'
        ? ['scope = "session"', 'has a lease for each process, which ends with it']
        : [];
  if (setting === undefined) return;
  const message = `"${name}" ${why} (${setting}), and an environment is inherited by every program that is started`;
  const remedy = `make another credential, without ${setting}, for programs that read their key from a variable`;
  throw new BrokerError('ERR_CALLER_REFUSED', message, { remedy });
}

/** A read is under way, and nothing shows that what it returns is not a lease. */
function mayBeIssuing({ flight, key }: ManagedCredential): boolean {
  return flight !== undefined && (key === undefined || key.lease !== undefined);
}
