import { type CredentialCache, type SecretFields, VALUE } from '../cache/cache.ts';
import type { CredentialConfig, DaemonConfig } from '../config/config.ts';
import { dropsKey, recordFailure } from '../credential/back-off.ts';
import { decodeJwt, findExpiry } from '../credential/expiry.ts';
import { type KeyVersion, toKey } from '../credential/key.ts';
import { certainEnd, type Lease } from '../credential/life.ts';
import { nextRefreshAt, type RenewalNeeds, refreshAction, wantedLife } from '../credential/renewal.ts';
import { fieldAt, type SecretBytes, selectField } from '../credential/secret.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { IssuedLease, IssuedSecret } from '../providers/provider.ts';
import type { ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import { CircuitOpen } from './gate.ts';
import type { LeaseKeeper } from './leases.ts';
import type { BrokerPorts } from './ports.ts';
import { SharedReads } from './reads.ts';
import { Renewals } from './renewals.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * ahead: the scheduler, before anybody needs it · behind: after a key past its ttl was served · ask: somebody waits ·
 * rejection: somebody asked early · person: `broker refresh`, which nothing holds off.
 */
export type RefreshReason = 'ahead' | 'behind' | 'ask' | 'rejection' | 'person';

/** What an outage held up is not all tried at the same moment. */
export const SPREAD_MS = 5_000;
interface RefresherDeps {
  readonly events: EventLog;
  readonly leases: LeaseKeeper;
  readonly scheduler: Scheduler;
  readonly policy: () => DaemonConfig;
  /** Credentials that read the same secret. */
  readonly readersOf: (readId: string) => Iterable<ManagedCredential>;
}

/**
 * The one place where the provider is asked for keys, and the only writer of the cache: one refresh per credential at
 * a time, whoever asks, and one read for all credentials that live on the same secret.
 */
export class Refresher {
  readonly #ports: BrokerPorts;
  readonly #deps: RefresherDeps;
  readonly #reads: SharedReads;
  readonly #renewals: Renewals;

  constructor(ports: BrokerPorts, deps: RefresherDeps) {
    const { clock } = ports;
    this.#ports = ports;
    this.#deps = deps;
    this.#renewals = new Renewals(clock);
    this.#reads = new SharedReads({
      clock,
      readersOf: deps.readersOf,
      wantedLifeMs: (credential) => this.#wantedLife(credential),
      take: (credential, secret, time, reason) => this.#take(credential, secret, time, reason),
    });
  }

  /** Joins a refresh under way. Rejects with a BrokerError; the failure is remembered in the credential. */
  refresh(credential: ManagedCredential, reason: RefreshReason): Promise<void> {
    if (credential.flight !== undefined) return credential.flight.done;
    const startedAtMs = this.#ports.clock.now();
    // Starts in a later turn, so that `flight` is set before anything can clear it.
    const done = Promise.resolve()
      .then(() => this.#refresh(credential, reason, startedAtMs))
      .finally(() => {
        credential.flight = undefined;
      });
    done.catch(() => undefined);
    credential.flight = { startedAtMs, done };
    return done;
  }

  /**
   * Plans the next refresh ahead of need; a credential that nobody has asked for lately gets none.
   * @param notBeforeMs when one that has no key may be tried again although no failure of its own says so.
   */
  schedule(credential: ManagedCredential, notBeforeMs = 0): void {
    const { clock, random } = this.#ports;
    const now = clock.now();
    const { scheduler } = this.#deps;
    if (credential.isRetired) return;
    if (!credential.isWanted(now, this.#deps.policy().idleAfterMs)) {
      scheduler.cancel(credential.name);
      return;
    }
    const { failure, living } = credential;
    if (failure !== undefined && dropsKey(failure.record.kind)) {
      // Somebody was meant to lose it: only an ask tries again.
      scheduler.cancel(credential.name);
      return;
    }
    const outage = credential.gate.failure;
    const allowedAtMs = outage === undefined ? now : Math.max(now, outage.nextAttemptAtMs) + random() * SPREAD_MS;
    if (living === undefined && failure === undefined && notBeforeMs === 0) {
      scheduler.cancel(credential.name);
      return;
    }
    // What failed may have been asked for before its time, by a suspicion or a person: that is no reason to go on early.
    const dueAtMs = living === undefined ? 0 : nextRefreshAt(living, this.#needs(credential), random());
    const retryAtMs = failure?.record.nextAttemptAtMs ?? 0;
    scheduler.schedule(credential.name, Math.max(allowedAtMs, dueAtMs, retryAtMs, notBeforeMs));
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
    const hold = reason === 'person' ? undefined : credential.holdOff(startedAtMs);
    if (hold !== undefined) {
      this.schedule(credential);
      throw hold.error;
    }
    try {
      const { living } = credential;
      const mayRenew = reason !== 'rejection' && reason !== 'person' && living?.key.lease !== undefined;
      if (mayRenew && refreshAction(living, this.#needs(credential), startedAtMs, reason !== 'ahead') === 'renew') {
        if (await this.#renew(credential, living.key, startedAtMs)) return;
      }
      await this.#reads.issue(credential, reason);
    } catch (fault) {
      throw this.#fail(credential, fault, reason);
    }
  }

  /** @returns false if the lease is gone, so that a new one has to be issued. */
  async #renew(credential: ManagedCredential, key: KeyVersion, startedAtMs: number): Promise<boolean> {
    const { lease } = key;
    if (lease === undefined) return false;
    try {
      const extended = await this.#renewals.extend({
        gate: credential.gate,
        lease,
        confirmedAtMs: key.confirmedAtMs,
        startedAtMs,
        wantedLifeMs: this.#wantedLife(credential),
      });
      if (extended === undefined) return false;
      const next: KeyVersion = { ...key, confirmedAtMs: startedAtMs, lease: extended };
      this.#ports.cache.touch(next);
      this.#deps.leases.renewed(extended);
      // Dropped or replaced meanwhile: then the renewal was for nothing, and the newer state stands.
      if (credential.key?.digest === key.digest) credential.key = next;
      this.#succeed(credential, 'renewed', { seconds: Math.round((extended.expiresAtMs - startedAtMs) / 1000) });
      return true;
    } catch (fault) {
      if (!(fault instanceof ProviderError) || fault.kind !== 'gone') throw fault;
      this.#deps.events.add('lease-lost', credential.name, { lease: lease.id });
      this.#deps.leases.lost(lease);
      return false;
    }
  }

  /** Makes what was read the credential's key: validated, sealed, stored, and only then in use. */
  #take(credential: ManagedCredential, secret: IssuedSecret, time: RequestTime, reason: RefreshReason): void {
    const { cache } = this.#ports;
    const digestOf: CredentialCache['digest'] = (secrets) => cache.digest(secrets);
    const { config, sourceFingerprint } = credential.spec;
    if (credential.isRetired) throw this.#discard(credential, secret, time);
    if (secret.serverTimeMs !== undefined) credential.clockSkewMs = time.wallMs - secret.serverTimeMs;
    const reading = readKey(config, sourceFingerprint, secret, time, digestOf);
    try {
      const previous = credential.key;
      if (credential.rejected.has(reading.key.digest)) throw stillRejected(reading.key);
      if (isOver(reading.key, this.#ports.clock.now())) throw alreadyExpired(credential);
      const same = previous?.digest === reading.key.digest && reading.key.lease === undefined;
      const key = same ? { ...reading.key, issuedAtMs: previous.issuedAtMs } : reading.key;
      if (key.lease !== undefined) this.#deps.leases.issued(credential.gate, credential.name, key.lease);
      if (same) cache.touch(key);
      else cache.put(key, reading.secrets);
      credential.key = key;
      if (previous?.lease !== undefined && previous.lease.id !== key.lease?.id) {
        this.#deps.leases.replaced(previous.lease);
      }
      this.#succeed(credential, same ? 'confirmed' : 'refreshed', {
        reason,
        ...(key.version === undefined ? {} : { version: key.version }),
        fingerprint: key.digest.slice(0, 8),
      });
    } finally {
      wipe(reading.secrets);
    }
  }

  /** The configuration changed while this was read: nobody is given it, and its lease has to end. */
  #discard({ gate, name }: ManagedCredential, secret: IssuedSecret, time: RequestTime): BrokerError {
    if (secret.lease !== undefined) {
      const lease = startLease(secret.lease, time.startedAtMs);
      this.#deps.leases.issued(gate, name, lease);
      this.#deps.leases.replaced(lease);
    }
    return new BrokerError('ERR_NO_FIT_KEY', `"${name}" was changed in the configuration while it was fetched`, {
      remedy: 'ask again',
    });
  }

  #succeed(credential: ManagedCredential, kind: string, detail: Record<string, string | number | boolean>): void {
    credential.failure = undefined;
    this.#deps.events.add(kind, credential.name, detail);
    this.schedule(credential);
  }

  #fail(credential: ManagedCredential, fault: unknown, reason: RefreshReason): BrokerError {
    if (fault instanceof CircuitOpen) {
      this.schedule(credential);
      return fault.error;
    }
    const { clock, random, log } = this.#ports;
    const error = fault instanceof BrokerError ? fault : internalError(credential.name, fault);
    // Cut off by our own stop or reload: says nothing about the provider.
    if (credential.gate.isClosed || credential.isRetired) return error;
    const failure =
      error instanceof ProviderError ? error : { kind: 'misconfigured' as const, retryAfterMs: undefined };
    const record = recordFailure(credential.failure?.record, failure, clock.now(), random());
    credential.failure = { record, error };
    if (dropsKey(record.kind)) this.drop(credential);
    const { code, message } = error;
    this.#deps.events.add('refresh-failed', credential.name, { reason, code, message, failures: record.failures });
    // The first failure of a row is news; the others are counted in the status.
    const say = record.failures === 1 ? log.warn : log.debug;
    say.call(log, { credential: credential.name, code, kind: record.kind, remedy: error.remedy }, message);
    this.schedule(credential);
    return error;
  }

  #wantedLife(credential: ManagedCredential): number {
    return wantedLife(this.#needs(credential));
  }

  #needs(credential: ManagedCredential): RenewalNeeds {
    return { longestIntervalMs: credential.longestIntervalMs, turnMarginMs: this.#deps.policy().turnMarginMs };
  }
}

function isOver(key: KeyVersion, nowMs: number): boolean {
  const end = certainEnd({ key, login: undefined });
  return end !== undefined && end <= nowMs;
}

/** Transient, since whoever rotates it may only be late. */
function alreadyExpired(credential: ManagedCredential): ProviderError {
  const message = `the key that provider "${credential.gate.name}" returns for "${credential.name}" has expired already`;
  return new ProviderError('transient', message, {
    code: 'ERR_NO_FIT_KEY',
    remedy: 'store a key there that is still valid; if it is, check the clocks of this machine and of the provider',
  });
}

function stillRejected(key: KeyVersion): ProviderError {
  const version = key.version === undefined ? 'the same key' : `version ${key.version}`;
  return new ProviderError('transient', `the provider still returns ${version}, which the API has rejected`, {
    code: 'ERR_KEY_REJECTED',
    remedy: `store a valid key there; to try this one again all the same: broker refresh ${key.credential}`,
  });
}

/** A fault of the broker itself. Foreign error texts may hold anything, so only the type is told. */
function internalError(credential: string, fault: unknown): BrokerError {
  const type = fault instanceof Error ? fault.name : typeof fault;
  return new BrokerError('ERR_INTERNAL', `refreshing "${credential}" failed inside the broker (${type})`, {
    remedy: 'this is a bug in broker: please report it with the output of `broker events`',
    cause: fault,
  });
}

/** When the request was made that a secret came from. */
export interface RequestTime {
  /** Start, on the steady clock. */
  readonly startedAtMs: number;
  /** The wall clock at the start: used where the provider does not tell its own time. */
  readonly wallMs: number;
}

/** A key ready to be sealed; the receiver wipes `secrets`. */
interface Reading {
  readonly key: KeyVersion;
  readonly secrets: SecretFields;
}

/**
 * Turns what a provider answered into the key that a credential wants from it.
 * @throws ProviderError `misconfigured` if there is no such field or its value is no key.
 */
function readKey(
  credential: CredentialConfig,
  sourceFingerprint: string,
  secret: IssuedSecret,
  time: RequestTime,
  digestOf: CredentialCache['digest'],
): Reading {
  const secrets = selectSecrets(credential, secret);
  const value = secrets.get(VALUE);
  const jwt = value === undefined ? undefined : decodeJwt(value.bytes);
  const { content } = secret;
  const field =
    credential.expiresField !== undefined && content.kind === 'json'
      ? fieldAt(content.json, credential.expiresField)
      : undefined;
  const ttlMs = secret.ttlHintMs === undefined ? credential.ttlMs : Math.min(credential.ttlMs, secret.ttlHintMs);
  const key: KeyVersion = {
    credential: credential.name,
    sourceFingerprint,
    version: secret.version,
    digest: digestOf(secrets),
    issuedAtMs: time.startedAtMs,
    confirmedAtMs: time.startedAtMs,
    ...findExpiry({
      requestedAtMs: time.startedAtMs,
      serverNowMs: secret.serverTimeMs ?? time.wallMs,
      jwtExpiresAtMs: jwt?.expiresAtMs,
      providerExpiresAtMs: secret.expiresAtServerMs,
      field,
    }),
    ttlMs,
    lease: secret.lease && startLease(secret.lease, time.startedAtMs),
    isJwt: jwt !== undefined,
  };
  return { key, secrets };
}

/** A lease runs from the start of the request: the broker's view of it ends before the provider's does. */
function startLease(lease: IssuedLease, startedAtMs: number): Lease {
  return {
    id: lease.id,
    issuedAtMs: startedAtMs,
    expiresAtMs: startedAtMs + lease.durationMs,
    renewable: lease.renewable,
    maxExpiresAtMs: lease.maxDurationMs === undefined ? undefined : startedAtMs + lease.maxDurationMs,
    loginId: lease.loginId,
  };
}

function selectSecrets(credential: CredentialConfig, { content }: IssuedSecret): SecretFields {
  if (content.kind === 'text') {
    const wanted = credential.field ?? (credential.fields && Object.values(credential.fields)[0]);
    if (wanted !== undefined) {
      throw new ProviderError('misconfigured', `the secret is plain text, so it has no field "${wanted}"`, {
        remedy: 'remove `field` from the credential, or store the secret as a JSON object',
      });
    }
    return new Map([[VALUE, toKey(content.text.bytes, 'the secret')]]);
  }
  const wanted = Object.entries(credential.fields ?? { [VALUE]: credential.field });
  const secrets = new Map<string, SecretBytes>();
  try {
    for (const [name, path] of wanted) {
      const { value, origin } = selectField(content.json, path);
      secrets.set(name, toKeyFromText(value, origin));
    }
  } catch (fault) {
    wipe(secrets);
    throw fault;
  }
  return secrets;
}

function toKeyFromText(text: string, origin: string): SecretBytes {
  const raw = Buffer.from(text, 'utf8');
  try {
    return toKey(raw, origin);
  } finally {
    raw.fill(0);
  }
}

function wipe(secrets: SecretFields): void {
  for (const secret of secrets.values()) secret.wipe();
}
