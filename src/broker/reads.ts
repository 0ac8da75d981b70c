import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { IssuedSecret } from '../providers/provider.ts';
import type { ManagedCredential } from './credentials.ts';
import type { RefreshReason, RequestTime } from './refresher.ts';

type Outcome = Map<ManagedCredential, BrokerError | undefined>;

interface GroupRead {
  readonly members: Set<ManagedCredential>;
  /** What became of each member; `leased`: the answer belongs to the first one alone. */
  readonly done: Promise<Outcome | 'leased'>;
}

interface SharedReadsDeps {
  readonly clock: Clock;
  /** How long a key of this credential is wanted to live. */
  readonly wantedLifeMs: (credential: ManagedCredential) => number;
  /** Credentials that read the same secret. */
  readonly readersOf: (readId: string) => Iterable<ManagedCredential>;
  /** Makes what was read the credential's key. @throws BrokerError why it cannot be. */
  readonly take: (
    credential: ManagedCredential,
    secret: IssuedSecret,
    time: RequestTime,
    reason: RefreshReason,
  ) => void;
}

/** One read for all credentials that live on the same secret, unless what is read is a lease. */
export class SharedReads {
  readonly #deps: SharedReadsDeps;
  readonly #reads = new Map<string, GroupRead>();

  constructor(deps: SharedReadsDeps) {
    this.#deps = deps;
  }

  /** @throws BrokerError what the provider said, or why this credential cannot use it. */
  async issue(credential: ManagedCredential, reason: RefreshReason): Promise<void> {
    const { readId } = credential.spec;
    for (;;) {
      const shared = this.#reads.get(readId);
      if (shared === undefined) break;
      shared.members.add(credential);
      const outcome = await shared.done;
      // Leased, or joined after it was dealt out: nothing was read for this one.
      if (outcome === 'leased' || !outcome.has(credential)) continue;
      const fault = outcome.get(credential);
      if (fault !== undefined) throw fault;
      return;
    }
    const members = new Set([credential]);
    const done = this.#readFor(credential, members, reason).finally(() => this.#reads.delete(readId));
    this.#reads.set(readId, { members, done });
    const outcome = await done;
    if (outcome === 'leased') return;
    const fault = outcome.get(credential);
    if (fault !== undefined) throw fault;
  }

  async #readFor(
    first: ManagedCredential,
    members: ReadonlySet<ManagedCredential>,
    reason: RefreshReason,
  ): Promise<Outcome | 'leased'> {
    const { clock, take, readersOf } = this.#deps;
    let time: RequestTime = { startedAtMs: clock.now(), wallMs: clock.wall() };
    const request = { source: first.spec.config.source, wantedLifeMs: this.#deps.wantedLifeMs(first) };
    const secret = await first.gate.call((provider, call) => {
      // Only now: it may have waited for a probe to come back.
      time = { startedAtMs: clock.now(), wallMs: clock.wall() };
      return provider.issue(request, call);
    }, reason === 'person');
    try {
      if (secret.lease !== undefined) {
        take(first, secret, time, reason);
        return 'leased';
      }
      const outcome: Outcome = new Map();
      for (const member of members) outcome.set(member, this.#tryTake(member, secret, time, reason));
      for (const reader of readersOf(first.spec.readId)) {
        if (!outcome.has(reader) && reader.key !== undefined) this.#tryTake(reader, secret, time, 'ahead');
      }
      return outcome;
    } finally {
      if (secret.content.kind === 'text') secret.content.text.wipe();
    }
  }

  #tryTake(
    credential: ManagedCredential,
    secret: IssuedSecret,
    time: RequestTime,
    reason: RefreshReason,
  ): BrokerError | undefined {
    try {
      this.#deps.take(credential, secret, time, reason);
      return undefined;
    } catch (fault) {
      if (fault instanceof BrokerError) return fault;
      throw fault;
    }
  }
}
