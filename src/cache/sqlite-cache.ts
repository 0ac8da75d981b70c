import type { KeyVersion } from '../credential/key.ts';
import type { Login } from '../credential/life.ts';
import type { SecretBytes } from '../credential/secret.ts';
import type { RecordedKek } from '../crypto/kek-locator.ts';
import { type RotateOptions, type Rotation, type RotationHost, rotate } from '../crypto/rotation.ts';
import type { Timeline } from '../platform/timeline.ts';
import { type Attached, attach, type CacheOptions, type Detached } from './attach.ts';
import type { CacheHealth, CredentialCache, LeaseEntry, SecretFields, StoredEvent } from './cache.ts';
import { EventJournal, type NumberedEvent } from './events.ts';
import { mergeInto, runsOn } from './merge.ts';
import { type Memory, Persistence } from './persistence.ts';
import { idOf, idWithin, type Kind, Records, type RejectedMark, type Stored } from './records.ts';
import { removeUnusedKek } from './recovery.ts';
import { Sealer, wipeSecrets } from './sealer.ts';
import type { SqliteStore } from './store.ts';

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
  /** What was removed while the database could not be reached, and must not come back out of it. */
  #forgotten: { readonly kind: Kind; readonly id: string }[] = [];
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
    const found = attach(options, this.#sealer);
    if (found.state === 'attached') this.#take(found, options);
    else this.#stayDetached(found, options);
  }

  keys(): readonly KeyVersion[] {
    return this.#records.all('key').map(({ facts }) => facts);
  }

  put(key: KeyVersion, secrets: SecretFields): void {
    this.#put(this.#sealer.sealKey(key, secrets));
  }

  touch(key: KeyVersion): void {
    if (this.#records.get('key', key.credential)?.facts.digest !== key.digest) return;
    const secrets = this.open(key.credential);
    if (secrets === undefined) return;
    try {
      this.put(key, secrets);
    } finally {
      wipeSecrets(secrets);
    }
  }

  open(credential: string): SecretFields | undefined {
    const stored = this.#records.get('key', credential);
    return stored && this.#sealer.openKey(stored.row);
  }

  remove(credential: string): void {
    this.#delete('key', [credential]);
  }

  digest(secrets: SecretFields): string {
    return this.#sealer.digest(secrets);
  }

  markRejected(credential: string, digest: string, atMs: number): void {
    this.#put(this.#sealer.seal('rejected', { credential, digest, atMs: requireTime(atMs) }));
  }

  rejectedMarks(credential: string): readonly string[] {
    return this.#marks((mark) => mark.credential === credential).map(({ digest }) => digest);
  }

  clearRejected(credential: string): void {
    this.#forgetMarks((mark) => mark.credential === credential);
  }

  pruneRejected(beforeMs: number): void {
    requireTime(beforeMs);
    this.#forgetMarks(({ atMs }) => atMs < beforeMs);
  }

  journalLease(entry: LeaseEntry): void {
    this.#put(this.#sealer.seal('lease', entry));
  }

  forgetLease(provider: string, leaseId: string): void {
    this.#delete('lease', [idWithin(provider, leaseId)]);
  }

  leases(): readonly LeaseEntry[] {
    return this.#records.all('lease').map(({ facts }) => facts);
  }

  saveLogin(provider: string, fingerprint: string, login: Login, token: SecretBytes): void {
    this.#put(this.#sealer.seal('login', { provider, fingerprint, login }, token.bytes));
  }

  removeLogin(provider: string, loginId: string): void {
    this.#delete('login', [idWithin(provider, loginId)]);
  }

  logins(provider: string, fingerprint: string): readonly { login: Login; token: SecretBytes }[] {
    return this.#records
      .all('login')
      .filter(({ facts }) => facts.provider === provider && facts.fingerprint === fingerprint)
      .flatMap(({ facts: { login }, row }) => {
        const token = this.#sealer.open(row);
        return token === undefined ? [] : [{ login, token }];
      });
  }

  appendEvents(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    for (const event of events) requireTime(event.atMs);
    this.#events.add(events);
    this.#write(
      (store) => this.#events.flush(store.events),
      () => this.#events.written(),
    );
    this.#events.trim();
  }

  events({ afterId, limit }: { afterId?: number; limit: number }): readonly NumberedEvent[] {
    if (limit < 1) return [];
    const read = (store?: SqliteStore) =>
      afterId === undefined
        ? this.#events.newest(limit, store?.events)
        : this.#events.after(afterId, limit, store?.events);
    return this.#backing === undefined ? read() : this.#backing.persistence.read(read, read);
  }

  timeline(): Timeline | undefined {
    return this.#records.get('timeline', '')?.facts ?? this.#timelineHint;
  }

  saveTimeline(timeline: Timeline): void {
    this.#put(this.#sealer.seal('timeline', timeline));
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
    const found = attach(this.#options, this.#sealer, this.#detached?.notice);
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
      sealer: () => this.#sealer,
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
    if (unused === undefined) this.#write((store) => store.recordUnusedKek(undefined));
  }

  #take(found: Attached, options: CacheOptions): void {
    const { records, sealer } = found;
    const clock = this.timeline();
    const stored = records.all('key');
    if (clock !== undefined && stored.length > 0 && !runsOn(records.get('timeline', '')?.facts, clock)) {
      options.log.warn({}, 'stored keys were dropped: their times are not on the timeline that the clock runs on');
      for (const { row } of stored) records.delete('key', row.id);
    }
    for (const { kind, id } of this.#forgotten) records.delete(kind, id);
    mergeInto(found, { records: this.#records, sealer: this.#sealer });
    // A key that a keeper had to fetch first is no outage: nothing was kept in memory meanwhile.
    const isMerge = this.#detached !== undefined && !(this.#detached.notYet && this.#records.isEmpty);
    this.#events.startAfter(found.lastEventId);
    this.#records = records;
    this.#sealer = sealer;
    this.#backing = { persistence: new Persistence(found, options), home: found.home };
    this.#unused = found.unused;
    this.#detached = undefined;
    this.#forgotten = [];
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

  #contents({ home }: Backing): Memory {
    return { records: this.#records, sealer: this.#sealer, home, events: this.#events };
  }

  #put<K extends Kind>(stored: Stored<K>): void {
    this.#records.put(stored);
    this.#write((store) => store.put(stored.row));
  }

  #delete(kind: Kind, ids: readonly string[]): void {
    for (const id of ids) this.#records.delete(kind, id);
    if (this.#detached !== undefined) this.#forgotten.push(...ids.map((id) => ({ kind, id })));
    this.#write((store) => {
      for (const id of ids) store.remove(kind, id);
    });
  }

  #marks(concerned: (mark: RejectedMark) => boolean): RejectedMark[] {
    return this.#records
      .all('rejected')
      .map(({ facts }) => facts)
      .filter(concerned);
  }

  #forgetMarks(concerned: (mark: RejectedMark) => boolean): void {
    const marks = this.#marks(concerned);
    this.#delete(
      'rejected',
      marks.map((mark) => idOf('rejected', mark)),
    );
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
