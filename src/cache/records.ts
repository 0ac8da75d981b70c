import type { KeyVersion } from '../credential/key.ts';
import type { Login } from '../credential/life.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { LeaseEntry } from './cache.ts';

export interface SealedKey {
  readonly key: KeyVersion;
  readonly sealed: Buffer;
}

export interface SealedLogin {
  readonly provider: string;
  readonly fingerprint: string;
  readonly login: Login;
  readonly sealed: Buffer;
}

export interface RejectedMark {
  readonly credential: string;
  readonly digest: string;
  readonly atMs: number;
}

/**
 * Everything the cache knows but events, secrets sealed. Memory leads and the database follows: an answer needs no
 * SELECT, and a disk that fails costs persistence, never an answer.
 */
export class Records {
  readonly keys = new Map<string, SealedKey>();
  readonly logins = new Map<string, SealedLogin>();
  readonly leases = new Map<string, LeaseEntry>();
  readonly rejected = new Map<string, Map<string, number>>();
  timeline: Timeline | undefined;

  get isEmpty(): boolean {
    const tables = [this.keys, this.logins, this.leases, this.rejected];
    return this.timeline === undefined && tables.every((table) => table.size === 0);
  }

  addKey(record: SealedKey): void {
    this.keys.set(record.key.credential, record);
  }

  addLogin(record: SealedLogin): void {
    this.logins.set(idWithin(record.provider, record.login.id), record);
  }

  addLease(entry: LeaseEntry): void {
    this.leases.set(idWithin(entry.provider, entry.lease.id), entry);
  }

  addRejected({ credential, digest, atMs }: RejectedMark): void {
    const marks = this.rejected.get(credential);
    if (marks === undefined) this.rejected.set(credential, new Map([[digest, atMs]]));
    else marks.set(digest, atMs);
  }

  rejectedMarks(): RejectedMark[] {
    return [...this.rejected].flatMap(([credential, marks]) =>
      [...marks].map(([digest, atMs]) => ({ credential, digest, atMs })),
    );
  }

  pruneRejected(beforeMs: number): void {
    for (const [credential, marks] of this.rejected) {
      for (const [digest, atMs] of marks) if (atMs < beforeMs) marks.delete(digest);
      if (marks.size === 0) this.rejected.delete(credential);
    }
  }
}

/** Ids are unique only within their provider. Provider names hold no line break. */
export function idWithin(provider: string, id: string): string {
  return `${provider}\n${id}`;
}
