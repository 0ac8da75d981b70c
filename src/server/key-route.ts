import type { OutgoingHttpHeaders } from 'node:http';
import type { Answer, Ask } from '../broker/ask.ts';
import type { BrokerService } from '../broker/service.ts';
import { certainEnd } from '../credential/life.ts';
import type { Clock } from '../platform/clock.ts';
import {
  CLIENT_HINTS,
  CLIENT_INTERVAL,
  DEFAULT_CLIENT_INTERVAL_MS,
  KEY_EXPIRES,
  KEY_STATE,
  KEY_VERSION,
} from '../protocol/headers.ts';
import type { Connection, Exchange } from './connection.ts';
import type { Formatter } from './formats.ts';
import { HangUp } from './hang-up.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { sendBody } from './reply.ts';
import { RouteError } from './routes.ts';

export interface KeyRouteOptions {
  readonly service: BrokerService;
  readonly clock: Clock;
  readonly peers: PeerIdentity;
  readonly formats: ReadonlyMap<string, Formatter>;
}

export interface KeyRequest {
  readonly credential: string | undefined;
  readonly query: URLSearchParams | undefined;
}

/** `GET /v1/credentials/{name}/key`: the one answer with a secret in it. */
export async function answerKey(
  options: KeyRouteOptions,
  { request, response }: Exchange,
  { peer }: Connection,
  { credential, query }: KeyRequest,
): Promise<void> {
  const format = query?.get('format') ?? 'raw';
  const formatter = options.formats.get(format);
  if (formatter === undefined) {
    const known = [...options.formats.keys()].join(', ');
    throw new RouteError(400, 'there is no such format', `the formats are: ${known}`);
  }
  const { client, judged } = options.peers.identify(peer?.pid, single(request.headers[CLIENT_HINTS]));
  const hangUp = new HangUp(response);
  const ask: Ask = {
    credential,
    intervalMs: intervalOf(single(request.headers[CLIENT_INTERVAL])),
    client,
    judged: judged && format === 'raw',
    get signal() {
      return hangUp.signal;
    },
  };
  const answer = await options.service.answer(ask);
  if (hangUp.gone) {
    wipe(answer);
    return;
  }
  try {
    deliver(options, { request, response }, answer, formatter);
  } catch (error) {
    wipe(answer);
    throw error;
  }
}

function deliver({ clock }: KeyRouteOptions, { response }: Exchange, answer: Answer, formatter: Formatter): void {
  const now = clock.now();
  const { confirmedAtMs, version } = answer.key;
  const expiresAtMs = certainEnd({ key: answer.key, login: undefined });
  const expiresAt = expiresAtMs === undefined ? undefined : new Date(expiresAtMs - now + clock.wall()).toISOString();
  const { contentType, body } = formatter(answer, { expiresAt });
  const headers: OutgoingHttpHeaders = {
    'content-type': contentType,
    age: String(Math.max(0, Math.floor((now - confirmedAtMs) / 1000))),
    [KEY_STATE]: answer.state,
  };
  if (version !== undefined) headers[KEY_VERSION] = encodeURIComponent(version);
  if (expiresAt !== undefined) headers[KEY_EXPIRES] = expiresAt;
  // 'finish' means that the kernel has every byte; a hang-up before that is 'close' without it.
  response.on('finish', () => answer.delivered());
  response.on('close', () => {
    body.fill(0);
    wipe(answer);
  });
  sendBody(response, 200, headers, body);
}

function wipe(answer: Answer): void {
  for (const secret of answer.secrets.values()) secret.wipe();
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
}

/** As the client treats its own variable: nonsense counts as the default. */
function intervalOf(header: string | undefined): number {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : DEFAULT_CLIENT_INTERVAL_MS;
}
