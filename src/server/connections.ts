import type { Socket } from 'node:net';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { Connection, type ConnectionHooks, type Exchange } from './connection.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import type { ServerLimits } from './limits.ts';
import { LinkedList } from './linked-list.ts';
import type { PeerCredentials } from './peer-identity.ts';

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: ServerLimits;
  readonly begin: (exchange: Exchange, connection: Connection) => void;
}

const CONNECTION = Symbol('connection');

interface AdmittedSocket extends Socket {
  [CONNECTION]?: Connection;
}

/** Every open connection, and who has to go when there are too many or one takes too long. */
export class Connections {
  readonly #silent: DeadlineQueue<Connection>;
  readonly #draining: DeadlineQueue<Connection>;
  readonly #options: ConnectionsOptions;
  readonly #hooks: ConnectionHooks;
  readonly #all = new LinkedList<Connection>();
  #open = 0;
  #shedding = false;
  #stopping = false;

  constructor(options: ConnectionsOptions) {
    const { clock, limits } = options;
    this.#options = options;
    this.#hooks = {
      begin: (exchange, connection) => this.#begin(exchange, connection),
      idle: (connection) => this.#idle(connection),
    };
    this.#silent = new DeadlineQueue(clock, limits.silentMs, ({ socket }) => socket.destroy());
    this.#draining = new DeadlineQueue(clock, limits.drainMs, ({ socket }) => socket.destroy());
  }

  get size(): number {
    return this.#open;
  }

  /** undefined: there are too many, and it was closed. */
  admit(socket: Socket, peer: PeerCredentials | undefined): Connection | undefined {
    if (this.#open >= this.#options.limits.connectionsAtMost) {
      socket.destroy();
      this.#shedSoon();
      return undefined;
    }
    const connection = new Connection(socket, peer, this.#hooks);
    (socket as AdmittedSocket)[CONNECTION] = connection;
    this.#open += 1;
    socket.on('close', () => this.#remove(connection));
    this.#all.push(connection.open);
    this.#silent.add(connection.silent);
    if (this.#open > this.#options.limits.connections) this.#shedSoon();
    return connection;
  }

  of(socket: Socket): Connection | undefined {
    return (socket as AdmittedSocket)[CONNECTION];
  }

  /** Its request is there: it is silent no more. */
  asks(connection: Connection): void {
    this.#silent.delete(connection.silent);
  }

  /** Everything is written as far as we are concerned; from now on only the reader can be late. */
  draining(connection: Connection): void {
    this.#draining.add(connection.draining);
  }

  drained(connection: Connection): void {
    this.#draining.delete(connection.draining);
  }

  /** No more requests: whoever is idle is closed now, whoever is busy after the answer. */
  stop(): void {
    this.#stopping = true;
    for (const connection of this.#silent.oldest(this.#open)) connection.socket.destroy();
  }

  /** Whatever they are doing. */
  cutOff(): void {
    for (const { socket } of this.#all.items()) socket.destroy();
  }

  /** The server has closed them all: nobody is waited for any more. */
  forget(): void {
    this.#silent.stop();
    this.#draining.stop();
  }

  #begin(exchange: Exchange, connection: Connection): void {
    this.#silent.delete(connection.silent);
    this.#draining.delete(connection.draining);
    this.#options.begin(exchange, connection);
  }

  #idle(connection: Connection): void {
    this.#draining.delete(connection.draining);
    if (this.#stopping) connection.socket.destroySoon();
    else this.#silent.add(connection.silent);
  }

  #remove(connection: Connection): void {
    connection.closed();
    this.#open -= 1;
    this.#all.delete(connection.open);
    this.#silent.delete(connection.silent);
    this.#draining.delete(connection.draining);
    if (this.#open === 0) this.#quiet();
  }

  /** Nothing is open: no timer has a reason to wake us up. */
  #quiet(): void {
    if (this.#stopping) this.forget();
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
    const excess = this.#open - this.#options.limits.connections;
    if (excess <= 0) return;
    const dropped = this.#silent.oldest(excess);
    for (const { socket } of dropped) socket.destroy();
    const { connections } = this.#options.limits;
    this.#options.log.warn(
      { dropped: dropped.length, connections },
      'too many connections: closed the longest silent ones',
    );
  }
}
