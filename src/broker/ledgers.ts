import { EMPTY_LEDGER, type Ledger } from '../credential/rejection.ts';
import type { Client } from './ask.ts';

/** Far more clients than a person runs; the one that asked longest ago is forgotten first. */
const MAX_CLIENTS = 1_024;
/** Clients that have exited are looked for at most this often, and only when somebody asks. */
const SWEEP_MS = 60_000;

interface ClientBook {
  readonly client: Client;
  readonly byCredential: Map<string, Ledger>;
}

/** What is remembered of each client about each credential: in memory only, bounded, gone when the client exits. */
export class Ledgers {
  /** In the order of their last ask. */
  readonly #books = new Map<string, ClientBook>();
  readonly #isAlive: (client: Client) => boolean;
  #sweptAtMs = 0;

  constructor(isAlive: (client: Client) => boolean) {
    this.#isAlive = isAlive;
  }

  get(client: Client, credential: string): Ledger {
    return this.#books.get(client.id)?.byCredential.get(credential) ?? EMPTY_LEDGER;
  }

  set(client: Client, credential: string, ledger: Ledger, nowMs: number): void {
    const { id } = client;
    const book = this.#books.get(id) ?? { client, byCredential: new Map<string, Ledger>() };
    book.byCredential.set(credential, ledger);
    this.#books.delete(id);
    this.#books.set(id, book);
    if (nowMs - this.#sweptAtMs >= SWEEP_MS) this.#sweep(nowMs);
    if (this.#books.size > MAX_CLIENTS) {
      const [oldest] = this.#books.keys();
      if (oldest !== undefined) this.#books.delete(oldest);
    }
  }

  clear(): void {
    this.#books.clear();
  }

  get size(): number {
    return this.#books.size;
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    for (const [id, { client }] of this.#books) {
      if (!this.#isAlive(client)) this.#books.delete(id);
    }
  }
}
