import type { StoredEvent } from './credential-cache.ts';
import type { NumberedEvent } from './events-table.ts';
import type { SqliteStore } from './sqlite-store.ts';

/** How many events wait in memory for a database that cannot be written; the oldest go first. */
const PENDING_MAX = 1_000;
/** Pruning scans; it need not run for every event. */
const PRUNE_EVERY = 256;

/** Events on their way to the database. Ids only ever rise, so that a follower never sees one twice. */
export class EventJournal {
  readonly #pending: NumberedEvent[] = [];
  #lastId = 0;
  #written = 0;

  /** No id at or below this is given out again. */
  startAfter(id: number): void {
    this.#lastId = Math.max(this.#lastId, id);
  }

  add(events: readonly StoredEvent[]): void {
    for (const event of events) {
      this.#lastId += 1;
      const { atMs, kind, credential, detail } = event;
      this.#pending.push({ id: this.#lastId, atMs, kind, credential, detail });
    }
  }

  /** After an attempt to write: what is still pending must not grow without bound. */
  trim(): void {
    if (this.#pending.length > PENDING_MAX) this.#pending.splice(0, this.#pending.length - PENDING_MAX);
  }

  /** Writes what is pending, within a transaction; `written()` after its commit. */
  flush(store: SqliteStore): void {
    for (const event of this.#pending) store.events.add(event);
    if (this.#written % PRUNE_EVERY < this.#pending.length) store.events.prune();
  }

  written(): void {
    this.#written += this.#pending.length;
    this.#pending.length = 0;
  }

  newest(limit: number, store: SqliteStore | undefined): NumberedEvent[] {
    const stored = store?.events.newest(limit) ?? [];
    return [...stored, ...this.#pending].slice(-limit);
  }

  after(id: number, limit: number, store: SqliteStore | undefined): NumberedEvent[] {
    const stored = store?.events.after(id, limit) ?? [];
    return [...stored, ...this.#pending.filter((event) => event.id > id)].slice(0, limit);
  }
}
