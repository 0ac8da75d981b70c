import { VERDICT_WAIT_MS } from '../credential/rejection.ts';
import {
  FULL_BUDGET,
  mayRead,
  noteIssue,
  noteReadBegun,
  noteReadEnded,
  noteSuspicion,
  type ReadBudget,
} from '../credential/suspicion-reads.ts';
import { sleep, waitUntil } from '../platform/waiting.ts';
import type { BrokerPorts } from './api.ts';
import type { ManagedCredential } from './credentials.ts';
import type { ProviderGate } from './gate.ts';
import type { Refresher } from './refresher.ts';

/** Of one provider at the same time. */
const MOST_READS = 4;
/** After a 429 or 5xx a provider is not asked because of suspicions. */
const PEACE_MS = 60_000;

interface Reading {
  readonly done: Promise<void>;
  readonly startedAtMs: number;
}

/** The provider asked because of a suspicion: one read for everybody, and no more of them than provider and budget allow. */
export class SuspicionReads {
  readonly #ports: BrokerPorts;
  readonly #refresher: Refresher;
  readonly #budgets = new WeakMap<ManagedCredential, ReadBudget>();
  readonly #readings = new WeakMap<ManagedCredential, Reading>();
  readonly #underWay = new WeakMap<ProviderGate, number>();
  /** Digests of the leased keys that a suspicion made the provider issue. */
  readonly #issued = new WeakMap<ManagedCredential, string>();

  constructor(ports: BrokerPorts, refresher: Refresher) {
    this.#ports = ports;
    this.#refresher = refresher;
  }

  budget(credential: ManagedCredential): ReadBudget {
    return this.#budgets.get(credential) ?? FULL_BUDGET;
  }

  /** When a read began that is still under way and may bring a verdict: not one that tries whether the provider is back. */
  pendingSinceMs(credential: ManagedCredential): number | undefined {
    if (credential.lastFailure !== undefined) return undefined;
    return this.#readings.get(credential)?.startedAtMs ?? credential.flight?.startedAtMs;
  }

  /** Whether the key in hand was issued because of a suspicion. */
  issuedBySuspicion(credential: ManagedCredential): boolean {
    return credential.key !== undefined && this.#issued.get(credential) === credential.key.digest;
  }

  /**
   * Asks the provider, if it may be asked now.
   * @param mayIssue a leased key is worth a new lease.
   * @returns what to wait for: nothing while the provider is known to be down.
   */
  begin(credential: ManagedCredential, mayIssue: boolean): Reading | undefined {
    const nowMs = this.#ports.clock.now();
    this.#budgets.set(credential, noteSuspicion(this.budget(credential), nowMs));
    const isDown = credential.lastFailure !== undefined;
    // A refresh for another reason answers the question as well.
    const underWay = this.#readings.get(credential) ?? credential.flight;
    const reading = underWay ?? this.#begin(credential, mayIssue, nowMs);
    return isDown ? undefined : reading;
  }

  /** For the provider's word, until two seconds after it was asked. */
  async wait({ done, startedAtMs }: Reading, signal: AbortSignal): Promise<void> {
    try {
      await waitUntil(this.#ports.clock, done, startedAtMs + VERDICT_WAIT_MS, signal);
    } catch {
      // No verdict. If the provider's answer dropped the key, the caller sees that there is nothing to serve.
      signal.throwIfAborted();
    }
  }

  #begin(credential: ManagedCredential, mayIssue: boolean, nowMs: number): Reading | undefined {
    const { random } = this.#ports;
    const { gate, key } = credential;
    const isLeased = key?.lease !== undefined;
    if ((isLeased && !mayIssue) || credential.holdOff(nowMs, 'unasked') !== undefined) return undefined;
    if (nowMs - this.#refresher.overloadedAtMs(gate) < PEACE_MS) return undefined;
    if ((this.#underWay.get(gate) ?? 0) >= MOST_READS) return undefined;
    const budget = this.budget(credential);
    const delayMs = mayRead(budget, nowMs, isLeased, random);
    if (delayMs === undefined) return undefined;
    this.#budgets.set(credential, noteReadBegun(budget, nowMs));
    const reading = { startedAtMs: nowMs, done: this.#ask(credential, delayMs) };
    // Nobody may be waiting for it.
    reading.done.catch(() => undefined);
    this.#readings.set(credential, reading);
    return reading;
  }

  async #ask(credential: ManagedCredential, delayMs: number): Promise<void> {
    const { clock } = this.#ports;
    const { gate, key: before } = credential;
    this.#underWay.set(gate, (this.#underWay.get(gate) ?? 0) + 1);
    try {
      if (delayMs > 0) await sleep(delayMs, clock);
      await this.#refresher.refresh(credential, 'rejection');
      const { key } = credential;
      let budget = noteReadEnded(this.budget(credential), key?.digest !== before?.digest);
      if (key?.lease !== undefined && key.lease.id !== before?.lease?.id) {
        budget = noteIssue(budget, clock.now());
        this.#issued.set(credential, key.digest);
      }
      this.#budgets.set(credential, budget);
    } finally {
      this.#readings.delete(credential);
      this.#underWay.set(gate, (this.#underWay.get(gate) ?? 1) - 1);
    }
  }
}
