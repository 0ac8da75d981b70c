import type { KeyVersion } from '../credential/key.ts';
import type { Login } from '../credential/life.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { ArmedCheck, ClientRecord, LeaseEntry } from './cache.ts';

/** What is on record about each kind of thing. A key and a login have a secret besides, which is sealed, with where it comes from. */
export interface RecordFacts {
  readonly key: KeyVersion;
  readonly login: LoginFacts;
  readonly lease: LeaseEntry;
  readonly rejected: RejectedMark;
  readonly refusals: LoginRefusals;
  readonly timeline: Timeline;
  readonly client: ClientRecord;
  readonly check: ArmedCheck;
}

export type Kind = keyof RecordFacts;

export interface LoginFacts {
  readonly provider: string;
  readonly fingerprint: string;
  readonly login: Login;
}

export interface RejectedMark {
  readonly credential: string;
  readonly digest: string;
  readonly atMs: number;
}

/** When logins with one account were refused: wrong logins are counted over restarts. */
export interface LoginRefusals {
  /** A digest. */
  readonly account: string;
  readonly atMs: readonly number[];
}

/** A record as the database holds it. `sealed` is bound to all the rest as it is written here; see Sealer. */
export interface Row {
  readonly kind: string;
  readonly id: string;
  /** JSON. */
  readonly facts: string;
  readonly sealed: Buffer;
}

export interface Stored<K extends Kind> {
  readonly facts: RecordFacts[K];
  readonly row: Row;
}

/** What tells two records of one kind apart. Ids of leases and logins are unique only within their provider. */
const IDS: { readonly [K in Kind]: (facts: RecordFacts[K]) => string } = {
  key: ({ credential }) => credential,
  login: ({ provider, login }) => idWithin(provider, login.id),
  lease: ({ provider, lease }) => idWithin(provider, lease.id),
  rejected: ({ credential, digest }) => idWithin(credential, digest),
  refusals: ({ account }) => account,
  timeline: () => '',
  client: ({ id }) => id,
  check: ({ credential }) => credential,
};

/** Names of providers and credentials hold no line break. */
export function idWithin(name: string, id: string): string {
  return `${name}\n${id}`;
}

export function idOf<K extends Kind>(kind: K, facts: RecordFacts[K]): string {
  return IDS[kind](facts);
}

export function isKind(word: string): word is Kind {
  return Object.hasOwn(IDS, word);
}

/**
 * Everything the cache knows but events, secrets sealed. Memory leads and the database follows: an answer needs no
 * SELECT, and a disk that fails costs persistence, never an answer.
 */
export class Records {
  readonly #byKind: { readonly [K in Kind]: Map<string, Stored<K>> } = {
    key: new Map(),
    login: new Map(),
    lease: new Map(),
    rejected: new Map(),
    refusals: new Map(),
    timeline: new Map(),
    client: new Map(),
    check: new Map(),
  };

  get isEmpty(): boolean {
    return Object.values(this.#byKind).every(({ size }) => size === 0);
  }

  get<K extends Kind>(kind: K, id: string): Stored<K> | undefined {
    return this.#byKind[kind].get(id);
  }

  all<K extends Kind>(kind: K): Stored<K>[] {
    return [...this.#byKind[kind].values()];
  }

  rows(): Row[] {
    return Object.values(this.#byKind).flatMap((records) => [...records.values()].map(({ row }) => row));
  }

  put<K extends Kind>(stored: Stored<K>): void {
    this.#byKind[stored.row.kind as K].set(stored.row.id, stored);
  }

  delete(kind: Kind, id: string): void {
    this.#byKind[kind].delete(id);
  }

  /** The same facts about other rows: everything wrapped by another key. */
  map(change: (row: Row) => Row): Records {
    const changed = new Records();
    for (const records of Object.values(this.#byKind)) {
      for (const { facts, row } of records.values()) changed.put({ facts, row: change(row) });
    }
    return changed;
  }
}
