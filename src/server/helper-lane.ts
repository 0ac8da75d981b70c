import { BrokerError } from '../errors.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';
import { contain } from './contain.ts';
import { HangUp } from './hang-up.ts';
import { findKey, type KeyAnswer, type KeyAnswering, type KeyRequest } from './key-answer.ts';
import { presentable, rawLine, rawReply } from './reply.ts';
import { RouteError } from './routes.ts';

export interface HelperLaneOptions extends KeyAnswering {
  readonly connections: Connections;
}

/**
 * The helper's own requests, which are nearly all there are: one request, one answer, and the connection closes. They
 * need nothing of what HTTP can do besides, and without it an answer takes a third less time (bench/report.md).
 */
export class HelperLane {
  readonly #options: HelperLaneOptions;

  constructor(options: HelperLaneOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async answer(connection: Connection, request: KeyRequest): Promise<void> {
    const { connections } = this.#options;
    const hangUp = new HangUp();
    connection.asker = hangUp;
    connections.asks(connection);
    let answer: KeyAnswer | undefined;
    let reply: Buffer;
    try {
      answer = await findKey(this.#options, connection.peer, request, hangUp);
      if (answer === undefined) return;
      reply = rawReply(200, 'OK', answer.headers, answer.body);
      answer.wipe();
    } catch (error) {
      // What is not handed out is not served.
      answer?.wipe();
      answer = undefined;
      // This daemon is as good as gone: without an answer the helper asks again, and the next one gives it.
      if (error instanceof BrokerError && error.code === 'ERR_DAEMON_UNREACHABLE') {
        connection.socket.destroy();
        return;
      }
      reply = rawLine(presentable(error, this.#options.log), error instanceof RouteError ? error.status : undefined);
    }
    this.#write(connection, reply, answer);
  }

  #write(connection: Connection, reply: Buffer, answer: KeyAnswer | undefined): void {
    const { socket } = connection;
    // Called without an error when the kernel has every byte.
    socket.write(reply, (error) => {
      reply.fill(0);
      if (error === undefined || error === null) contain(socket, this.#options.log, () => answer?.delivered());
      // Destroyed right here, the stream would make an error for nobody.
      queueMicrotask(() => socket.destroy());
    });
    // Usually the kernel has taken it all by now.
    if (socket.writableLength > 0) this.#options.connections.draining(connection);
  }
}
