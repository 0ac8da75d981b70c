import type { Database } from 'better-sqlite3';
import type { StoredEvent } from './cache.ts';
import { DamagedDatabaseError } from './recovery.ts';

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
  flush(table: EventsTable): void {
    for (const event of this.#pending) table.add(event);
    if (this.#written % PRUNE_EVERY < this.#pending.length) table.prune();
  }

  written(): void {
    this.#written += this.#pending.length;
    this.#pending.length = 0;
  }

  newest(limit: number, table: EventsTable | undefined): NumberedEvent[] {
    const stored = table?.newest(limit) ?? [];
    return [...stored, ...this.#pending].slice(-limit);
  }

  after(id: number, limit: number, table: EventsTable | undefined): NumberedEvent[] {
    const stored = table?.after(id, limit) ?? [];
    return [...stored, ...this.#pending.filter((event) => event.id > id)].slice(0, limit);
  }
}

export type NumberedEvent = StoredEvent & { readonly id: number };

interface Row {
  id: number;
  at_ms: number;
  kind: string;
  credential: string | null;
  detail: string;
}

/** The journal keeps the newest events only: at most this many, none older than this before the newest. */
export const EVENTS_KEPT = 10_000;
export const EVENTS_KEPT_MS = 30 * 24 * 3_600_000;

/** See SqliteStore for the aliases. */
const SELECT = 'SELECT id AS id, at_ms AS at_ms, kind AS kind, credential AS credential, detail AS detail FROM events';
/** Bound by position: there is one for every answer, and binding by name takes half as long again. */
const INSERT = 'INSERT OR REPLACE INTO events (id, at_ms, kind, credential, detail) VALUES (?, ?, ?, ?, ?)';

export type EventsTable = ReturnType<typeof eventsTable>;

export function eventsTable(database: Database) {
  const insert = database.prepare<[number, number, string, string | null, string]>(INSERT);
  const newest = database.prepare<[], { id: number; at_ms: number }>(
    'SELECT id AS id, at_ms AS at_ms FROM events ORDER BY id DESC LIMIT 1',
  );
  const selectNewest = database.prepare<[number], Row>(`${SELECT} ORDER BY id DESC LIMIT ?`);
  const selectAfter = database.prepare<[number, number], Row>(`${SELECT} WHERE id > ? ORDER BY id LIMIT ?`);
  const pruneById = database.prepare<[number]>('DELETE FROM events WHERE id <= ?');
  // From the oldest on, as far as they are too old: a look at every event at every batch was dearer than the writing.
  const pruneByAge = database.prepare<[number]>(
    'DELETE FROM events WHERE id < (SELECT id FROM events WHERE at_ms >= ? ORDER BY id LIMIT 1)',
  );
  return {
    /** The id of the newest event, 0 if there is none. */
    lastId: (): number => {
      const id = newest.get()?.id ?? 0;
      // No daemon ever counted that far: going on from there would make every later insert fail.
      if (!Number.isSafeInteger(id)) throw new DamagedDatabaseError('its events have impossible ids');
      return id;
    },
    add: ({ id, atMs, kind, credential, detail }: NumberedEvent): void => {
      insert.run(id, atMs, kind, credential ?? null, JSON.stringify(detail));
    },
    /** In order, newest last. */
    newest: (limit: number): NumberedEvent[] => selectNewest.all(limit).toReversed().map(fromRow),
    after: (id: number, limit: number): NumberedEvent[] => selectAfter.all(id, limit).map(fromRow),
    prune: (): void => {
      const last = newest.get();
      if (last === undefined) return;
      pruneById.run(last.id - EVENTS_KEPT);
      pruneByAge.run(last.at_ms - EVENTS_KEPT_MS);
    },
  };
}

function fromRow(row: Row): NumberedEvent {
  return {
    id: row.id,
    atMs: row.at_ms,
    kind: row.kind,
    credential: row.credential ?? undefined,
    detail: parseDetail(row.detail),
  };
}

/** Events are not authenticated: what a damaged file makes of them must not break the reader. */
function parseDetail(text: string): StoredEvent['detail'] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as StoredEvent['detail'];
  } catch {}
  return {};
}
