import type { StoredEvent } from '../cache/cache.ts';
import { EVENTS_KEPT } from '../cache/events.ts';
import type { Timer } from '../platform/clock.ts';
import { hideShapes, printable } from '../platform/text.ts';
import type { BrokerEvent } from '../protocol/reports.ts';
import type { BrokerPorts, EventQuery } from './api.ts';

/** Events wait this long to be written with others: off the answer's path, and one wake-up for many. */
const BATCH_MS = 1_000;
/** Or until there are so many of them. */
const BATCH_SIZE = 256;

/** Words that were looked at and hide nothing: those of one client and one key come again and again. */
const MOST_KNOWN_WORDS = 256;

/** Of one word. */
const LONGEST = 400;

export type EventDetail = StoredEvent['detail'];

/** What happened, in batches into the cache. A clean stop loses nothing: `flush()`. */
export class EventLog {
  readonly #ports: BrokerPorts;
  readonly #listeners = new Set<() => void>();
  readonly #harmless = new Set<string>();
  #pending: StoredEvent[] = [];
  #timer: Timer | undefined;

  constructor(ports: BrokerPorts) {
    this.#ports = ports;
  }

  /** @param detail never a key, a token or a password. @param atMs on the wall clock. */
  add(kind: string, credential: string | undefined, detail: EventDetail = {}, atMs = this.#ports.clock.wall()): void {
    const [name, session] = credential?.split('@') ?? [];
    this.#pending.push({
      atMs,
      kind,
      credential: name,
      detail: session === undefined ? detail : { ...detail, session },
    });
    if (this.#pending.length >= BATCH_SIZE) {
      this.flush();
      return;
    }
    this.#timer ??= this.#ports.clock.after(BATCH_MS, () => this.flush());
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const batch = this.#pending;
    if (batch.length === 0) return;
    this.#pending = [];
    this.#ports.cache.appendEvents(batch.map((event) => this.#presentable(event)));
    for (const listener of this.#listeners) listener();
  }

  /** Foreign words in it are looked at once more, because events are stored in the open. */
  #presentable(event: StoredEvent): StoredEvent {
    let detail = event.detail;
    for (const [name, value] of Object.entries(detail)) {
      if (typeof value !== 'string' || this.#harmless.has(value)) continue;
      const shown = printable(hideShapes(value), LONGEST);
      if (shown !== value) detail = { ...detail, [name]: shown };
      else if (this.#harmless.size < MOST_KNOWN_WORDS) this.#harmless.add(value);
      else this.#harmless.clear();
    }
    return detail === event.detail ? event : { ...event, detail };
  }

  query(query: EventQuery): readonly BrokerEvent[] {
    this.flush();
    return this.#read(query).map((event) => ({
      id: event.id,
      at: new Date(event.atMs).toISOString(),
      kind: event.kind,
      credential: event.credential ?? null,
      detail: event.detail,
    }));
  }

  /** The store knows no names of credentials: all that is kept is read, and only that of one is taken. */
  #read({ credential, ...query }: EventQuery) {
    const { cache } = this.#ports;
    if (credential === undefined) return cache.events(query);
    const found = cache.events({ ...query, limit: EVENTS_KEPT }).filter((event) => event.credential === credential);
    if (query.limit < 1) return [];
    return query.afterId === undefined ? found.slice(-query.limit) : found.slice(0, query.limit);
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
