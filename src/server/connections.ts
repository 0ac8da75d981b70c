import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BrokerError } from '../errors.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { type NativeBindings, socketFd } from '../platform/native.ts';
import type { ServerLimits } from './limits.ts';
import type { PeerCredentials } from './peer.ts';

/** How bytes come and go without Node's streams, at once or not at all. */
export type DirectTransfer = Pick<NativeBindings, 'receiveNow' | 'sendNow'>;

interface ConnectionsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: ServerLimits;
  readonly direct: DirectTransfer | undefined;
  /** An exchange begins: nothing else of this connection does until its answer is written or given up. */
  readonly begin: (exchange: Exchange, connection: ClientConnection) => void;
}

/** Every open connection, and who has to go when there are too many or one takes too long. */
export class Connections {
  readonly options: ConnectionsOptions;
  /** Those that have been silent longest come first. */
  readonly open = new Set<ClientConnection>();
  /** Connections whose request may be there without having been read. */
  readonly #unread = new Set<ClientConnection>();
  /** Those whose ask has not been answered, the newest last. */
  readonly asking = new Set<ClientConnection>();
  /** Asks that came since the last look at how many wait. */
  #fresh: ClientConnection[] = [];
  /** Silent ones that were closed since the log was last told. */
  #closed = 0;
  #shedding = false;
  #stopping = false;

  constructor(options: ConnectionsOptions) {
    this.options = options;
  }

  get size(): number {
    return this.open.size;
  }

  /** undefined: there are too many, and it was closed. */
  admit(socket: Socket, peer: PeerCredentials | undefined): ClientConnection | undefined {
    const { limits } = this.options;
    if (this.open.size >= limits.connectionsAtMost && !this.#closeLongestSilent()) {
      socket.destroy();
      this.#shedSoon();
      return undefined;
    }
    const connection = new ClientConnection(socket, peer, this);
    this.open.add(connection);
    if (this.open.size * 2 > limits.connections) {
      this.#unread.add(connection);
      this.#shedSoon();
    }
    return connection;
  }

  /** There are more asks than may wait: if this one, the newest, has to be waited for, it is told so. */
  noteSurplus(connection: ClientConnection): void {
    this.#fresh.push(connection);
    // What needs no provider is answered by then.
    if (this.#fresh.length === 1) setImmediate(() => setImmediate(() => this.#refuseFresh()));
  }

  #refuseFresh(): void {
    const fresh = this.#fresh;
    this.#fresh = [];
    const { limits, log } = this.options;
    const surplus = this.asking.size - limits.waiting;
    const refused = surplus <= 0 ? [] : fresh.filter((connection) => this.asking.has(connection)).slice(-surplus);
    if (refused.length === 0) return;
    log.warn(
      { refused: refused.length, waiting: limits.waiting },
      'too many asks wait for providers: refused the newest',
    );
    for (const connection of refused) connection.giveUp(tooManyWait(limits.waiting));
  }

  /** Its answer is written, and it may ask again. */
  idle(connection: ClientConnection): void {
    if (this.#stopping) {
      connection.socket.destroySoon();
      return;
    }
    connection.awaitRequest();
    this.open.delete(connection);
    this.open.add(connection);
  }

  /** No more requests: what is idle is closed now, what is busy after the answer. */
  stop(): void {
    this.#stopping = true;
    for (const { socket } of this.#silent()) socket.destroy();
  }

  /** Whatever they are doing. */
  cutOff(): void {
    for (const { socket } of this.open) socket.destroy();
  }

  /** One that says nothing must not keep out one that may ask something. False if all of them ask or have just come. */
  #closeLongestSilent(): boolean {
    for (const connection of this.open) {
      if (!connection.isSilent || this.#unread.has(connection)) continue;
      this.open.delete(connection);
      connection.socket.destroy();
      this.#closed++;
      return true;
    }
    return false;
  }

  #silent(): ClientConnection[] {
    return [...this.open].filter(({ isSilent }) => isSilent);
  }

  /**
   * A burst may be taken in as a whole before any of it is read (that depends on libuv). Two turns of the event loop
   * later every request that had been sent is known, and only those that really are silent are left to choose from.
   */
  #shedSoon(): void {
    if (this.#shedding) return;
    this.#shedding = true;
    setImmediate(() => setImmediate(() => this.#shed()));
  }

  #shed(): void {
    this.#shedding = false;
    this.#unread.clear();
    const { limits, log } = this.options;
    const { connections } = limits;
    // Those that ask do not count: however many wait for a provider, a new one has time to send its request.
    const silent = this.open.size <= connections ? [] : this.#silent();
    const excess = silent.slice(0, Math.max(0, silent.length - connections));
    for (const { socket } of excess) socket.destroy();
    const dropped = excess.length + this.#closed;
    this.#closed = 0;
    if (dropped > 0) log.warn({ dropped, connections }, 'too many connections: closed the longest silent ones');
  }
}

function tooManyWait(waiting: number): BrokerError {
  return new BrokerError('ERR_OVERLOADED', `${waiting} asks wait for their providers already`, {
    remedy: 'try again in a few seconds; broker status says which provider does not answer',
  });
}

/** One request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * One connection, one exchange at a time: requests that were pipelined wait for their turn and nothing more is read
 * meanwhile, so that ten thousand requests in one packet are not ten thousand asks at once.
 */
export class ClientConnection {
  readonly socket: Socket;
  readonly peer: PeerCredentials | undefined;
  readonly #all: Connections;
  isGone = false;
  #abort: AbortController | undefined;
  /** No request has come in since it was opened or answered. */
  isSilent = true;
  /** When it is closed for being silent, or for not reading what it was sent. */
  #deadline: Timer | undefined;
  #current: Exchange | undefined;
  #waiting: Exchange[] = [];
  #lastWord: Buffer | undefined;
  #paused = false;
  #isRead = false;

  constructor(socket: Socket, peer: PeerCredentials | undefined, all: Connections) {
    this.socket = socket;
    this.peer = peer;
    this.#all = all;
    socket.on('close', () => {
      all.open.delete(this);
      all.asking.delete(this);
      this.#deadline?.cancel();
      this.#waiting = [];
      this.isGone = true;
      this.#abort?.abort();
    });
  }

  /**
   * Aborted when the asker hangs up. Made only when it is asked for: answers that wait for nothing are most of all
   * answers, and making and aborting a signal costs as much as the rest of them.
   */
  get signal(): AbortSignal {
    this.read();
    this.#abort ??= new AbortController();
    if (this.isGone) this.#abort.abort();
    return this.#abort.signal;
  }

  /** How much of it the kernel took; 0 as well without the addon. While nothing else is being written to it. */
  sendNow(bytes: Uint8Array): number {
    const fd = socketFd(this.socket);
    return fd === undefined ? 0 : (this.#all.options.direct?.sendNow(fd, bytes) ?? 0);
  }

  /** From now on Node reads it: to hear what it says, or that it hangs up. */
  read(): void {
    if (this.#isRead) return;
    this.#isRead = true;
    if (this.isSilent) this.#closeAfter(this.#all.options.limits.silentMs);
    this.socket.on('end', hangUp);
    this.socket.resume();
  }

  /** Node's HTTP reads it, and answers before it takes notice of a hang-up. */
  readByHttp(): void {
    if (!this.#isRead) this.#closeAfter(this.#all.options.limits.silentMs);
    this.#isRead = true;
    this.socket.off('end', hangUp);
  }

  /** The ask under way ends with this error, if it waits for anything. */
  giveUp(error: BrokerError): void {
    this.#abort ??= new AbortController();
    this.#abort.abort(error);
  }

  /** What is asked for may take as long as the broker does. Ends with `hasAnswer()`. */
  wantsKey(): void {
    this.isSilent = false;
    this.#deadline?.cancel();
    // What it asked for before may have been given up.
    if (!this.isGone && this.#abort?.signal.aborted) this.#abort = undefined;
    const { asking, options } = this.#all;
    asking.add(this);
    if (asking.size > options.limits.waiting) this.#all.noteSurplus(this);
  }

  hasAnswer(): void {
    this.#all.asking.delete(this);
  }

  awaitRequest(): void {
    this.isSilent = true;
    this.#closeAfter(this.#all.options.limits.silentMs);
  }

  /** Everything is written as far as we are concerned; from now on only the reader can be late. */
  draining(): void {
    this.#closeAfter(this.#all.options.limits.drainMs);
  }

  drained(): void {
    this.#deadline?.cancel();
  }

  take(exchange: Exchange): void {
    if (this.#current === undefined) {
      this.#begin(exchange);
      return;
    }
    this.#waiting.push(exchange);
    this.#paused = true;
    this.socket.pause();
  }

  /** Says `rawAnswer` and closes, but not before an answer under way is finished. */
  refuse(rawAnswer: Buffer): void {
    this.#waiting = [];
    if (this.#current !== undefined) {
      this.#lastWord = rawAnswer;
      return;
    }
    if (this.socket.writable) this.socket.end(rawAnswer);
    this.socket.destroySoon();
  }

  #closeAfter(delayMs: number): void {
    this.#deadline?.cancel();
    this.#deadline = this.#all.options.clock.after(delayMs, () => this.socket.destroy());
  }

  #begin(exchange: Exchange): void {
    this.#current = exchange;
    this.isSilent = false;
    this.#deadline?.cancel();
    exchange.response.on('close', () => this.#ended());
    this.#all.options.begin(exchange, this);
  }

  #ended(): void {
    this.#current = undefined;
    if (this.socket.destroyed) return;
    if (this.#lastWord !== undefined) {
      this.refuse(this.#lastWord);
      return;
    }
    const next = this.#waiting.shift();
    if (next !== undefined) {
      this.#begin(next);
      return;
    }
    if (this.#paused) this.socket.resume();
    this.#paused = false;
    this.#all.idle(this);
  }
}

function hangUp(this: Socket): void {
  this.destroy();
}

/** The peer went away before it was looked at, and needs no answer. */
const GONE: ReadonlySet<unknown> = new Set(['ENOTCONN', 'ECONNRESET', 'EPIPE']);

/**
 * The wall around a connection: an error in what is done for it closes it, and ends nothing else. Whatever Node calls
 * because of a connection (listeners, callbacks) is contained, for what is thrown there would end the daemon.
 */
export function contain(socket: Socket, log: Log, work: () => void | Promise<void>): void {
  try {
    work()?.catch((error: unknown) => closeFor(error, socket, log));
  } catch (error) {
    closeFor(error, socket, log);
  }
}

/** What `contain` does about an error. */
export function closeFor(error: unknown, socket: Socket, log: Log): void {
  socket.destroy();
  if (!GONE.has((error as NodeJS.ErrnoException | undefined)?.code))
    log.error({ err: error }, 'a connection was closed because of an error');
}
