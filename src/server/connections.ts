import type { Socket } from 'node:net';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { Connection, type ConnectionHooks, type Exchange } from './connection.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import type { ServerLimits } from './limits.ts';
import type { PeerCredentials } from './peer-identity.ts';

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: ServerLimits;
  readonly begin: (exchange: Exchange, connection: Connection) => void;
}

/** Every open connection, and who has to go when there are too many or one takes too long. */
export class Connections {
  readonly #open = new Map<Socket, Connection>();
  readonly #silent: DeadlineQueue<Connection>;
  readonly #draining: DeadlineQueue<Connection>;
  readonly #options: ConnectionsOptions;
  readonly #hooks: ConnectionHooks;
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
    return this.#open.size;
  }

  admit(socket: Socket, peer: PeerCredentials | undefined): void {
    if (this.#open.size >= this.#options.limits.connectionsAtMost) {
      socket.destroy();
      this.#shedSoon();
      return;
    }
    const connection = new Connection(socket, peer, this.#hooks);
    this.#open.set(socket, connection);
    this.#silent.add(connection);
    socket.on('close', () => this.#remove(connection));
    if (this.#open.size > this.#options.limits.connections) this.#shedSoon();
  }

  of(socket: Socket): Connection | undefined {
    return this.#open.get(socket);
  }

  /** Everything is written as far as we are concerned; from now on only the reader can be late. */
  draining(connection: Connection): void {
    this.#draining.add(connection);
  }

  drained(connection: Connection): void {
    this.#draining.delete(connection);
  }

  /** No more requests: whoever is idle is closed now, whoever is busy after the answer. */
  stop(): void {
    this.#stopping = true;
    for (const connection of [...this.#silent.items()]) connection.socket.destroy();
  }

  destroyAll(): void {
    for (const socket of [...this.#open.keys()]) socket.destroy();
    this.#silent.stop();
    this.#draining.stop();
  }

  #begin(exchange: Exchange, connection: Connection): void {
    this.#silent.delete(connection);
    this.#draining.delete(connection);
    this.#options.begin(exchange, connection);
  }

  #idle(connection: Connection): void {
    this.#draining.delete(connection);
    if (this.#stopping) connection.socket.destroySoon();
    else this.#silent.add(connection);
  }

  #remove(connection: Connection): void {
    connection.closed();
    this.#open.delete(connection.socket);
    this.#silent.delete(connection);
    this.#draining.delete(connection);
    if (this.#open.size === 0) this.#quiet();
  }

  /** Nothing is open: no timer has a reason to wake us up. */
  #quiet(): void {
    if (!this.#stopping) return;
    this.#silent.stop();
    this.#draining.stop();
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
    const excess = this.#open.size - this.#options.limits.connections;
    if (excess <= 0) return;
    const dropped = [...this.#silent.items()].slice(0, excess);
    for (const connection of dropped) {
      this.#open.delete(connection.socket);
      connection.socket.destroy();
    }
    const { connections } = this.#options.limits;
    this.#options.log.warn(
      { dropped: dropped.length, connections },
      'too many connections: closed the longest silent ones',
    );
  }
}
