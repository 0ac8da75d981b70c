import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HangUp } from './hang-up.ts';
import { Place } from './linked-list.ts';
import type { PeerCredentials } from './peer-identity.ts';

/** One request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface ConnectionHooks {
  /** An exchange begins: nothing else of this connection does until its answer is written or given up. */
  begin(exchange: Exchange, connection: Connection): void;
  /** Between two exchanges. */
  idle(connection: Connection): void;
}

/**
 * One connection, one exchange at a time: requests that were pipelined wait for their turn and nothing more is read
 * meanwhile, so that ten thousand requests in one packet are not ten thousand asks at once.
 */
export class Connection {
  readonly socket: Socket;
  readonly peer: PeerCredentials | undefined;
  /** Among all that are open; where it waits for a request, and for its reader. */
  readonly open = new Place<Connection>(this);
  readonly silent = new Place<Connection>(this);
  readonly draining = new Place<Connection>(this);
  readonly #hooks: ConnectionHooks;
  /** Who waits for an answer in the helper's lane. */
  asker: HangUp | undefined;
  #current: Exchange | undefined;
  #waiting: Exchange[] = [];
  #lastWord: Buffer | undefined;
  #paused = false;

  constructor(socket: Socket, peer: PeerCredentials | undefined, hooks: ConnectionHooks) {
    this.socket = socket;
    this.peer = peer;
    this.#hooks = hooks;
  }

  get busy(): boolean {
    return this.#current !== undefined;
  }

  take(exchange: Exchange): void {
    if (this.#current !== undefined) {
      this.#waiting.push(exchange);
      this.#paused = true;
      this.socket.pause();
      return;
    }
    this.#begin(exchange);
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

  closed(): void {
    this.#waiting = [];
    this.asker?.noteGone();
  }

  #begin(exchange: Exchange): void {
    this.#current = exchange;
    exchange.response.on('close', () => this.#ended());
    this.#hooks.begin(exchange, this);
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
    this.#hooks.idle(this);
  }
}
