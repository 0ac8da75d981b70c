import type { Ask, OpenedKey } from '../broker/answering.ts';
import type { BrokerApi } from '../broker/api.ts';
import { certainEnd } from '../credential/life.ts';
import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import {
  CLIENT_HINTS,
  CLIENT_INTERVAL,
  DEFAULT_CLIENT_INTERVAL_MS,
  KEY_EXPIRES,
  KEY_STATE,
  KEY_VERSION,
} from '../protocol/request.ts';
import type { ClientConnection, Exchange } from './connections.ts';
import { contain } from './contain.ts';
import type { Formatter } from './formats.ts';
import { sendBody } from './limits.ts';
import type { PeerCredentials, PeerIdentity } from './peer.ts';
import { RouteError } from './routes.ts';
import { LazyAbort } from './server.ts';

export interface KeyAnswering {
  readonly service: BrokerApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly peers: PeerIdentity;
  readonly formats: ReadonlyMap<string, Formatter>;
}

/** What a request for a key says, whichever way it came. */
export interface KeyRequest {
  readonly credential: string | undefined;
  readonly format: string;
  /** The headers as they came; undefined if they did not. */
  readonly interval: string | undefined;
  readonly hints: string | undefined;
}

/** The one answer with a secret in it. Whoever writes it wipes it, and says `delivered()` if the kernel has every byte. */
export interface KeyReply {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  delivered(): void;
  wipe(): void;
}

/** undefined: the asker has gone meanwhile. @throws BrokerError why there is no key for this asker. */
export async function findKey(
  { service, clock, peers, formats }: KeyAnswering,
  peer: PeerCredentials | undefined,
  { credential, format, interval, hints }: KeyRequest,
  hangUp: LazyAbort,
): Promise<KeyReply | undefined> {
  const formatter = formats.get(format);
  if (formatter === undefined) {
    const known = [...formats.keys()].join(', ');
    throw new RouteError(400, 'there is no such format', `the formats are: ${known}`);
  }
  const { client, judged } = peers.identify(peer, hints);
  const ask: Ask = {
    credential,
    intervalMs: intervalOf(interval),
    client,
    judged: judged && format === 'raw',
    get signal() {
      return hangUp.signal;
    },
  };
  const answer = await service.answer(ask);
  try {
    if (!hangUp.gone) return written(answer, formatter, clock);
  } catch (error) {
    wipe(answer);
    throw error;
  }
  wipe(answer);
  return undefined;
}

function written(answer: OpenedKey, formatter: Formatter, clock: Clock): KeyReply {
  const now = clock.now();
  const { confirmedAtMs, version } = answer.key;
  const expiresAtMs = certainEnd({ key: answer.key, login: undefined });
  const expiresAt = expiresAtMs === undefined ? undefined : new Date(expiresAtMs - now + clock.wall()).toISOString();
  const { contentType, body } = formatter(answer, { expiresAt });
  const headers: Record<string, string> = {
    'content-type': contentType,
    age: String(Math.max(0, Math.floor((now - confirmedAtMs) / 1000))),
    [KEY_STATE]: answer.state,
  };
  if (version !== undefined) headers[KEY_VERSION] = encodeURIComponent(version);
  if (expiresAt !== undefined) headers[KEY_EXPIRES] = expiresAt;
  return {
    headers,
    body,
    delivered: () => answer.delivered(),
    wipe: () => {
      body.fill(0);
      wipe(answer);
    },
  };
}

function wipe(answer: OpenedKey): void {
  for (const secret of answer.secrets.values()) secret.wipe();
}

/** As the client treats its own variable: nonsense counts as the default. */
function intervalOf(header: string | undefined): number {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : DEFAULT_CLIENT_INTERVAL_MS;
}

/** What the path of `GET /v1/credentials/{name}/key` says. */
interface KeyRoute {
  readonly credential: string | undefined;
  readonly query: URLSearchParams | undefined;
}

/** For whoever speaks HTTP; the helper's own requests take helper-lane.ts. */
export async function answerKey(
  answering: KeyAnswering,
  { request, response }: Exchange,
  { peer }: ClientConnection,
  { credential, query }: KeyRoute,
): Promise<void> {
  const hangUp = new LazyAbort();
  let isWritten = false;
  response.on('finish', () => {
    isWritten = true;
  });
  response.on('close', () => {
    if (!isWritten) hangUp.noteGone();
  });
  const asked = {
    credential,
    format: query?.get('format') ?? 'raw',
    interval: single(request.headers[CLIENT_INTERVAL]),
    hints: single(request.headers[CLIENT_HINTS]),
  };
  const answer = await findKey(answering, peer, asked, hangUp);
  if (answer === undefined) return;
  // 'finish' means that the kernel has every byte; a hang-up before that is 'close' without it.
  response.on('finish', () => contain(request.socket, answering.log, () => answer.delivered()));
  response.on('close', () => answer.wipe());
  sendBody(response, 200, answer.headers, answer.body);
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
}
