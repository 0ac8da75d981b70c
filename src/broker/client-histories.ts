import type { ClientRecord, CredentialCache } from '../cache/cache.ts';
import { type ClientHistory, type Format, NO_HISTORY } from '../credential/rejection.ts';
import type { Timer } from '../platform/clock.ts';
import type { Client } from '../platform/process-tree.ts';
import type { BrokerPorts } from './api.ts';

/** Far more clients than a person runs; the one that asked longest ago is forgotten first. */
const MAX_CLIENTS = 1_024;
/** Clients that have exited are looked for at most this often, and only when a client asks. */
const SWEEP_MS = 60_000;
/** Histories wait this long to be written with others, as events do. */
const SAVE_MS = 1_000;
/** The kernel dates a file by its last tick, which may be from before an answer that the file was written after. */
const FILE_TIME_MS = 10;

type Holder = Pick<Client, 'id' | 'pid' | 'startTime'>;

interface ClientBook {
  readonly client: Holder;
  readonly histories: Map<string, ClientHistory>;
  /** As of the last answer. */
  settingsFingerprint: string | undefined;
}

type Ports = Pick<BrokerPorts, 'clock' | 'isAlive' | 'settingsOf' | 'processSpace'> & {
  readonly cache: CredentialCache;
};

/**
 * What is remembered of each client about each credential: bounded, gone when the client exits, and kept over a restart of
 * the daemon for the same boot. An answer only marks it as changed; it is written down once a second.
 */
export class ClientHistories {
  readonly #ports: Ports;
  /** In the order of their last ask. */
  readonly #books = new Map<string, ClientBook>();
  readonly #changed = new Map<string, Client>();
  #sweptAtMs = 0;
  #timer: Timer | undefined;

  constructor(ports: Ports) {
    this.#ports = ports;
    this.#restore();
  }

  get(client: Client | undefined, credential: string, format: Format): ClientHistory {
    const book = client && this.#books.get(client.id);
    return book?.histories.get(keyOf(credential, format)) ?? NO_HISTORY;
  }

  set(client: Client, credential: string, format: Format, history: ClientHistory, nowMs: number): void {
    const { id } = client;
    const book = this.#books.get(id) ?? newBook(client);
    book.histories.set(keyOf(credential, format), history);
    this.#books.delete(id);
    this.#books.set(id, book);
    this.#changed.set(id, client);
    this.#timer ??= this.#ports.clock.after(SAVE_MS, () => this.save());
    if (nowMs - this.#sweptAtMs >= SWEEP_MS) this.#sweep(nowMs);
    if (this.#books.size > MAX_CLIENTS) {
      const [oldest] = this.#books.keys();
      if (oldest !== undefined) this.#forget([oldest]);
    }
  }

  /**
   * Whether the settings of this client have changed since it was last answered: then it dropped its key for that reason.
   * One change explains one ask.
   */
  isExplained(client: Client, { served }: ClientHistory): boolean {
    const book = this.#books.get(client.id);
    if (book === undefined || served === undefined || client.known?.settingsFiles === undefined) return false;
    const { fingerprint, changedAtWallMs } = this.#ports.settingsOf(client);
    const wasChanged = book.settingsFingerprint !== undefined && book.settingsFingerprint !== fingerprint;
    // Between the last answer and the look that `save` has at the settings. A time to come, of a server of files or from before the
    // clock was set back, would explain every ask until then.
    const isPast = changedAtWallMs <= this.#ports.clock.wall() + FILE_TIME_MS;
    const wasChangedSince = isPast && changedAtWallMs > served.atWallMs - FILE_TIME_MS;
    book.settingsFingerprint = fingerprint;
    return wasChanged || wasChangedSince;
  }

  /** Writes down what has changed, and what the settings of those clients look like now that they have been answered. */
  save(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#changed.size === 0) return;
    const { cache, processSpace, settingsOf } = this.#ports;
    const records: ClientRecord[] = [];
    for (const [id, client] of this.#changed) {
      const book = this.#books.get(id);
      if (book === undefined) continue;
      if (client.known?.settingsFiles !== undefined) book.settingsFingerprint = settingsOf(client).fingerprint;
      const { pid, startTime } = client;
      records.push({ space: processSpace, id, pid, startTime, histories: Object.fromEntries(book.histories) });
    }
    cache.saveClients(records);
    this.#changed.clear();
  }

  clear(): void {
    this.#books.clear();
    this.#changed.clear();
    const { cache } = this.#ports;
    cache.removeClients(cache.clients().map(({ id }) => id));
  }

  #restore(): void {
    const { cache, processSpace, isAlive } = this.#ports;
    const isOurs = (record: ClientRecord) => record.space === processSpace && isAlive(record);
    const gone: string[] = [];
    for (const record of cache.clients()) {
      if (!isOurs(record)) {
        gone.push(record.id);
        continue;
      }
      const { id, pid, startTime, histories } = record;
      const book = newBook({ id, pid, startTime });
      for (const [key, history] of Object.entries(histories)) book.histories.set(key, history);
      this.#books.set(id, book);
    }
    cache.removeClients(gone);
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    const { isAlive } = this.#ports;
    this.#forget([...this.#books].filter(([, { client }]) => !isAlive(client)).map(([id]) => id));
  }

  #forget(ids: readonly string[]): void {
    for (const id of ids) {
      this.#books.delete(id);
      this.#changed.delete(id);
    }
    this.#ports.cache.removeClients(ids);
  }
}

function newBook({ id, pid, startTime }: Holder): ClientBook {
  return {
    client: { id, pid, startTime },
    histories: new Map(),
    settingsFingerprint: undefined,
  };
}

/** Each of a client's helpers has its own rhythm. Names hold no line break. */
function keyOf(credential: string, format: Format): string {
  return format === 'raw' ? credential : `${credential}\n${format}`;
}
