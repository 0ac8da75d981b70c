import type { StoredEvent } from '../cache/cache.ts';
import type { Timer } from '../platform/clock.ts';
import { hideShapes, printable } from '../platform/text.ts';
import type { BrokerEvent } from '../protocol/reports.ts';
import type { BrokerPorts, EventQuery } from './api.ts';

/** Events wait this long to be written with others: off the answer's path, and one wake-up for many. */
const BATCH_MS = 1_000;
/** Or until there are so many of them. */
const BATCH_SIZE = 256;

export type EventDetail = StoredEvent['detail'];

/** What happened, in batches into the cache. A clean stop loses nothing: `flush()`. */
export class EventLog {
  readonly #ports: BrokerPorts;
  readonly #listeners = new Set<() => void>();
  #pending: StoredEvent[] = [];
  #timer: Timer | undefined;

  constructor(ports: BrokerPorts) {
    this.#ports = ports;
  }

  /**
   * @param detail never a key, a token or a password; foreign words in it are looked at once more, because events are stored in
   * the open. @param atMs on the wall clock.
   */
  add(kind: string, credential: string | undefined, detail: EventDetail = {}, atMs = this.#ports.clock.wall()): void {
    this.#pending.push({ atMs, kind, credential, detail: withoutShapes(detail) });
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
    this.#ports.cache.appendEvents(batch);
    for (const listener of this.#listeners) listener();
  }

  query(query: EventQuery): readonly BrokerEvent[] {
    this.flush();
    return this.#ports.cache.events(query).map((event) => ({
      id: event.id,
      at: new Date(event.atMs).toISOString(),
      kind: event.kind,
      credential: event.credential ?? null,
      detail: event.detail,
    }));
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

const LONGEST = 400;

function withoutShapes(detail: EventDetail): EventDetail {
  const entries = Object.entries(detail).map(([name, value]) => [
    name,
    typeof value === 'string' ? printable(hideShapes(value), LONGEST) : value,
  ]);
  return Object.fromEntries(entries);
}
