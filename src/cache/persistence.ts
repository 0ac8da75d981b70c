import type { KekHome } from '../crypto/kek-store.ts';
import { codeOf } from '../errors.ts';
import { type Attached, type CacheOptions, databasePath, setDamagedAside } from './attach.ts';
import type { EventJournal } from './events.ts';
import type { Contents } from './merge.ts';
import { classifyFailure, describeEnvironment, type Trouble } from './recovery.ts';
import { SqliteStore } from './store.ts';

/** What the database is to hold: always the whole of memory, never a part of it. */
export interface Memory extends Contents {
  readonly home: KekHome;
  readonly events: EventJournal;
}

/** Between two attempts to write to a disk that refused: each may block for the busy time limit. */
const RETRY_AFTER_MS = 5_000;
/** A disk that damages every new database as well is not going to be cured by another one. */
const MAX_REBUILDS = 3;

/**
 * Writes memory through to the database and never throws: a write that fails leaves the database behind, and from
 * then on everything is written at once as soon as that works again. A database that turns out damaged is set aside
 * and built anew from memory, which has everything.
 */
export class Persistence {
  /** Absent between a damaged database and the next one. */
  #store: SqliteStore | undefined;
  #behind: (Trouble & { readonly sinceMs: number }) | undefined;
  #notice: Trouble | undefined;
  #rebuilds = 0;
  readonly #options: CacheOptions;

  constructor({ store, notice, writeFailure }: Attached, options: CacheOptions) {
    this.#store = store;
    this.#notice = notice;
    this.#options = options;
    if (writeFailure !== undefined) this.#fallBehind(writeFailure);
  }

  get behind(): Trouble | undefined {
    return this.#behind;
  }

  /** What a person should know although all is well: a database was set aside. */
  get notice(): Trouble | undefined {
    return this.#notice;
  }

  /** `memory` is only what to fall back to: it already holds what `action` writes. */
  write(memory: Memory, action: (store: SqliteStore) => void, committed: () => void = () => {}): void {
    if (this.#behind !== undefined) {
      const waitedMs = this.#options.wallMs() - this.#behind.sinceMs;
      if (waitedMs >= RETRY_AFTER_MS || waitedMs < 0) this.catchUp(memory);
      return;
    }
    this.#attempt(memory, () => {
      this.#open().transaction(action);
      committed();
    });
  }

  /** Writes everything, now. True if the database is no longer behind. */
  catchUp(memory: Memory): boolean {
    this.#attempt(memory, () => {
      this.#store?.reclaim();
      this.#replaceAll(memory);
    });
    return this.#behind === undefined;
  }

  /** One transaction, synced to the disk. Throws: for what a person asked for and has to hear about. */
  durably(action: (store: SqliteStore) => void): void {
    this.#open().durably(action);
  }

  /** Never throws: with a database that cannot be read, `fallback` has to do. */
  read<T>(read: (store: SqliteStore) => T, fallback: () => T): T {
    try {
      return read(this.#open());
    } catch (error) {
      this.#options.log.warn({ code: codeOf(error) }, 'the cache database could not be read');
      return fallback();
    }
  }

  releaseMemory(): void {
    if (this.#store !== undefined)
      this.read(
        (store) => store.releaseMemory(),
        () => undefined,
      );
  }

  close(): void {
    this.#store?.close();
    this.#store = undefined;
  }

  #open(): SqliteStore {
    this.#store ??= SqliteStore.open(databasePath(this.#options.stateDir), this.#options);
    return this.#store;
  }

  #replaceAll({ home, events, ...contents }: Memory): void {
    this.#open().transaction((store) => {
      store.replaceAll(contents, home);
      events.flush(store.events);
    });
    events.written();
  }

  #attempt(memory: Memory, write: () => void): void {
    try {
      write();
      if (this.#behind !== undefined) this.#options.log.info({}, 'the cache is stored on disk again');
      this.#behind = undefined;
    } catch (error) {
      if (classifyFailure(error) === 'damaged' && this.#rebuild(memory, error)) return;
      this.#fallBehind(error);
    }
  }

  #rebuild(memory: Memory, damage: unknown): boolean {
    if (this.#rebuilds >= MAX_REBUILDS) return false;
    this.#rebuilds += 1;
    try {
      this.close();
      this.#notice = setDamagedAside(this.#options, damage);
      this.#replaceAll(memory);
      this.#behind = undefined;
      return true;
    } catch (error) {
      this.#fallBehind(error);
      return true;
    }
  }

  #fallBehind(error: unknown): void {
    const { problem, remedy } = describeEnvironment(databasePath(this.#options.stateDir), error);
    if (this.#behind === undefined) {
      this.#options.log.error({ code: codeOf(error) }, `${problem}; serving from memory`);
    }
    this.#behind = { problem, remedy, sinceMs: this.#options.wallMs() };
  }
}
