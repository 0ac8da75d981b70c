import { dropsKey, recordFailure, type Urgency } from '../credential/back-off.ts';
import type { KeyVersion } from '../credential/key.ts';
import { certainEnd } from '../credential/life.ts';
import { doubtMarked, secondLookAt } from '../credential/marks.ts';
import { nextRefreshAt, refreshAction, wantedLife } from '../credential/renewal.ts';
import { wipeAll } from '../credential/secret.ts';
import { BrokerError, failedInside, ProviderError, systemRefusal } from '../errors.ts';
import type { Moment } from '../platform/clock.ts';
import type { Call, Provider } from '../providers/provider.ts';
import type { BrokerPorts } from './api.ts';
import type { CredentialSet, ManagedCredential } from './credentials.ts';
import type { EventDetail, EventLog } from './event-log.ts';
import { CircuitOpen, type ProviderGate, recall, withoutShapes } from './gate.ts';
import type { LeaseKeeper } from './leases.ts';
import { keyFromSecret, readOnce, type SecretRead, type SharedRead, startLease } from './reads.ts';
import { Renewals } from './renewals.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * ahead: the scheduler, before a client needs it · behind: after a key past its ttl was served · ask: a client waits ·
 * rejection: a client asked early · person: `broker refresh`, which nothing holds off.
 */
export type RefreshReason = 'ahead' | 'behind' | 'ask' | 'rejection' | 'person';

/** What an outage held up is not all tried at the same moment. */
export const SPREAD_MS = 5_000;

interface RefresherDeps {
  readonly credentials: CredentialSet;
  readonly events: EventLog;
  readonly leases: LeaseKeeper;
  readonly scheduler: Scheduler;
}

/**
 * The one place where the provider is asked for keys, and the only writer of the cache: one refresh per credential at
 * a time, and one read for all credentials that live on the same secret.
 */
export class Refresher {
  readonly #ports: BrokerPorts;
  readonly #deps: RefresherDeps;
  readonly #reads = new Map<string, SharedRead>();
  readonly #renewals: Renewals;
  readonly #overloadedAtMs = new WeakMap<ProviderGate, number>();

  constructor(ports: BrokerPorts, deps: RefresherDeps) {
    this.#ports = ports;
    this.#deps = deps;
    this.#renewals = new Renewals(ports.clock);
  }

  /** Joins a refresh under way. Rejects with a BrokerError; the failure is remembered in the credential. */
  refresh(credential: ManagedCredential, reason: RefreshReason): Promise<void> {
    if (credential.flight !== undefined) return credential.flight.done;
    const startedAtMs = this.#ports.clock.now();
    const done = this.#refresh(credential, reason, startedAtMs);
    done.catch(() => undefined);
    credential.flight = { startedAtMs, done };
    return done;
  }

  /**
   * Plans the next refresh ahead of need; a credential that no client has asked for lately gets none.
   * @param notBeforeMs when one that has no key may be tried again although no failure of its own says so.
   */
  schedule(credential: ManagedCredential, notBeforeMs = 0): void {
    if (credential.isRetired) return;
    const { clock, random } = this.#ports;
    const { scheduler, credentials } = this.#deps;
    const nowMs = clock.now();
    const { failure, living, name } = credential;
    const hasNothing = living === undefined && failure === undefined && notBeforeMs === 0;
    if (credential.waitsForAsk || hasNothing || !credential.isWanted(nowMs, credentials.config.daemon.idleAfterMs)) {
      scheduler.cancel(name);
      return;
    }
    const outages = credential.gate.failures.map(({ record }) => record.nextAttemptAtMs);
    const allowedAtMs = outages.length === 0 ? nowMs : Math.max(nowMs, ...outages) + random() * SPREAD_MS;
    // What failed may have been asked for before its time, by a suspicion or a person: that is no reason to go on early.
    const dueAtMs = living === undefined ? 0 : nextRefreshAt(living, credential, random());
    const retryAtMs = failure?.record.nextAttemptAtMs ?? 0;
    scheduler.schedule(name, Math.max(allowedAtMs, dueAtMs, retryAtMs, notBeforeMs));
  }

  /** When a provider last failed as one that has too much to do. */
  overloadedAtMs(gate: ProviderGate): number {
    return this.#overloadedAtMs.get(gate) ?? Number.NEGATIVE_INFINITY;
  }

  /** Forgets the key everywhere; its lease, if any, is retired. */
  drop(credential: ManagedCredential): void {
    const lease = credential.key?.lease;
    credential.key = undefined;
    this.#ports.cache.remove(credential.name);
    if (lease !== undefined) this.#deps.leases.replaced(lease);
  }

  /** The configuration has no use for it any more, or for a changed one under the same name. */
  retire(credential: ManagedCredential): void {
    this.drop(credential);
    this.#deps.scheduler.cancel(credential.name);
    credential.isRetired = true;
  }

  async #refresh(credential: ManagedCredential, reason: RefreshReason, startedAtMs: number): Promise<void> {
    try {
      // Goes on in a later turn, when `flight` has been set.
      await undefined;
      const hold = credential.holdOff(startedAtMs, URGENCIES[reason]);
      if (hold !== undefined) {
        this.schedule(credential);
        throw recall(hold, credential.name, startedAtMs);
      }
      try {
        const { living } = credential;
        const mayRenew = reason !== 'rejection' && reason !== 'person' && living?.key.lease !== undefined;
        if (mayRenew && refreshAction(living, credential, startedAtMs, reason !== 'ahead') === 'renew') {
          if (await this.#renew(credential, living.key, startedAtMs, URGENCIES[reason])) return;
        }
        await this.#issue(credential, reason);
      } catch (fault) {
        throw this.#fail(credential, fault, reason);
      }
    } finally {
      credential.flight = undefined;
    }
  }

  /** @returns false if the lease is gone, so that a new one has to be issued. */
  async #renew(
    credential: ManagedCredential,
    key: KeyVersion,
    startedAtMs: number,
    urgency: Urgency,
  ): Promise<boolean> {
    const { lease } = key;
    if (lease === undefined) return false;
    try {
      const extended = await this.#renewals.extend({
        gate: credential.gate,
        lease,
        confirmedAtMs: key.confirmedAtMs,
        startedAtMs,
        wantedLifeMs: wantedLife(credential),
        urgency,
        onSend: () => this.#deps.leases.renewing(lease),
      });
      if (extended === undefined) return false;
      const next: KeyVersion = { ...key, confirmedAtMs: startedAtMs, lease: extended };
      this.#ports.cache.touch(next);
      this.#deps.leases.renewed(extended);
      // Dropped or replaced meanwhile: then the renewal was for nothing, and the newer state stays.
      if (credential.key?.digest === key.digest) credential.key = next;
      const seconds = Math.round((extended.expiresAtMs - startedAtMs) / 1000);
      this.#succeed(credential, 'renewed', { seconds }, this.#ports.clock.read());
      return true;
    } catch (fault) {
      if (!(fault instanceof ProviderError) || fault.kind !== 'gone') throw fault;
      this.#deps.events.add('lease-lost', credential.name, { lease: lease.id });
      this.#deps.leases.lost(lease);
      return false;
    }
  }

  async #issue(credential: ManagedCredential, reason: RefreshReason): Promise<void> {
    const { spec, gate } = credential;
    const wasPlain = credential.key !== undefined && credential.key.lease === undefined;
    const request = { source: spec.config.source, wantedLifeMs: wantedLife(credential), wasPlain };
    const ask = async (provider: Provider, call: Call): Promise<SecretRead> => {
      // Only now: it may have waited for a probe to come back.
      const at = this.#ports.clock.read();
      return { secret: await provider.issue(request, call), at };
    };
    using read = await readOnce(this.#reads, spec.readId, () => gate.call(ask, URGENCIES[reason]));
    try {
      this.#adopt(credential, read, reason);
    } finally {
      if (read.secret.lease !== undefined) this.#endUnused(credential, read.secret.lease, read.at);
      const readers = this.#deps.credentials.readersOf(spec.readId);
      if (read.isOwn && read.secret.lease === undefined && readers.size > 1) this.#confirmOthers(readers, read);
    }
  }

  /** A lease whose key is not taken into use (no such field, not a key, changed in the configuration meanwhile): nobody is given it. */
  #endUnused({ gate, name, key }: ManagedCredential, lease: Parameters<typeof startLease>[0], at: Moment): void {
    if (key?.lease?.id !== lease.id) this.#deps.leases.unused(gate, name, startLease(lease, at.nowMs));
  }

  /** Those that live on the same secret and did not ask for it; those that did adopt it themselves. */
  #confirmOthers(readers: Iterable<ManagedCredential>, read: SecretRead): void {
    for (const other of readers) {
      if (other.flight !== undefined || other.key === undefined) continue;
      try {
        this.#adopt(other, read, 'ahead');
      } catch (fault) {
        // The secret as it is now is not fit for that one, which is told when it asks.
        if (!(fault instanceof BrokerError)) throw fault;
      }
    }
  }

  /** Makes what was read the credential's key: validated, journaled, sealed, stored, and only then in use. */
  #adopt(credential: ManagedCredential, read: SecretRead, reason: RefreshReason): void {
    const { cache, clock } = this.#ports;
    const { secret, at } = read;
    if (credential.isRetired) throw changedMeanwhile(credential);
    if (secret.serverTimeMs !== undefined) credential.clockSkewMs = at.wallMs - secret.serverTimeMs;
    const reading = keyFromSecret(credential.spec, read, cache);
    try {
      const previous = credential.key;
      const now = clock.read();
      const isMarked = credential.rejected.has(reading.key.digest);
      if (isMarked && !this.#liftsMark(credential, reading.key, at.nowMs, now)) return;
      const end = certainEnd({ key: reading.key, login: undefined });
      if (end !== undefined && end <= now.nowMs) throw alreadyExpired(credential);
      const same = previous?.digest === reading.key.digest && reading.key.lease === undefined;
      const key = same ? { ...reading.key, issuedAtMs: previous.issuedAtMs } : reading.key;
      if (key.lease !== undefined) this.#deps.leases.issued(credential.gate, credential.name, key.lease);
      if (same) cache.touch(key);
      else cache.put(key, reading.secrets);
      credential.key = key;
      credential.doubt = undefined;
      if (previous?.lease !== undefined && previous.lease.id !== key.lease?.id) {
        this.#deps.leases.replaced(previous.lease);
      }
      const fingerprint = key.digest.slice(0, 8);
      const detail = { reason, ...(key.version === undefined ? {} : { version: key.version }), fingerprint };
      this.#succeed(credential, same ? 'confirmed' : 'refreshed', detail, now);
    } finally {
      wipeAll(reading.secrets);
    }
  }

  /** The provider returned a marked value. @returns false if the key in hand stays until the provider is asked once more. */
  #liftsMark(credential: ManagedCredential, key: KeyVersion, readAtMs: number, now: Moment): boolean {
    const { living, doubt, name } = credential;
    const detail = { fingerprint: key.digest.slice(0, 8) };
    credential.doubt = doubtMarked(key, living?.key, doubt, readAtMs);
    if (credential.doubt !== undefined) {
      this.#succeed(credential, 'doubted', detail, now);
      this.#deps.scheduler.schedule(name, secondLookAt(credential.doubt));
      return false;
    }
    credential.rejected.delete(key.digest);
    this.#ports.cache.clearRejected(name, key.digest);
    this.#deps.events.add('unmarked', name, detail, now.wallMs);
    return true;
  }

  #succeed(credential: ManagedCredential, kind: string, detail: EventDetail, { wallMs }: Moment): void {
    credential.failure = undefined;
    credential.isUnconfirmed = false;
    this.#deps.events.add(kind, credential.name, detail, wallMs);
    this.schedule(credential);
  }

  #fail(credential: ManagedCredential, fault: unknown, reason: RefreshReason): BrokerError {
    const { clock, random, log } = this.#ports;
    if (fault instanceof CircuitOpen) {
      this.schedule(credential);
      return recall(fault.failure, credential.name, clock.now());
    }
    const error =
      fault instanceof ProviderError
        ? withoutShapes(fault)
        : fault instanceof BrokerError
          ? fault
          : unexpected(credential.name, fault);
    // Cut off by our own stop or reload: says nothing about the provider.
    if (credential.gate.isClosed || credential.isRetired) return error;
    const failure = error instanceof ProviderError ? error : OWN_FAULT;
    if (error instanceof ProviderError && error.isOverloaded) this.#overloadedAtMs.set(credential.gate, clock.now());
    const record = recordFailure(credential.failure?.record, failure, clock.now(), random());
    credential.failure = { record, error };
    if (dropsKey(record.kind)) this.drop(credential);
    const { code, message } = error;
    this.#deps.events.add('refresh-failed', credential.name, { reason, code, message, failures: record.failures });
    // The first failure of a row is news; the others are counted in the status.
    const say = record.failures === 1 ? log.warn : log.debug;
    say.call(log, { credential: credential.name, code, kind: record.kind, remedy: error.remedy }, message);
    this.schedule(credential);
    return recall(credential.failure, credential.name, clock.now());
  }
}

/** A fault of the broker itself is not tried more often than a wrong configuration. */
const OWN_FAULT = { kind: 'misconfigured', retryAfterMs: undefined } as const;

const URGENCIES: Readonly<Record<RefreshReason, Urgency>> = {
  ahead: 'unasked',
  behind: 'behind',
  rejection: 'unasked',
  ask: 'ask',
  person: 'person',
};

function changedMeanwhile({ name }: ManagedCredential): BrokerError {
  return new BrokerError('ERR_NO_FIT_KEY', `"${name}" was changed in the configuration while it was fetched`, {
    remedy: 'ask again',
  });
}

/** Transient, since its rotation may only be late. */
function alreadyExpired(credential: ManagedCredential): ProviderError {
  const message = `the key that provider "${credential.gate.name}" returns for "${credential.name}" has expired already`;
  return new ProviderError('transient', message, {
    code: 'ERR_NO_FIT_KEY',
    remedy: 'store a key there that is still valid; if it is, check the clocks of this machine and of the provider',
  });
}

/** What the system refuses passes; anything else is a fault of the broker itself. */
function unexpected(credential: string, fault: unknown): BrokerError {
  const refused = systemRefusal(fault);
  if (refused !== undefined) {
    const { code, message, remedy = '', cause } = refused;
    return new ProviderError('transient', `"${credential}" cannot be refreshed: ${message}`, { code, remedy, cause });
  }
  return failedInside(`refreshing "${credential}"`, fault);
}
