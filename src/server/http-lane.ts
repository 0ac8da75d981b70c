import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { BrokerError } from '../errors.ts';
import { loadHttp } from '../platform/builtins.ts';
import type { Log } from '../platform/log.ts';
import type { Connection, Exchange } from './connection.ts';
import type { Connections } from './connections.ts';
import { contain } from './contain.ts';
import type { Dispatcher } from './dispatch.ts';
import { presentable, rawProblem, sendError } from './reply.ts';
import { RouteError } from './routes.ts';

export interface HttpLaneOptions {
  readonly dispatcher: Dispatcher;
  readonly connections: Connections;
  readonly headerBytes: number;
  readonly log: Log;
  readonly onRequest: () => void;
}

/** Whoever speaks HTTP: the CLI, curl, a helper of another version. The server itself listens to nothing. */
export class HttpLane {
  readonly #options: HttpLaneOptions;
  readonly #http: Server;
  #stopping = false;

  constructor(options: HttpLaneOptions) {
    this.#options = options;
    const server = loadHttp().createServer({
      maxHeaderSize: options.headerBytes,
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
    });
    server.on('request', (request, response) => {
      contain(request.socket, options.log, () => {
        options.onRequest();
        const connection = options.connections.of(request.socket);
        if (connection === undefined) request.socket.destroy();
        else connection.take({ request, response });
      });
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      contain(socket as Socket, options.log, () => this.#misunderstood(error, socket as Socket)),
    );
    this.#http = server;
  }

  /** @param packet what was read of the connection already. */
  take(socket: Socket, packet: Buffer): void {
    socket.pause();
    socket.unshift(packet);
    this.#http.emit('connection', socket);
    socket.resume();
  }

  /** Connections end with the answer under way. */
  stop(): void {
    this.#stopping = true;
  }

  async answer(exchange: Exchange, connection: Connection): Promise<void> {
    const { request, response } = exchange;
    if (this.#stopping) response.shouldKeepAlive = false;
    try {
      await this.#options.dispatcher.dispatch(exchange, connection);
    } catch (error) {
      if (response.destroyed || response.headersSent) {
        request.socket.destroy();
        return;
      }
      const { status, allow } = error instanceof RouteError ? error : {};
      if (allow !== undefined) response.setHeader('allow', allow);
      sendError(request, response, presentable(error, this.#options.log), status);
    }
    // Usually the kernel has taken it all by now.
    if (response.writableEnded && request.socket.writableLength > 0) this.#options.connections.draining(connection);
  }

  /** What came in is not HTTP. Whoever has an answer coming gets that first. */
  #misunderstood(error: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#options.connections.of(socket);
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const tooLong = error.code === 'HPE_HEADER_OVERFLOW';
    const problem = new BrokerError('ERR_USAGE', tooLong ? 'the headers are too long' : 'this is no HTTP request', {
      remedy: 'speak HTTP/1.1: curl --unix-socket SOCKET http://broker/v1/status',
    });
    connection.refuse(
      rawProblem(problem, tooLong ? 431 : 400, tooLong ? 'Request Header Fields Too Large' : 'Bad Request'),
    );
  }
}
