import { join } from 'node:path';
import type { KeyEncryptionKey } from '../crypto/envelope.ts';
import type { KekStore, RecordedKek } from '../crypto/kek-store.ts';
import { BrokerError, codeOf } from '../errors.ts';
import { failpoint } from '../platform/failpoints.ts';
import { timestamp } from '../platform/text.ts';
import { type Attached, attach, type CacheOptions, type Detached } from './attach.ts';
import type { CacheHealth } from './cache.ts';
import { type Memory, runsOn } from './memory.ts';
import {
  classifyFailure,
  databasePath,
  describeEnvironment,
  keepNewest,
  refused,
  setDamagedAside,
  setReplacedAside,
  surroundingsOf,
  type Trouble,
} from './recovery.ts';
import { SqliteStore } from './store.ts';

/** Between two attempts to write to a disk that refused: each may block for the busy time limit. */
const WRITE_AGAIN_MS = 5_000;
/** A disk that damages every new database as well is not going to be cured by another one. */
const MAX_REBUILDS = 3;
/** A keyring that refuses to remove a key is left in peace for a while. */
const REMOVE_AGAIN_MS = 600_000;
/** One that may have put a dialogue before a person, who did not answer, is asked less and less. */
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;

/**
 * The life of the database: found together with its key, written through from memory, written as a whole when it was
 * out of reach or behind, set aside and built again when it is damaged. Nothing here loses an answer: memory has
 * everything, and a disk that fails costs persistence only.
 */
export class Persistence {
  readonly options: CacheOptions;
  readonly memory: Memory;
  /** Where the key lives that seals the database; undefined while the cache works from memory only. */
  #home: KekStore | undefined;
  #detached: Detached | undefined;
  /** Absent while there is no home, and between a damaged database and the next one. */
  #store: SqliteStore | undefined;
  /** Why the database lacks what memory has. */
  #behind: (Trouble & { readonly sinceMs: number }) | undefined;
  /** What a person should know although all is well: a database was set aside. */
  #notice: Trouble | undefined;
  #rebuilds = 0;
  #unused: readonly RecordedKek[] = [];
  #removeAgainMs = Number.NEGATIVE_INFINITY;
  #pause = { untilMs: Number.NEGATIVE_INFINITY, nextMs: FIRST_PAUSE_MS };
  /** What waits for stores of keys, or changes which key seals, is done one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  /** The state folder as the last vain attempt left it. */
  #triedWith = '';

  private constructor(options: CacheOptions, memory: Memory) {
    this.options = options;
    this.memory = memory;
  }

  /** Finds the database and its key, if they can be found now. */
  static async open(options: CacheOptions, memory: Memory): Promise<Persistence> {
    const persistence = new Persistence(options, memory);
    await persistence.reach();
    return persistence;
  }

  get home(): KekStore | undefined {
    return this.#home;
  }

  get detached(): Detached | undefined {
    return this.#detached;
  }

  health(): CacheHealth {
    const persistent = this.#home !== undefined && this.#behind === undefined;
    const { problem, remedy } = this.#detached ??
      this.#behind ??
      this.#notice ?? { problem: undefined, remedy: undefined };
    const keyEncryptionKeyHome = this.#home?.description ?? 'none: an ephemeral key in memory';
    return { persistent, problem, remedy, keyEncryptionKeyHome, keyHome: this.#home?.kind };
  }

  /**
   * Tries again what did not work before: to find the database and its key, to write to it, to remove keys that seal
   * nothing any more. True if memory was joined with a database just now: then keys, leases and logins may have joined,
   * and digests have changed, so a caller that copied `keys()` reads them again. Costs nothing while all is well, takes a few
   * seconds at most, and never rejects.
   */
  async reach(): Promise<boolean> {
    if (this.#home !== undefined && this.#behind === undefined && this.#unused.length === 0) return false;
    return await this.inTurn(() => this.reachInTurn(false));
  }

  /**
   * The same, for what is done in turn itself.
   *
   * @param now although a person may just have been asked for a password in vain: a person wants it.
   */
  async reachInTurn(now: boolean): Promise<boolean> {
    if (this.#home === undefined) {
      const joined = await this.#attach(now);
      this.#triedWith = surroundingsOf(this.options.stateDir);
      return joined;
    }
    if (this.#behind !== undefined) this.catchUp();
    if (this.options.wallMs() >= this.#removeAgainMs) for (const kek of this.#unused) await this.removeKek(kek);
    return false;
  }

  /**
   * As `reach`, but only if something changed in the state folder since that failed: each attempt changes the folder, too,
   * so that whoever tries after every change would never stop.
   */
  async reachIfChanged(): Promise<boolean> {
    const isTroubled = this.#home === undefined || this.#behind !== undefined;
    return isTroubled && surroundingsOf(this.options.stateDir) !== this.#triedWith ? await this.reach() : false;
  }

  /**
   * A database that was deleted, emptied, replaced or moved under the running daemon is written again from memory.
   * @returns whether it was. @throws BrokerError why it cannot be.
   */
  restoreDatabase(): Promise<boolean> {
    return this.inTurn(async () => {
      const store = this.#store;
      if (this.#home === undefined || store === undefined || store.isInPlace()) return false;
      this.#attempt(() => {
        store.removeLeftOvers();
        setReplacedAside(this.options);
        // Only now: SQLite removes the log by its name.
        this.#closeStore();
        failpoint('database.gone');
        this.#replaceAll();
      });
      if (this.#behind !== undefined) throw refused(this.#behind);
      return true;
    });
  }

  isInPlace(): boolean {
    return this.#behind === undefined && this.#store?.isInPlace() === true;
  }

  /** The same for the file of the key, where the key lives in one. */
  restoreKey(): Promise<boolean> {
    return this.inTurn(async () => {
      const obstacle = await this.#home?.keep?.(this.memory.sealer.kek, `replaced-${timestamp(this.options.wallMs())}`);
      if (obstacle === undefined || obstacle === 'kept') return false;
      keepNewest(join(this.options.stateDir, 'kek'));
      if (obstacle === 'restored') return true;
      throw refused({ problem: obstacle.reason, remedy: obstacle.remedy });
    });
  }

  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Memory already holds what `action` writes. Never throws: what cannot be written is made up for later. */
  write(action: (store: SqliteStore) => void, committed?: () => void): void {
    if (this.#home === undefined) return;
    if (this.#behind !== undefined) {
      const waitedMs = this.options.wallMs() - this.#behind.sinceMs;
      if (waitedMs >= WRITE_AGAIN_MS || waitedMs < 0) this.catchUp();
      return;
    }
    this.#attempt(() => {
      (this.#store ?? this.#open()).transaction(action);
      committed?.();
    });
  }

  /** Writes everything, now. True if the database is no longer behind. */
  catchUp(): boolean {
    this.#attempt(() => {
      this.#store?.reclaim();
      this.#replaceAll();
    });
    return this.#behind === undefined;
  }

  /** Never throws: with a database that cannot be read, `fallback` has to do. */
  read<T>(read: (store: SqliteStore) => T, fallback: () => T): T {
    if (this.#home === undefined) return fallback();
    try {
      return read(this.#open());
    } catch (error) {
      this.options.log.warn({ code: codeOf(error) }, 'the cache database could not be read');
      return fallback();
    }
  }

  /**
   * Seals everything with another key, in one transaction that is on the disk when this returns; memory follows.
   *
   * @param unused the key that is replaced, which its home has yet to remove.
   * @throws BrokerError
   */
  rewrap(kek: KeyEncryptionKey, home: KekStore, unused?: RecordedKek): void {
    const { records, sealer } = this.memory;
    const contents = { records: records.map((row) => sealer.rewrap(row, kek)), sealer: sealer.under(kek) };
    const left = [...this.#unused, ...(unused === undefined ? [] : [unused])].filter(({ id }) => id !== kek.id);
    this.#durably((store) => store.replaceAll(contents, home.kind, left));
    this.memory.become(contents);
    this.#home = home;
    this.#unused = left;
    this.#detached = undefined;
    this.#behind = undefined;
  }

  /** On the disk before the key is in its home, so that a crash leaves no key there that is not on record. @throws BrokerError */
  noteUnusedKek(kek: RecordedKek): void {
    this.#durably((store) => store.noteUnusedKek(kek));
    this.#unused = [...this.#unused, kek];
  }

  /** Removes a key that seals nothing (any more) from its home. Returns why it is still there; never rejects. */
  async removeKek(kek: RecordedKek): Promise<string | undefined> {
    const home = this.options.kekStores.find(({ kind }) => kind === kek.home);
    const isInUse = kek.id === this.memory.sealer.kek.id;
    const obstacle = isInUse ? undefined : await home?.remove(kek.id);
    if (obstacle !== undefined) {
      const fields = { home: kek.home, reason: obstacle.reason };
      this.options.log.warn(fields, 'a key that seals nothing any more could not be removed yet');
      this.#removeAgainMs = this.options.wallMs() + REMOVE_AGAIN_MS;
      return obstacle.reason;
    }
    this.#unused = this.#unused.filter(({ id }) => id !== kek.id);
    this.write((store) => store.forgetUnusedKek(kek));
    return undefined;
  }

  /** @throws BrokerError why the database does not hold what memory has. */
  requireWritten(): void {
    if (this.#isClosed) throw refused({ problem: 'the cache is closed', remedy: 'Start the daemon.' });
    if (this.#detached !== undefined) throw refused(this.#detached);
    if (this.#behind !== undefined && !this.catchUp()) throw refused(this.#behind);
  }

  /** Pages and statements that SQLite keeps at hand: read again when they are needed. */
  releaseMemory(): void {
    if (this.#store !== undefined)
      this.read(
        (store) => store.releaseMemory(),
        () => undefined,
      );
  }

  close(): void {
    this.#isClosed = true;
    if (this.#home !== undefined && this.#behind !== undefined) this.catchUp();
    this.#home = undefined;
    this.#closeStore();
  }

  async #attach(now: boolean): Promise<boolean> {
    if (this.#isClosed || (!now && this.options.wallMs() < this.#pause.untilMs)) return false;
    const found = await attach(this.options, this.memory.sealer, this.#notice);
    if (this.#isClosed) {
      if (found.state === 'attached') found.store.close();
      return false;
    }
    this.memory.events.startAfter(found.lastEventId);
    this.#notice = found.notice;
    if (found.state === 'attached') this.#take(found);
    else this.#stayDetached(found);
    return found.state === 'attached';
  }

  #stayDetached(found: Detached): void {
    const { problem, remedy, mayHavePrompted } = found;
    const { log, wallMs } = this.options;
    if (problem !== this.#detached?.problem) log.error({ remedy }, `the cache works from memory only: ${problem}`);
    const { nextMs } = this.#pause;
    this.#pause = mayHavePrompted
      ? { untilMs: wallMs() + nextMs, nextMs: Math.min(nextMs * 2, LONGEST_PAUSE_MS) }
      : { untilMs: Number.NEGATIVE_INFINITY, nextMs: FIRST_PAUSE_MS };
    this.#detached = found;
  }

  #take(found: Attached): void {
    const { records, store, home, unused, changed, sealer } = found;
    const { log } = this.options;
    const isJoin = this.#detached !== undefined;
    const clock = this.memory.records.get('timeline', '')?.facts ?? this.#detached?.timeline;
    const stored = records.all('key');
    if (clock !== undefined && stored.length > 0 && !runsOn(records.get('timeline', '')?.facts, clock)) {
      log.warn({}, 'stored keys were dropped: their times are not on the timeline that the clock runs on');
      for (const { row } of stored) records.delete('key', row.id);
    }
    this.memory.join(found);
    this.#store = store;
    this.#home = home;
    this.#unused = unused.filter(({ id }) => id !== sealer.kek.id);
    this.#detached = undefined;
    if (!isJoin && !changed) return;
    this.#attempt(() => this.#replaceAll());
    if (isJoin && this.#behind === undefined) log.info({ home: home.description }, 'the cache is stored on disk again');
  }

  #open(): SqliteStore {
    this.#store ??= SqliteStore.open(databasePath(this.options.stateDir), this.options);
    return this.#store;
  }

  #closeStore(): void {
    this.#store?.close();
    this.#store = undefined;
  }

  #durably(action: (store: SqliteStore) => void): void {
    try {
      this.#open().durably(action);
    } catch (error) {
      const { problem, remedy } = describeEnvironment(databasePath(this.options.stateDir), error);
      throw new BrokerError('ERR_IO', `the key was not rotated: ${problem}`, { remedy, cause: error });
    }
  }

  #replaceAll(): void {
    const home = this.#home;
    if (home === undefined) return;
    this.#open().transaction((store) => {
      store.replaceAll(this.memory, home.kind, this.#unused);
      this.memory.events.flush(store.events);
    });
    this.memory.events.written();
  }

  #attempt(write: () => void): void {
    try {
      write();
      if (this.#behind !== undefined) this.options.log.info({}, 'the cache is stored on disk again');
      this.#behind = undefined;
    } catch (error) {
      if (classifyFailure(error) === 'damaged' && this.#rebuilds < MAX_REBUILDS) this.#rebuild(error);
      else this.#fallBehind(error);
    }
  }

  #rebuild(damage: unknown): void {
    this.#rebuilds += 1;
    try {
      this.#closeStore();
      this.#notice = setDamagedAside(this.options, damage);
      this.#replaceAll();
      this.#behind = undefined;
    } catch (error) {
      this.#fallBehind(error);
    }
  }

  #fallBehind(error: unknown): void {
    const { problem, remedy } = describeEnvironment(databasePath(this.options.stateDir), error);
    if (this.#behind === undefined) {
      this.options.log.error({ code: codeOf(error) }, `${problem}; serving from memory`);
    }
    this.#behind = { problem, remedy, sinceMs: this.options.wallMs() };
    // Opened while it could only be read, it stays so: whoever fixes that would have to restart the daemon.
    if (/^SQLITE_READONLY/.test(codeOf(error))) this.#closeStore();
    this.#triedWith = surroundingsOf(this.options.stateDir);
  }
}
