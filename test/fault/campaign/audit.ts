import type { LeaseRecord } from '../../fakes/dev-vault/leases.ts';

/** How long a replaced value may still be served while Vault answers: twice its ttl, and a little more. Default: for a ttl of 2 s. */
const STALE_MS = 20_000;
/** From the bytes of an answer in a daemon's socket to what the daemon made of it, on a machine with more to do than it can. */
const GRACE_MS = 5_000;
/** The same where a daemon was killed: it cannot have written down what it had not read. */
const UNREAD_MS = 2_000;
/** A lease is counted from when it was asked for, and so ends here before it ends in Vault. */
const EARLIER_END_MS = 5_000;

/** One ask, as a helper or a client made it. */
interface Asked {
  readonly name: string;
  readonly value: string;
  readonly atMs: number;
  /** The machine itself stood still meanwhile: then nobody can be held to a time. */
  readonly isStalled?: boolean;
}

/** Where the time of a lease comes from. */
interface LeaseBook {
  live(): readonly LeaseRecord[];
}

/**
 * What Vault gave out, to whom and until when, and which of it reached a daemon: whether an answer was right is judged by this alone, and
 * not by how fast anybody was.
 */
export class Audit {
  readonly #staleMs: number;
  /** Each value of each fixed key, in the order in which they were stored. */
  readonly #values = new Map<string, Map<string, Stored>>();
  readonly #leases = new Map<string, Granted>();
  readonly #endsMs: number[] = [];

  constructor(staleMs = STALE_MS) {
    this.#staleMs = staleMs;
  }

  /** A new value in Vault. */
  stored(name: string, value: string, atMs: number): void {
    const values = this.#values.get(name) ?? new Map<string, Stored>();
    for (const former of values.values()) former.replacedAtMs ??= atMs;
    values.set(value, { replacedAtMs: undefined, reachedAtMs: undefined });
    this.#values.set(name, values);
  }

  /** What Vault has by now. */
  present(name: string): string {
    return [...(this.#values.get(name)?.keys() ?? [])].at(-1) ?? '';
  }

  /** The whole answer with this value is in the socket of the daemon that asked. */
  reached(value: string, atMs: number): void {
    for (const values of this.#values.values()) {
      const stored = values.get(value);
      if (stored !== undefined) stored.reachedAtMs = atMs;
    }
  }

  /** The same for one with a lease. */
  leaseReached(id: string, atMs: number): void {
    this.#granted(id).reachedAtMs = atMs;
  }

  /** The daemon ended: what it had and had not written down is lost. */
  daemonEnded(atMs: number): void {
    this.#endsMs.push(atMs);
  }

  /** What is wrong with an answer; undefined: nothing. @param lease that of a leased key. */
  flawOf({ name, value, atMs, isStalled = false }: Asked, lease?: LeaseRecord): string | undefined {
    if (lease !== undefined) {
      this.#granted(lease.id).isServed = true;
      const endMs = Math.min(lease.endedAtMs ?? Number.POSITIVE_INFINITY, lease.expiresAtMs);
      return endMs < atMs ? `${name}: its lease ${lease.id} ended ${atMs - endMs} ms ago` : undefined;
    }
    const values = this.#values.get(name);
    const stored = values?.get(value);
    if (values === undefined || stored === undefined) return `${name}: ${value.slice(0, 40)} is not one of its keys`;
    const { replacedAtMs } = stored;
    if (replacedAtMs === undefined || replacedAtMs > atMs || isStalled) return undefined;
    const since = Math.max(replacedAtMs, this.#lastEnd(atMs));
    const newer = [...values.values()].slice([...values.keys()].indexOf(value) + 1);
    const told = newer.find(({ reachedAtMs = 0 }) => reachedAtMs > since && reachedAtMs < atMs - GRACE_MS);
    if (told?.reachedAtMs !== undefined) {
      return `${name}: ${value} was replaced ${atMs - replacedAtMs} ms ago, and this daemon was told of another ${atMs - told.reachedAtMs} ms ago`;
    }
    const toldNothing = `${name}: ${value} was replaced ${atMs - replacedAtMs} ms ago, and this daemon has not asked since`;
    return atMs - since > this.#staleMs ? toldNothing : undefined;
  }

  /**
   * Leases that live in Vault and that no daemon knows any more. In flight: granted, and no helper was given its key, because the daemon was
   * killed before it had read the answer, or within a moment of that; nobody can know them, and they lapse.
   * @param nowMs What ends just now is not looked at.
   * @param destroyedAtMs When the journal itself was lost last, with database or key: what was in it lapses.
   */
  forgotten(
    vault: LeaseBook,
    journalled: readonly string[],
    nowMs: number,
    destroyedAtMs = 0,
  ): { forgotten: string[]; inFlight: number } {
    const forgotten: string[] = [];
    let inFlight = 0;
    for (const { id, issuedAtMs, expiresAtMs } of vault.live()) {
      if (journalled.includes(id) || issuedAtMs <= destroyedAtMs || expiresAtMs < nowMs + EARLIER_END_MS) continue;
      const { reachedAtMs, isServed } = this.#granted(id);
      const endMs = this.#endsMs.find((atMs) => atMs >= issuedAtMs);
      const wasRead = reachedAtMs !== undefined && endMs !== undefined && reachedAtMs < endMs - UNREAD_MS;
      if (!isServed && endMs !== undefined && !wasRead) inFlight += 1;
      else
        forgotten.push(
          `${id}, granted ${describe(issuedAtMs, endMs)}, its answer read ${describe(reachedAtMs, endMs)}, ${isServed ? '' : 'not '}served`,
        );
    }
    return { forgotten, inFlight };
  }

  #lastEnd(beforeMs: number): number {
    return Math.max(0, ...this.#endsMs.filter((atMs) => atMs <= beforeMs));
  }

  #granted(id: string): Granted {
    const granted = this.#leases.get(id) ?? { reachedAtMs: undefined, isServed: false };
    this.#leases.set(id, granted);
    return granted;
  }
}

interface Stored {
  replacedAtMs: number | undefined;
  reachedAtMs: number | undefined;
}

interface Granted {
  reachedAtMs: number | undefined;
  isServed: boolean;
}

function describe(atMs: number | undefined, endMs: number | undefined): string {
  if (atMs === undefined) return 'never';
  return endMs === undefined ? 'after the last kill' : `${endMs - atMs} ms before a kill`;
}
