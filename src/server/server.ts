import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { BrokerService } from '../broker/service.ts';
import { BrokerError } from '../errors.ts';
import { http } from '../platform/builtins.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { socketFd } from '../platform/socket-fd.ts';
import type { Administration } from './administration.ts';
import type { Connection, Exchange } from './connection.ts';
import { Connections } from './connections.ts';
import { Dispatcher } from './dispatch.ts';
import { BASIC_FORMATS, type Formatter } from './formats.ts';
import { DEFAULT_LIMITS, type ServerLimits } from './limits.ts';
import type { PeerCredentials, PeerIdentity } from './peer-identity.ts';
import { presentable, rawProblem, sendError } from './reply.ts';
import { RouteError } from './routes.ts';

export interface BrokerServerOptions {
  readonly service: BrokerService;
  readonly clock: Clock;
  readonly log: Log;
  /** The only uid that is served. */
  readonly uid: number;
  readonly peers: PeerIdentity;
  /** What a person may do to the daemon itself; without it these requests are answered with 404. */
  readonly administration?: Administration;
  /** Besides raw and json. */
  readonly formats?: ReadonlyMap<string, Formatter>;
  readonly limits?: Partial<ServerLimits>;
}

/** Node arms an interval for its own time limits; ours need none while nobody is connected. */
const NEVER_MS = 2 ** 31 - 1;

/** The broker's HTTP server. It is bound by listener.ts, which knows about sockets and paths. */
export class BrokerServer {
  readonly http: Server;
  readonly #options: BrokerServerOptions;
  readonly #connections: Connections;
  readonly #dispatcher: Dispatcher;
  #stopping = false;

  constructor(options: BrokerServerOptions) {
    const { clock, log, service, peers } = options;
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#options = options;
    this.#connections = new Connections({
      clock,
      log,
      limits,
      begin: (exchange, connection) => void this.#answer(exchange, connection),
    });
    const formats = new Map([...BASIC_FORMATS, ...(options.formats ?? [])]);
    this.#dispatcher = new Dispatcher({
      service,
      administration: options.administration,
      clock,
      peers,
      formats,
      limits,
      connections: () => this.#connections,
    });
    this.http = this.#createServer(limits);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Takes no new connections and lets answers under way be finished; after `graceMs` they are cut off. The listening
   * socket itself is closed, its path left to whoever bound it.
   */
  close(graceMs: number): Promise<void> {
    this.#stopping = true;
    return new Promise((resolve) => {
      const cutOff = this.#options.clock.after(graceMs, () => this.http.closeAllConnections());
      this.http.close(() => {
        cutOff.cancel();
        this.#connections.forget();
        resolve();
      });
      this.#connections.stop();
    });
  }

  #createServer({ headerBytes }: ServerLimits): Server {
    const server = http.createServer({
      maxHeaderSize: headerBytes,
      connectionsCheckingInterval: NEVER_MS,
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
    });
    server.on('connection', (socket) => this.#connected(socket));
    server.on('request', (request, response) => {
      const connection = this.#connections.of(request.socket);
      if (connection === undefined) request.socket.destroy();
      else connection.take({ request, response });
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#misunderstood(error, socket as Socket));
    return server;
  }

  #connected(socket: Socket): void {
    let peer: PeerCredentials | undefined;
    if (this.#options.peers.peerCredentials !== undefined) {
      // The descriptor is only sure to be there at this moment.
      const fd = socketFd(socket);
      peer = fd === undefined ? undefined : this.#options.peers.peerCredentials(fd);
      if (peer?.uid !== this.#options.uid) {
        this.#refusePeer(socket, peer);
        return;
      }
    }
    this.#connections.admit(socket, peer);
  }

  #refusePeer(socket: Socket, peer: PeerCredentials | undefined): void {
    this.#options.log.warn({ pid: peer?.pid, uid: peer?.uid }, 'refused a connection of another user');
    const error = new BrokerError('ERR_PEER_REFUSED', 'this daemon serves another user', {
      remedy: 'start a daemon of your own: broker daemon',
    });
    socket.end(rawProblem(error, 403, 'Forbidden'));
    socket.destroySoon();
  }

  async #answer(exchange: Exchange, connection: Connection): Promise<void> {
    const { request, response } = exchange;
    if (this.#stopping) response.shouldKeepAlive = false;
    try {
      await this.#dispatcher.dispatch(exchange, connection);
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
    if (response.writableEnded && request.socket.writableLength > 0) this.#connections.draining(connection);
  }

  /** What came in is not HTTP. Whoever has an answer coming gets that first. */
  #misunderstood(error: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#connections.of(socket);
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
