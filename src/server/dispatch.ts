import { BrokerError } from '../errors.ts';
import { type Administration, takeLogin } from './administration.ts';
import type { Connection, Exchange } from './connection.ts';
import type { Connections } from './connections.ts';
import { EVENTS_CONTENT_TYPE, eventLines, followEvents, parseEventsQuery, readEvents } from './events-route.ts';
import type { KeyAnswering } from './key-answer.ts';
import { answerKey } from './key-route.ts';
import type { ServerLimits } from './limits.ts';
import { METRICS_CONTENT_TYPE, renderMetrics, statusMetrics } from './metrics.ts';
import { sendBody, sendJson } from './reply.ts';
import { matchRoute, RouteError } from './routes.ts';

export interface DispatchOptions extends KeyAnswering {
  readonly administration: Administration | undefined;
  readonly limits: ServerLimits;
  readonly connections: () => Connections;
}

/** From a request to the broker and back; whatever is thrown here is answered by the caller. */
export class Dispatcher {
  readonly #options: DispatchOptions;
  #followers = 0;

  constructor(options: DispatchOptions) {
    this.#options = options;
  }

  async dispatch(exchange: Exchange, connection: Connection): Promise<void> {
    const { request, response } = exchange;
    const { service } = this.#options;
    const route = matchRoute(request.method ?? '', request.url ?? '');
    if (route.to === 'login') return takeLogin(this.#administration, this.#options, exchange, route.provider);
    this.#refuseBody(exchange);
    switch (route.to) {
      case 'key':
        return answerKey(this.#options, exchange, connection, route);
      case 'refresh':
        return sendJson(response, 200, await service.refresh(route.credential));
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
        return sendJson(response, 200, this.#administration.config());
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
    const open = { labels: {}, value: connections().size };
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

  async #sendEvents({ response }: Exchange, connection: Connection, query: URLSearchParams): Promise<void> {
    const { service, limits, connections } = this.#options;
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
      await followEvents(service, asked, response, {
        late: () => connections().draining(connection),
        inTime: () => connections().drained(connection),
      });
    } finally {
      this.#followers--;
    }
  }
}
