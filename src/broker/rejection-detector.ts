import type { KeyVersion } from '../credential/key.ts';
import { certainEnd, type KeyAndLogin } from '../credential/life.ts';
import {
  EMPTY_LEDGER,
  type Judgement,
  judgeAsk,
  judgeVerdict,
  type Ledger,
  recordIssue,
  recordServed,
  type Suspicion,
  VERDICT_WAIT_MS,
  type Verdict,
} from '../credential/rejection.ts';
import { BrokerError } from '../errors.ts';
import type { Moment } from '../platform/clock.ts';
import type { Client } from '../platform/process-tree.ts';
import { waitUntil } from '../platform/waiting.ts';
import type { Ask, BrokerPorts } from './api.ts';
import type { ManagedCredential } from './credentials.ts';
import type { EventLog } from './event-log.ts';
import type { Refresher } from './refresher.ts';

/**
 * Rejection at work: puts the asks of clients before the judge of credential/rejection.ts, asks the provider when it
 * wants that, and remembers what each client was served.
 */
export class RejectionDetector {
  readonly #ports: BrokerPorts;
  readonly #events: EventLog;
  readonly #refresher: Refresher;
  readonly #history: ClientHistory;

  constructor(ports: BrokerPorts, events: EventLog, refresher: Refresher) {
    this.#ports = ports;
    this.#events = events;
    this.#refresher = refresher;
    this.#history = new ClientHistory(ports.isAlive);
  }

  /**
   * @returns the moment as of which the ask may be answered by what freshness says.
   * @throws BrokerError ERR_KEY_REJECTED.
   */
  async consider(credential: ManagedCredential, ask: Ask): Promise<Moment> {
    const { client, judged, at } = ask;
    const { living } = credential;
    if (client === undefined || !judged || living === undefined) return at;
    const ledger = this.#history.get(client, credential.name);
    const judgement = judgeAsk(ledger, suspicionOf(credential, living, ask, at));
    if (judgement.action === 'serve' && judgement.ledger === ledger) return at;
    this.#enter(credential, client, judgement, at);
    if (judgement.action !== 'revalidate') return at;
    const verdict = await this.#revalidate(credential, ask, client);
    const now = this.#ports.clock.read();
    const { living: livingNow } = credential;
    // Dropped by the provider's own answer: what follows is an ask with nothing to serve.
    if (livingNow === undefined) return now;
    const suspicion = suspicionOf(credential, livingNow, ask, now);
    this.#enter(credential, client, judgeVerdict(this.#history.get(client, credential.name), suspicion, verdict), now);
    return now;
  }

  /** An answer was written completely. */
  served(client: Client, key: KeyVersion, { nowMs, wallMs }: Moment): void {
    const jwtExpiresAtMs = key.isJwt ? certainEnd({ key, login: undefined }) : undefined;
    const served = { digest: key.digest, jwtExpiresAtMs, atMs: nowMs, atWallMs: wallMs };
    this.#history.set(client, key.credential, recordServed(this.#history.get(client, key.credential), served), nowMs);
  }

  /** Values have other digests from now on: what clients were served cannot be told from what they are served next. */
  forgetClients(): void {
    this.#history.clear();
  }

  #enter(credential: ManagedCredential, client: Client, judgement: Judgement, { nowMs }: Moment): void {
    const before = this.#history.get(client, credential.name);
    // Unchanged, it need not be entered: the answer that follows does that.
    if (judgement.ledger !== before) this.#history.set(client, credential.name, judgement.ledger, nowMs);
    const { rejected } = judgement;
    if (rejected !== undefined && !credential.rejected.has(rejected)) {
      credential.rejected.add(rejected);
      this.#ports.cache.markRejected(credential.name, rejected, nowMs);
      this.#events.add('rejected', credential.name, { fingerprint: rejected.slice(0, 8), client: client.pid });
    }
    const count = judgement.ledger.strikes?.count ?? 0;
    if (count > (before.strikes?.count ?? 0)) {
      this.#events.add('strike', credential.name, { client: client.pid, count });
    }
    if (judgement.action !== 'refuse') return;
    this.#events.add('refused', credential.name, { client: client.pid });
    throw keyRejected(credential);
  }

  /** Asks the provider once for all clients; what it says within two seconds is the verdict. */
  async #revalidate(credential: ManagedCredential, ask: Ask, client: Client): Promise<Verdict> {
    const { clock } = this.#ports;
    const pending = credential.lastVerdict?.isPending ? credential.lastVerdict : undefined;
    const formerLease = credential.key?.lease;
    // A flight that was under way for another reason answers the question, but this client did not cause it.
    const isOurs = pending !== undefined || credential.flight === undefined;
    const flight = this.#refresher.refresh(credential, 'rejection').then(() => {
      const { key } = credential;
      if (isOurs && formerLease !== undefined && key?.lease !== undefined && key.lease.id !== formerLease.id) {
        this.#charge(client, credential.name);
      }
    });
    const atMs = credential.flight?.startedAtMs ?? clock.now();
    if (pending === undefined || pending.atMs !== atMs) this.#await(credential, flight, atMs);
    try {
      await waitUntil(clock, flight, atMs + VERDICT_WAIT_MS, ask.signal);
    } catch {
      // No verdict. If the provider's answer dropped the key, the caller sees that there is nothing to serve.
      ask.signal.throwIfAborted();
    }
    return credential.lastVerdict ?? { atMs, digest: undefined, isPending: false };
  }

  /** What the provider says goes on record, also if it says it late. */
  #await(credential: ManagedCredential, flight: Promise<void>, atMs: number): void {
    const conclude = (digest: string | undefined) => {
      credential.lastVerdict = { atMs, digest, isPending: false };
    };
    credential.lastVerdict = { atMs, digest: undefined, isPending: true };
    flight.then(
      () => conclude(credential.key?.digest),
      () => conclude(undefined),
    );
  }

  /** Only a lease that was really issued counts, and for every client whose suspicion it answered. */
  #charge(client: Client, credential: string): void {
    const now = this.#ports.clock.now();
    this.#history.set(client, credential, recordIssue(this.#history.get(client, credential), now), now);
  }
}

function suspicionOf(
  { lastVerdict }: ManagedCredential,
  living: KeyAndLogin<KeyVersion>,
  { intervalMs }: Ask,
  { nowMs, wallMs }: Moment,
): Suspicion {
  const { digest, lease, isJwt } = living.key;
  const jwtExpiresAtMs = isJwt ? certainEnd(living) : undefined;
  return { nowMs, wallMs, intervalMs, lastVerdict, key: { digest, leased: lease !== undefined, jwtExpiresAtMs } };
}

function keyRejected(credential: ManagedCredential): BrokerError {
  const { key, gate, name } = credential;
  const which = key?.version === undefined ? `the key of "${name}"` : `version ${key.version} of "${name}"`;
  return new BrokerError('ERR_KEY_REJECTED', `the API rejects ${which}, and provider "${gate.name}" has no newer one`, {
    remedy: `ask whoever issues it to store a new key at ${credential.spec.place}, or to allow this key the model you use`,
  });
}

/** Far more clients than a person runs; the one that asked longest ago is forgotten first. */
const MAX_CLIENTS = 1_024;
/** Clients that have exited are looked for at most this often, and only when a client asks. */
const SWEEP_MS = 60_000;

interface ClientBook {
  readonly client: Client;
  readonly byCredential: Map<string, Ledger>;
}

/** What is remembered of each client about each credential: in memory only, bounded, gone when the client exits. */
class ClientHistory {
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

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    for (const [id, { client }] of this.#books) {
      if (!this.#isAlive(client)) this.#books.delete(id);
    }
  }
}
