import type { LeaseEntry } from '../cache/cache.ts';
import type { KeyVersion } from '../credential/key.ts';
import type { Lease } from '../credential/life.ts';
import { BrokerError, ProviderError } from '../errors.ts';
import type { Client } from '../platform/process-tree.ts';
import type { BrokerPorts } from './api.ts';
import type { EventLog } from './event-log.ts';
import { CircuitOpen, type ProviderGate } from './gate.ts';

/** How often replaced leases are looked at while there are any. */
const SWEEP_MS = 60_000;
/** Who held a lease is not known after a restart; a holder has asked again by then, unless it keeps keys for longer. */
const UNKNOWN_HOLD_MS = 60 * 60_000;
/** In the journal as the time of replacement: the next daemon, too, revokes the lease without asking who holds it. */
const REVOKE_AT_ONCE_MS = 0;
/** The last answer with a lease may still be on its way when that lease is replaced. */
const HANDOVER_MS = 10_000;

interface Holder {
  readonly client: Client;
  /** Since when it has had a newer key; undefined: it still lives on this lease. */
  newerSinceMs: number | undefined;
}

interface HeldLease {
  readonly gate: ProviderGate;
  readonly credential: string;
  lease: Lease;
  replacedAtMs: number | undefined;
  readonly holders: Map<string, Holder>;
  /** A client that could not be identified was given it: it is never revoked, it lapses. */
  anonymous: boolean;
  /** Until then a client from before a restart may hold it. */
  unknownUntilMs: number;
  /** A renewal was sent and has not been answered: the provider may let it live longer than is known here. */
  mayLiveOn: boolean;
  /** Its revocation is under way. */
  isEnding: boolean;
}

/**
 * Leases from journal to revocation: written down before a client is given the key, and revoked once they are replaced
 * and no client can hold them any more. A login that no lease depends on any longer is retired.
 */
export class LeaseKeeper {
  readonly #ports: BrokerPorts;
  readonly #events: EventLog;
  readonly #turnMarginMs: () => number;
  readonly #onReplaced: () => void;
  readonly #leases = new Map<string, HeldLease>();
  /** Every answer looks here, so that it does not matter how many leases others have. */
  readonly #byCredential = new Map<string, Set<HeldLease>>();
  readonly #retirements = new Set<Promise<void>>();
  readonly #endings = new Set<Promise<void>>();

  /** @param onReplaced there is something to sweep. */
  constructor(ports: BrokerPorts, events: EventLog, turnMarginMs: () => number, onReplaced: () => void) {
    this.#ports = ports;
    this.#events = events;
    this.#turnMarginMs = turnMarginMs;
    this.#onReplaced = onReplaced;
  }

  /** Whether the last daemon was told to revoke something and could not: that waits for nobody. After `resume`. */
  get hasForced(): boolean {
    return [...this.#leases.values()].some(({ replacedAtMs }) => replacedAtMs === REVOKE_AT_ONCE_MS);
  }

  /** When to sweep next; undefined: nothing to do. */
  nextSweepAt(): number | undefined {
    const soonMs = this.#ports.clock.now() + SWEEP_MS;
    let nextMs: number | undefined;
    for (const held of this.#leases.values()) {
      if (held.replacedAtMs === undefined) continue;
      // Until it ends nothing can be done about a lease whose holder is not known.
      const waitMs = held.anonymous ? Number.POSITIVE_INFINITY : Math.max(soonMs, held.unknownUntilMs);
      const atMs = Math.max(soonMs, Math.min(waitMs, endOf(held)));
      if (nextMs === undefined || atMs < nextMs) nextMs = atMs;
    }
    return nextMs;
  }

  /** To be called before the key of this lease is put into the cache. */
  issued(gate: ProviderGate, credential: string, lease: Lease): void {
    this.#take(gate, credential, lease, undefined);
  }

  /** It was issued, and nobody was given its key or will be. */
  unused(gate: ProviderGate, credential: string, lease: Lease): void {
    this.#take(gate, credential, lease, REVOKE_AT_ONCE_MS);
    this.#onReplaced();
  }

  #take(gate: ProviderGate, credential: string, lease: Lease, replacedAtMs: number | undefined): void {
    this.#hold({
      gate,
      credential,
      lease,
      replacedAtMs,
      holders: new Map(),
      anonymous: false,
      unknownUntilMs: 0,
      mayLiveOn: false,
      isEnding: false,
    });
    this.#journal(lease.id);
  }

  /** To be called before the provider is asked: nobody may be there any more to hear what it answers. */
  renewing({ id }: Lease): void {
    const held = this.#leases.get(id);
    if (held === undefined || held.mayLiveOn) return;
    held.mayLiveOn = true;
    this.#journal(id);
  }

  renewed(lease: Lease): void {
    const held = this.#leases.get(lease.id);
    if (held === undefined) return;
    held.lease = lease;
    held.mayLiveOn = false;
    this.#journal(lease.id);
  }

  /** The credential has another key by now, or none. */
  replaced(lease: Lease): void {
    const held = this.#leases.get(lease.id);
    if (held === undefined || held.replacedAtMs !== undefined) return;
    held.replacedAtMs = this.#ports.clock.now();
    this.#journal(lease.id);
    this.#onReplaced();
  }

  /** The provider says that it is gone. */
  lost(lease: Lease): void {
    this.#forget(lease.id);
  }

  /** The key, which may have been replaced since, was written to this client completely. */
  delivered(key: KeyVersion, client: Client | undefined, nowMs: number): void {
    for (const held of this.#byCredential.get(key.credential) ?? []) {
      if (held.lease.id === key.lease?.id) {
        if (client === undefined) held.anonymous = true;
        else held.holders.set(client.id, { client, newerSinceMs: undefined });
      } else if (client !== undefined && held.replacedAtMs !== undefined) {
        const holder = held.holders.get(client.id);
        if (holder !== undefined) holder.newerSinceMs ??= nowMs;
      }
    }
  }

  /** At start: what the last daemon left behind. `isCurrent` tells the leases whose keys are on record. */
  resume(entries: readonly LeaseEntry[], gateOf: (provider: string) => ProviderGate | undefined): void {
    const now = this.#ports.clock.now();
    for (const entry of entries) {
      const gate = gateOf(entry.provider);
      if (gate === undefined || endOf(entry) <= now) {
        this.#ports.cache.forgetLease(entry.provider, entry.lease.id);
        continue;
      }
      this.#hold({
        gate,
        credential: entry.credential,
        lease: entry.lease,
        replacedAtMs: entry.replacedAtMs,
        holders: new Map(),
        anonymous: false,
        unknownUntilMs: entry.replacedAtMs === REVOKE_AT_ONCE_MS ? 0 : now + UNKNOWN_HOLD_MS,
        mayLiveOn: entry.mayLiveOn === true,
        isEnding: false,
      });
    }
  }

  /** After `resume`: journaled leases whose keys never reached the cache, so that no client can have them. */
  releaseOrphans(currentLeaseIds: ReadonlySet<string>): void {
    for (const held of this.#leases.values()) {
      if (held.replacedAtMs !== undefined || currentLeaseIds.has(held.lease.id)) continue;
      held.unknownUntilMs = 0;
      this.replaced(held.lease);
    }
  }

  /** Leases that can only be revoked through this gate. */
  dependOn(gate: ProviderGate): boolean {
    return [...this.#leases.values()].some((held) => held.gate === gate);
  }

  /** A provider that is no longer configured is needed for its last leases only. */
  closeIfUnused(gate: ProviderGate): void {
    if (gate.isAbandoned && !this.dependOn(gate)) gate.close();
  }

  /** Revokes what no client can hold any more. Resolves when every revocation has been answered. */
  async sweep(): Promise<void> {
    await Promise.all(
      [...this.#leases.values()].filter((held) => this.#isReleased(held)).map((held) => this.#end(held)),
    );
  }

  /** On a real stop with `revoke_on_exit`: everything, held or not. */
  async revokeAll(): Promise<void> {
    await Promise.all([...this.#leases.values()].map((held) => this.#endForced(held)));
    await this.settled();
  }

  /** A person drops a credential's key and wants its lease gone. */
  async revokeNow(lease: Lease): Promise<void> {
    const held = this.#leases.get(lease.id);
    if (held !== undefined) await this.#endForced(held);
  }

  /** Nobody can have the keys of this credential any more: whatever it still has is revoked. */
  async endOf(credential: string): Promise<void> {
    await Promise.all([...(this.#byCredential.get(credential) ?? [])].map((held) => this.#endForced(held)));
  }

  /** Nothing is under way any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#endings, ...this.#retirements]);
  }

  #isReleased(held: HeldLease): boolean {
    const now = this.#ports.clock.now();
    if (held.replacedAtMs === undefined) return false;
    if (endOf(held) <= now) return true;
    if (held.anonymous || now < held.unknownUntilMs || now - held.replacedAtMs < HANDOVER_MS) return false;
    for (const { client, newerSinceMs } of held.holders.values()) {
      const letGo = newerSinceMs !== undefined && now - newerSinceMs >= this.#turnMarginMs();
      if (!letGo && this.#ports.isAlive(client)) return false;
    }
    return true;
  }

  /** If the provider cannot be reached now it is revoked when it can, by this daemon or the next. */
  #endForced(held: HeldLease): Promise<void> {
    held.replacedAtMs = REVOKE_AT_ONCE_MS;
    held.unknownUntilMs = 0;
    held.anonymous = false;
    held.holders.clear();
    this.#journal(held.lease.id);
    this.#onReplaced();
    return this.#end(held, true);
  }

  #end(held: HeldLease, forced = false): Promise<void> {
    if (held.isEnding) return Promise.resolve();
    if (endOf(held) <= this.#ports.clock.now()) {
      this.#forget(held.lease.id);
      return Promise.resolve();
    }
    held.isEnding = true;
    const ending = this.#revoke(held, forced).finally(() => {
      held.isEnding = false;
      this.#endings.delete(ending);
    });
    this.#endings.add(ending);
    return ending;
  }

  async #revoke({ gate, lease, credential }: HeldLease, forced: boolean): Promise<void> {
    try {
      await gate.call(
        (provider, call) => provider.revoke?.(lease, call) ?? Promise.resolve(),
        forced ? 'person' : 'unasked',
      );
      this.#events.add('lease-revoked', credential, { lease: lease.id });
    } catch (fault) {
      const isFinal = isLastWord(fault);
      if (isFinal || forced) {
        const reason = fault instanceof BrokerError ? fault.message : 'internal error';
        this.#events.add('lease-not-revoked', credential, { lease: lease.id, reason });
      }
      if (!isFinal) return;
    }
    this.#forget(lease.id);
  }

  #hold(held: HeldLease): void {
    const former = this.#leases.get(held.lease.id);
    if (former !== undefined) this.#byCredential.get(former.credential)?.delete(former);
    this.#leases.set(held.lease.id, held);
    const others = this.#byCredential.get(held.credential) ?? new Set();
    this.#byCredential.set(held.credential, others.add(held));
  }

  #forget(leaseId: string): void {
    const held = this.#leases.get(leaseId);
    if (held === undefined) return;
    this.#leases.delete(leaseId);
    const others = this.#byCredential.get(held.credential);
    others?.delete(held);
    if (others?.size === 0) this.#byCredential.delete(held.credential);
    this.#ports.cache.forgetLease(held.gate.name, leaseId);
    const { gate, lease } = held;
    const retired =
      lease.loginId === undefined || this.#isNeeded(gate, lease.loginId)
        ? Promise.resolve()
        : this.#retireLogin(gate, lease.loginId);
    this.#retirements.add(retired);
    retired.then(() => {
      this.#retirements.delete(retired);
      this.closeIfUnused(gate);
    });
  }

  async #retireLogin(gate: ProviderGate, loginId: string): Promise<void> {
    try {
      await gate.call((provider, call) => provider.retireLogin?.(loginId, call) ?? Promise.resolve());
    } catch (fault) {
      const reason = fault instanceof BrokerError ? fault.message : 'internal error';
      this.#ports.log.info({ provider: gate.name, reason }, 'a login that is no longer needed was not revoked');
    }
  }

  #isNeeded(gate: ProviderGate, loginId: string): boolean {
    for (const held of this.#leases.values()) {
      if (held.gate === gate && held.lease.loginId === loginId) return true;
    }
    return false;
  }

  #journal(leaseId: string): void {
    const held = this.#leases.get(leaseId);
    if (held === undefined) return;
    this.#ports.cache.journalLease({
      provider: held.gate.name,
      credential: held.credential,
      lease: held.lease,
      state: held.replacedAtMs === undefined ? 'live' : 'replaced',
      replacedAtMs: held.replacedAtMs,
      ...(held.mayLiveOn ? { mayLiveOn: true } : {}),
    });
  }
}

/** From then on there is nothing left to revoke: a renewal grants no more than what there was. */
function endOf({ lease, mayLiveOn = false }: Pick<LeaseEntry, 'lease' | 'mayLiveOn'>): number {
  const { issuedAtMs, expiresAtMs, maxExpiresAtMs = Number.POSITIVE_INFINITY } = lease;
  return mayLiveOn ? Math.min(maxExpiresAtMs, expiresAtMs + (expiresAtMs - issuedAtMs)) : expiresAtMs;
}

/** Not ours to revoke, no longer there, or a fault of the broker: said once, then it is left to lapse. */
function isLastWord(fault: unknown): boolean {
  if (fault instanceof ProviderError) return fault.kind !== 'transient' && fault.kind !== 'login-expired';
  const wasNotAsked = fault instanceof CircuitOpen || fault instanceof BrokerError;
  return !wasNotAsked;
}
