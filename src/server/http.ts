import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { BrokerError } from '../errors.ts';
import { loadHttp } from '../platform/native.ts';
import { type ClientConnection, type Connections, contain, type Exchange } from './connections.ts';
import { EVENTS_CONTENT_TYPE, eventLines, followEvents, parseEventsQuery, readEvents } from './events.ts';
import { answerKey, type KeyAnswering } from './key-answer.ts';
import { presentable, rawProblem, type ServerLimits, sendBody, sendError, sendJson } from './limits.ts';
import { METRICS_CONTENT_TYPE, renderMetrics, statusMetrics } from './metrics.ts';
import { type Administration, matchRoute, RouteError, takeLogin } from './routes.ts';

interface HttpLaneOptions extends KeyAnswering {
  readonly administration: Administration | undefined;
  readonly limits: ServerLimits;
  readonly connections: Connections;
  readonly onRequest: () => void;
}

/** For those who speak HTTP: the CLI, curl, a helper of another version. The server itself listens to nothing. */
export class HttpLane {
  readonly #options: HttpLaneOptions;
  readonly #http: Server;
  readonly #taken = new WeakMap<Socket, ClientConnection>();
  #stopping = false;
  #followers = 0;

  constructor(options: HttpLaneOptions) {
    this.#options = options;
    const server = loadHttp().createServer({
      maxHeaderSize: options.limits.headerBytes,
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: 0,
    });
    server.on('request', (request, response) => {
      contain(request.socket, options.log, () => {
        options.onRequest();
        this.#taken.get(request.socket)?.take({ request, response });
      });
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      contain(socket as Socket, options.log, () => this.#misunderstood(error, socket as Socket)),
    );
    this.#http = server;
  }

  /** @param packet what was read of the connection already. */
  take(connection: ClientConnection, packet: Buffer): void {
    const { socket } = connection;
    this.#taken.set(socket, connection);
    socket.pause();
    socket.unshift(packet);
    this.#http.emit('connection', socket);
    socket.resume();
  }

  /** Connections end with the answer under way. */
  stop(): void {
    this.#stopping = true;
  }

  async answer(exchange: Exchange, connection: ClientConnection): Promise<void> {
    const { request, response } = exchange;
    if (this.#stopping) response.shouldKeepAlive = false;
    try {
      await this.#dispatch(exchange, connection);
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
    if (response.writableEnded && request.socket.writableLength > 0) connection.draining();
  }

  /** From a request to the broker and back; what is thrown here is answered by the caller. */
  async #dispatch(exchange: Exchange, connection: ClientConnection): Promise<void> {
    const { request, response } = exchange;
    const { service } = this.#options;
    const route = matchRoute(request.method ?? '', request.url ?? '');
    if (route.to === 'login') return takeLogin(this.#administration, this.#options, exchange, route.provider);
    this.#refuseBody(exchange);
    switch (route.to) {
      case 'key':
        return answerKey(this.#options, exchange, connection, route);
      case 'logout':
        await this.#administration.dropLogin(route.provider);
        return sendJson(response, 200, { provider: route.provider });
      case 'refresh':
        return sendJson(response, 200, await service.refresh(route.credential));
      case 'check':
        return sendJson(response, 200, await service.check(route.credential));
      case 'invalidate':
        return sendJson(response, 200, await service.invalidate(route.credential));
      case 'refresh-all':
        return sendJson(response, 200, { credentials: await service.refreshAll() });
      case 'rotate-key':
        return sendJson(
          response,
          200,
          await this.#administration.rotateKey({ discard: route.discard, to: route.home }),
        );
      case 'config':
        return sendJson(response, 200, await this.#administration.config());
      case 'status':
        return sendJson(response, 200, service.status());
      case 'health': {
        const health = service.health();
        return sendJson(response, health.ok ? 200 : 503, health);
      }
      case 'metrics':
        return this.#sendMetrics(exchange);
      case 'events':
        return this.#sendEvents(exchange, connection, route.query);
    }
  }

  get #administration(): Administration {
    const { administration } = this.#options;
    if (administration !== undefined) return administration;
    throw new RouteError(404, 'this server has nothing to administer', 'ask the daemon');
  }

  /** No other request has a use for a body: a short one is left unread, which ends the connection after the answer. */
  #refuseBody({ request, response }: Exchange): void {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    if (encoding === undefined && (length === undefined || length === '0')) return;
    response.shouldKeepAlive = false;
    if (Number(length) <= this.#options.limits.bodyBytes) return;
    throw new RouteError(413, 'the request has a body that is too long', 'send none: only a login has a use for one');
  }

  #sendMetrics({ response }: Exchange): void {
    const { service, connections } = this.#options;
    const open = { labels: {}, value: connections.size };
    const families = [
      ...statusMetrics(service.status()),
      {
        name: 'broker_connections',
        type: 'gauge' as const,
        help: 'Open connections, this one included.',
        samples: [open],
      },
      ...(service.metrics?.() ?? []),
    ];
    sendBody(response, 200, { 'content-type': METRICS_CONTENT_TYPE }, Buffer.from(renderMetrics(families)));
  }

  async #sendEvents({ response }: Exchange, connection: ClientConnection, query: URLSearchParams): Promise<void> {
    const { service, limits } = this.#options;
    const asked = parseEventsQuery(query);
    if (!asked.follow) {
      const body = Buffer.from(eventLines(readEvents(service, asked)));
      sendBody(response, 200, { 'content-type': EVENTS_CONTENT_TYPE }, body);
      return;
    }
    if (this.#followers >= limits.followers) {
      throw new BrokerError('ERR_OVERLOADED', `${limits.followers} readers follow the events already`, {
        remedy: 'end one of them: broker events --follow',
      });
    }
    this.#followers++;
    try {
      await followEvents(service, asked, response, connection);
    } finally {
      this.#followers--;
    }
  }

  /** What came in is not HTTP. An answer under way is finished first. */
  #misunderstood(error: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#taken.get(socket);
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const tooLong = error.code === 'HPE_HEADER_OVERFLOW';
    const problem = new BrokerError('ERR_USAGE', tooLong ? 'the headers are too long' : 'this is not an HTTP request', {
      remedy: 'speak HTTP/1.1: curl --unix-socket SOCKET http://broker/v1/status',
    });
    connection.refuse(
      rawProblem(problem, tooLong ? 431 : 400, tooLong ? 'Request Header Fields Too Large' : 'Bad Request'),
    );
  }
}
