import type { KeyVersion } from '../credential/key.ts';
import type { Lease, Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import type { RecordedKek } from '../crypto/kek-locator.ts';
import { type RotateOptions, type Rotation, type RotationHost, rotate } from '../crypto/rotation.ts';
import type { Timeline } from '../platform/timeline.ts';
import type { KeyHome } from '../protocol/reports.ts';
import { EventJournal, type NumberedEvent } from './events.ts';
import { ForgottenRecords, FormerMarks, mergeInto, runsOn } from './merge.ts';
import { type Attached, attach, type CacheOptions, type Detached } from './open.ts';
import { type Contents, Persistence, type SqliteStore } from './persistence.ts';
import { idWithin, Records } from './records.ts';
import { removeUnusedKek } from './recovery.ts';
import { Sealer } from './sealer.ts';
import { wipeSecrets } from './secret-fields.ts';

/** A key's values by field name; the single value of a plain credential is under `VALUE`. */
export type SecretFields = ReadonlyMap<string, SecretBytes>;
export const VALUE = 'value';

/**
 * Sealed keys, login tokens, rejected marks and the lease journal: everything that outlives the daemon. Synchronous,
 * because SQLite is. Every write is one transaction. A cache that cannot reach its key-encryption key keeps working
 * from memory and says so in `health()`.
 */
export interface CredentialCache {
  /** Every key on record, for the start of the daemon. */
  keys(): readonly KeyVersion[];
  /** Seals and stores, replacing the credential's former key. Copies the secrets; the caller still owns and wipes them. */
  put(key: KeyVersion, secrets: SecretFields): void;
  /** New metadata for the stored key with the same digest (confirmed again, lease renewed): re-sealed, since metadata is authenticated. */
  touch(key: KeyVersion): void;
  /** Unseals for one answer; the caller wipes. Undefined if there is none or it does not authenticate. */
  open(credential: string): SecretFields | undefined;
  remove(credential: string): void;

  /**
   * Keyed digest of a value: stable across restarts, useless to anybody without the key-encryption key. Compute it before
   * asking for `rejectedMarks`: a mark made while the key was out of reach is found again by the digest of its value.
   */
  digest(secrets: SecretFields): string;

  /** A value the API rejected: never served again to anybody, until pruned. */
  markRejected(credential: string, digest: string, atMs: number): void;
  rejectedMarks(credential: string): readonly string[];
  /** A person wants them tried again. */
  clearRejected(credential: string): void;
  pruneRejected(beforeMs: number): void;

  /** Journals a lease before anybody is given its key; `state` replaced: to be revoked. */
  journalLease(entry: LeaseEntry): void;
  forgetLease(provider: string, leaseId: string): void;
  leases(): readonly LeaseEntry[];

  saveLogin(provider: string, fingerprint: string, login: Login, token: SecretBytes): void;
  removeLogin(provider: string, loginId: string): void;
  logins(provider: string, fingerprint: string): readonly { login: Login; token: SecretBytes }[];

  appendEvents(events: readonly StoredEvent[]): void;
  /** Newest last; `afterId` for following. */
  events(query: {
    readonly afterId?: number;
    readonly limit: number;
  }): readonly (StoredEvent & { readonly id: number })[];

  /** Where the steady clock stood when the last daemon saved it; see Timeline. */
  timeline(): Timeline | undefined;
  saveTimeline(timeline: Timeline): void;

  health(): CacheHealth;
  close(): void;
}

export interface LeaseEntry {
  readonly provider: string;
  readonly credential: string;
  readonly lease: Lease;
  readonly state: 'live' | 'replaced';
  readonly replacedAtMs: number | undefined;
}

/** What happened, for `broker events`; `detail` never holds a key, a token or a password. */
export interface StoredEvent {
  readonly atMs: number;
  readonly kind: string;
  readonly credential: string | undefined;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export interface CacheHealth {
  readonly persistent: boolean;
  /** Why nothing is stored, or (while persistent) that a damaged database was set aside; undefined when all is well. */
  readonly problem: string | undefined;
  readonly remedy: string | undefined;
  /** For people. */
  readonly keyEncryptionKeyHome: string;
  /** Undefined while the key cannot be reached. */
  readonly keyHome: KeyHome | undefined;
}

/** The database that memory is written through to, and the home of the key that seals it. */
interface Backing {
  readonly persistence: Persistence;
  readonly home: Attached['home'];
}

/** A keyring that refuses to remove a key is left in peace for a while. */
const REMOVE_AGAIN_MS = 600_000;

/**
 * The cache: everything sealed in memory, written through to SQLite. Answers are given from memory, so neither a disk
 * that fails nor a database that is damaged reaches them. Without database or key-encryption key it works from memory
 * under a key of its own until `retry()` finds both, and then brings what it has into the database.
 */
export class SqliteCache implements CredentialCache {
  readonly #options: CacheOptions | undefined;
  readonly #events = new EventJournal();
  #records: Records;
  #sealer: Sealer;
  #backing: Backing | undefined;
  #detached: Detached | undefined;
  #forgotten = new ForgottenRecords();
  #former: FormerMarks | undefined;
  #timelineHint: Timeline | undefined;
  /** What is done one after the other: it waits for keepers and changes which key seals. */
  #turn: Promise<unknown> = Promise.resolve();
  #unused: RecordedKek | undefined;
  #removeAgainMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  /** Without options: memory only, for good. */
  constructor(options?: CacheOptions) {
    this.#options = options;
    this.#records = new Records();
    this.#sealer = Sealer.ephemeral();
    if (options === undefined) return;
    const found = attach(options);
    if (found.state === 'attached') this.#take(found, options);
    else this.#stayDetached(found, options);
  }

  keys(): readonly KeyVersion[] {
    return [...this.#records.keys.values()].map(({ key }) => key);
  }

  put(key: KeyVersion, secrets: SecretFields): void {
    const record = { key, sealed: this.#sealer.sealKey(key, secrets) };
    this.#records.addKey(record);
    this.#write((store) => store.keys.put(record));
  }

  touch(key: KeyVersion): void {
    if (this.#records.keys.get(key.credential)?.key.digest !== key.digest) return;
    const secrets = this.open(key.credential);
    if (secrets === undefined) return;
    try {
      this.put(key, secrets);
    } finally {
      wipeSecrets(secrets);
    }
  }

  open(credential: string): SecretFields | undefined {
    const record = this.#records.keys.get(credential);
    return record && this.#sealer.openKey(record.key, record.sealed);
  }

  remove(credential: string): void {
    this.#records.keys.delete(credential);
    if (this.#detached !== undefined) this.#forgotten.keys.add(credential);
    this.#write((store) => store.keys.remove(credential));
  }

  digest(secrets: SecretFields): string {
    const digest = this.#sealer.digest(secrets);
    for (const mark of this.#former?.translate(secrets, digest) ?? []) {
      this.markRejected(mark.credential, mark.digest, mark.atMs);
    }
    return digest;
  }

  markRejected(credential: string, digest: string, atMs: number): void {
    const mark = { credential, digest, atMs: requireTime(atMs) };
    this.#records.addRejected(mark);
    this.#write((store) => store.rejected.put(mark));
  }

  rejectedMarks(credential: string): readonly string[] {
    return [...(this.#records.rejected.get(credential)?.keys() ?? [])];
  }

  clearRejected(credential: string): void {
    this.#records.rejected.delete(credential);
    this.#write((store) => store.rejected.remove(credential));
  }

  pruneRejected(beforeMs: number): void {
    this.#records.pruneRejected(requireTime(beforeMs));
    this.#write((store) => store.rejected.prune(beforeMs));
  }

  journalLease(entry: LeaseEntry): void {
    const mac = this.#sealer.leaseMac(entry);
    this.#records.addLease(entry);
    this.#write((store) => store.leases.put({ entry, mac }));
  }

  forgetLease(provider: string, leaseId: string): void {
    this.#records.leases.delete(idWithin(provider, leaseId));
    if (this.#detached !== undefined) this.#forgotten.leases.add(idWithin(provider, leaseId));
    this.#write((store) => store.leases.remove(provider, leaseId));
  }

  leases(): readonly LeaseEntry[] {
    return [...this.#records.leases.values()];
  }

  saveLogin(provider: string, fingerprint: string, login: Login, token: SecretBytes): void {
    const record = {
      provider,
      fingerprint,
      login,
      sealed: this.#sealer.sealLogin(provider, fingerprint, login, token),
    };
    this.#records.addLogin(record);
    this.#write((store) => store.logins.put(record));
  }

  removeLogin(provider: string, loginId: string): void {
    this.#records.logins.delete(idWithin(provider, loginId));
    if (this.#detached !== undefined) this.#forgotten.logins.add(idWithin(provider, loginId));
    this.#write((store) => store.logins.remove(provider, loginId));
  }

  logins(provider: string, fingerprint: string): readonly { login: Login; token: SecretBytes }[] {
    return [...this.#records.logins.values()]
      .filter((record) => record.provider === provider && record.fingerprint === fingerprint)
      .flatMap(({ login, sealed }) => {
        const token = this.#sealer.openLogin(provider, fingerprint, login, sealed);
        return token === undefined ? [] : [{ login, token }];
      });
  }

  appendEvents(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    for (const event of events) requireTime(event.atMs);
    this.#events.add(events);
    this.#write(
      (store) => this.#events.flush(store),
      () => this.#events.written(),
    );
    this.#events.trim();
  }

  events({ afterId, limit }: { afterId?: number; limit: number }): readonly NumberedEvent[] {
    if (limit < 1) return [];
    const read = (store?: SqliteStore) =>
      afterId === undefined ? this.#events.newest(limit, store) : this.#events.after(afterId, limit, store);
    return this.#backing === undefined ? read() : this.#backing.persistence.read(read, read);
  }

  timeline(): Timeline | undefined {
    return this.#records.timeline ?? this.#timelineHint;
  }

  saveTimeline(timeline: Timeline): void {
    const mac = this.#sealer.timelineMac(timeline);
    this.#records.timeline = timeline;
    this.#write((store) => store.meta.putTimeline({ timeline, mac }));
  }

  health(): CacheHealth {
    if (this.#backing === undefined) {
      const home = 'none: an ephemeral key in memory';
      const { problem, remedy } = this.#detached ?? { problem: undefined, remedy: undefined };
      return { persistent: false, problem, remedy, keyEncryptionKeyHome: home, keyHome: undefined };
    }
    const { persistence, home } = this.#backing;
    const { problem, remedy } = persistence.behind ?? persistence.notice ?? { problem: undefined, remedy: undefined };
    const { description, kind: keyHome } = home;
    return {
      persistent: persistence.behind === undefined,
      problem,
      remedy,
      keyEncryptionKeyHome: description,
      keyHome,
    };
  }

  /**
   * Tries again what could not be reached or written before. True if the cache became persistent just now out of
   * memory: then keys, leases and logins may have joined, and digests have changed, so whoever copied `keys()` reads
   * them again. Costs nothing while all is well; call it from time to time while `health().persistent` is false.
   */
  retry(): boolean {
    if (this.#backing !== undefined) {
      if (this.#backing.persistence.behind !== undefined)
        this.#backing.persistence.catchUp(this.#contents(this.#backing));
      return false;
    }
    if (this.#options === undefined || this.#isClosed) return false;
    const found = attach(this.#options, this.#detached?.notice);
    if (found.state === 'detached') {
      if (found.problem !== this.#detached?.problem) tellDetached(found, this.#options);
      this.#detached = found;
      return false;
    }
    this.#take(found, this.#options);
    return true;
  }

  /** Whether only `reach` can go on from here: a keeper has to be asked. */
  get awaitsKeeper(): boolean {
    return this.#detached?.notYet === true || this.#unused !== undefined;
  }

  /**
   * What `retry` does, and what it cannot do: asks the keepers of keys for the one that is missing, and has one removed
   * that seals nothing any more. True as `retry()` is; takes a few seconds at most, and never rejects.
   */
  reach(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.retry()) return true;
      const joined = this.#detached?.cause === 'key' && (await this.#look());
      await this.#removeUnused();
      return joined;
    });
  }

  /**
   * A new key-encryption key, everything wrapped anew in one transaction. With `discard` a database whose key is lost
   * is set aside first, and what is in memory goes into a new one. Rejects with a BrokerError if it cannot be done;
   * whatever happens, the database stays readable with the key that it names.
   */
  rotateKey(options: RotateOptions = {}): Promise<Rotation> {
    const host: RotationHost = {
      detached: () => this.#detached,
      contents: () => this.#backing && this.#contents(this.#backing),
      persistence: () => this.#backing?.persistence,
      attach: (found, cacheOptions) => this.#take(found, cacheOptions),
      replace: ({ records, sealer, home }) => {
        this.#records = records;
        this.#sealer = sealer;
        if (this.#backing !== undefined) this.#backing = { ...this.#backing, home };
      },
      unused: (kek) => this.#noteUnused(kek),
    };
    return this.#inTurn(async () => {
      // Whoever gives up what a key sealed shall not do so because nobody has looked lately.
      if (this.#detached?.cause === 'key') await this.#look(true);
      return await rotate(options, this.#options, host);
    });
  }

  /** For when nobody asks: what the database keeps at hand is read again when it is needed. */
  releaseMemory(): void {
    this.#backing?.persistence.releaseMemory();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#backing === undefined) return;
    if (this.#backing.persistence.behind !== undefined)
      this.#backing.persistence.catchUp(this.#contents(this.#backing));
    this.#backing.persistence.close();
    this.#backing = undefined;
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #look(now = false): Promise<boolean> {
    const looks = (this.#options?.kekHomes ?? []).map((home) => home.keeper?.look(now));
    return (await Promise.all(looks)).some((looked) => looked) && this.retry();
  }

  async #removeUnused(): Promise<void> {
    const options = this.#options;
    if (this.#unused === undefined || options === undefined || options.wallMs() < this.#removeAgainMs) return;
    this.#removeAgainMs = options.wallMs() + REMOVE_AGAIN_MS;
    const left = await removeUnusedKek(this.#unused, this.#sealer.kek.id, options);
    if (left === undefined) this.#noteUnused(undefined);
  }

  #noteUnused(unused: RecordedKek | undefined): void {
    this.#unused = unused;
    if (unused === undefined) this.#write((store) => store.meta.recordUnusedKek(undefined));
  }

  #take(found: Attached, options: CacheOptions): void {
    const { records, sealer } = found;
    const clock = this.#records.timeline ?? this.#timelineHint;
    if (clock !== undefined && records.keys.size > 0 && !runsOn(records.timeline, clock)) {
      options.log.warn({}, 'stored keys were dropped: their times are not on the timeline that the clock runs on');
      records.keys.clear();
    }
    const untranslated = mergeInto(records, sealer, this.#records, this.#sealer, this.#forgotten);
    if (untranslated.length > 0) this.#former = new FormerMarks(this.#sealer, untranslated);
    // A key that a keeper had to fetch first is no outage: nothing was kept in memory meanwhile.
    const isMerge = this.#detached !== undefined && !(this.#detached.notYet && this.#records.isEmpty);
    this.#events.startAfter(found.lastEventId);
    this.#records = records;
    this.#sealer = sealer;
    this.#backing = { persistence: new Persistence(found, options), home: found.home };
    this.#unused = found.unused;
    this.#detached = undefined;
    this.#forgotten = new ForgottenRecords();
    this.#timelineHint = undefined;
    if (isMerge && this.#backing.persistence.catchUp(this.#contents(this.#backing))) {
      options.log.info({ home: found.home.description }, 'the cache is stored on disk again');
    }
  }

  #stayDetached(found: Detached, options: CacheOptions): void {
    this.#detached = found;
    this.#timelineHint = found.timeline;
    this.#events.startAfter(found.lastEventId);
    tellDetached(found, options);
  }

  #contents({ home }: Backing): Contents {
    return { records: this.#records, sealer: this.#sealer, home, events: this.#events };
  }

  #write(action: (store: SqliteStore) => void, committed?: () => void): void {
    const backing = this.#backing;
    backing?.persistence.write(this.#contents(backing), action, committed);
  }
}

function tellDetached({ problem, remedy, notYet }: Detached, { log }: CacheOptions): void {
  if (!notYet) log.error({ remedy }, `the cache works from memory only: ${problem}`);
}

/** SQLite has no NaN: it would become NULL and look like damage. */
function requireTime(ms: number): number {
  if (Number.isNaN(ms)) throw new TypeError('a time is not a number');
  return ms;
}
