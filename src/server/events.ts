import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { BrokerApi, EventQuery } from '../broker/api.ts';
import type { BrokerEvent } from '../protocol/reports.ts';
import type { ClientConnection } from './connections.ts';
import { RouteError } from './routes.ts';

export const EVENTS_CONTENT_TYPE = 'application/x-ndjson';

const DEFAULT_LIMIT = 100;
const LARGEST_LIMIT = 10_000;
/** Read and written at a time, so that a follower who catches up does not hold everybody up. */
const BATCH = 500;

interface EventsRequest {
  readonly afterId: number | undefined;
  readonly limit: number;
  readonly credential: string | undefined;
  readonly follow: boolean;
}

export function parseEventsQuery(query: URLSearchParams): EventsRequest {
  return {
    afterId: wholeNumber(query, 'after', Number.MAX_SAFE_INTEGER),
    limit: wholeNumber(query, 'limit', LARGEST_LIMIT) ?? DEFAULT_LIMIT,
    credential: query.get('credential') ?? undefined,
    follow: query.get('follow') === '1',
  };
}

function wholeNumber(query: URLSearchParams, name: string, most: number): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= most) return value;
  throw new RouteError(400, `${name} is not a whole number between 0 and ${most}`, `leave ${name} out, or fix it`);
}

export function eventLines(events: readonly BrokerEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}

/** The events asked for, oldest first. */
export function readEvents(service: BrokerApi, { afterId, limit, credential }: EventsRequest): readonly BrokerEvent[] {
  return limit === 0 ? [] : service.events(eventQuery(limit, afterId, credential));
}

/**
 * Writes the events asked for and then every new one until the reader goes. What a slow reader has not taken yet stays
 * in the store: nothing piles up here, and nothing is left out.
 */
export async function followEvents(
  service: BrokerApi,
  asked: EventsRequest,
  response: ServerResponse,
  connection: ClientConnection,
): Promise<void> {
  const { signal } = connection;
  let lastId = asked.afterId ?? newestId(service);
  let batch = readEvents(service, asked);
  response.writeHead(200, { 'content-type': EVENTS_CONTENT_TYPE, 'cache-control': 'no-store' });
  response.flushHeaders();
  let news = Promise.withResolvers<void>();
  const wake = () => news.resolve();
  const unsubscribe = service.onEvents(wake);
  signal.addEventListener('abort', wake);
  try {
    while (!signal.aborted) {
      lastId = batch.at(-1)?.id ?? lastId;
      if (batch.length > 0) await write(response, batch, connection);
      else {
        await news.promise;
        news = Promise.withResolvers();
      }
      batch = service.events(eventQuery(BATCH, lastId, asked.credential));
    }
  } finally {
    unsubscribe();
  }
}

async function write(
  response: ServerResponse,
  batch: readonly BrokerEvent[],
  connection: ClientConnection,
): Promise<void> {
  if (response.write(eventLines(batch))) return;
  connection.draining();
  // Rejects only because the reader went, which the caller sees by the signal.
  await once(response, 'drain', { signal: connection.signal }).catch(() => undefined);
  connection.drained();
}

function newestId(service: BrokerApi): number {
  return service.events({ limit: 1 }).at(-1)?.id ?? 0;
}

function eventQuery(limit: number, afterId: number | undefined, credential: string | undefined): EventQuery {
  return { limit, ...(afterId === undefined ? {} : { afterId }), ...(credential === undefined ? {} : { credential }) };
}
