import type { Ask, BrokerApi, OpenedKey } from '../broker/api.ts';
import { certainEnd } from '../credential/life.ts';
import type { Format } from '../credential/rejection.ts';
import { wipeAll } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import { type AllowWord, unseen, type Verdict } from '../platform/attestation.ts';
import type { Clock, Moment } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import { socketFd } from '../platform/native.ts';
import {
  CLIENT_HINTS,
  CLIENT_INTERVAL,
  DEFAULT_CLIENT_INTERVAL_MS,
  KEY_EXPIRES,
  KEY_STATE,
  KEY_VERSION,
  parseClientInterval,
} from '../protocol/request.ts';
import { type ClientConnection, contain, type Exchange } from './connections.ts';
import type { Formatter } from './formats.ts';
import { sendBody } from './limits.ts';
import type { PeerIdentity } from './peer.ts';
import { RouteError } from './routes.ts';

export interface KeyAnswering {
  readonly service: BrokerApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly peers: PeerIdentity;
  readonly formats: ReadonlyMap<string, Formatter>;
  /** What to do before anything else about a key that cannot be had; undefined: nothing. */
  readonly firstRemedy?: () => string | undefined;
}

/** What a request for a key says, whichever way it came. */
export interface KeyRequest {
  readonly credential: string | undefined;
  readonly format: string;
  /** The headers as they came; undefined if they did not. */
  readonly interval: string | undefined;
  readonly hints: string | undefined;
}

/** The one answer with a secret in it: to be wiped when it is written. */
export interface KeyReply {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** To be told `delivered()` when the kernel has every byte. */
  readonly opened: OpenedKey;
}

/** undefined: the asker has gone meanwhile. @throws BrokerError why there is no key for this asker. */
export async function findKey(
  { service, peers, formats, log, firstRemedy }: KeyAnswering,
  connection: ClientConnection,
  { credential, format, interval, hints }: KeyRequest,
  at: Moment,
): Promise<KeyReply | undefined> {
  const formatter = formats.get(format);
  if (formatter === undefined) {
    const known = [...formats.keys()].join(', ');
    throw new RouteError(400, 'there is no such format', `the formats are: ${known}`);
  }
  const { client, saysRejected, mayBeOwn, origin } = peers.identify(connection.peer, hints);
  const namedMs = interval === undefined ? undefined : parseClientInterval(interval);
  const ask: Ask = {
    at,
    credential,
    intervalMs: namedMs ?? client?.known?.intervalMs ?? DEFAULT_CLIENT_INTERVAL_MS,
    namesInterval: namedMs !== undefined,
    format: format as Format,
    client,
    saysRejected,
    mayBeOwn,
    origin,
    attest: (allow) => attest(peers, connection, allow),
    get signal() {
      return connection.signal;
    },
  };
  let opened: OpenedKey;
  connection.wantsKey();
  try {
    opened = await service.answer(ask);
  } catch (error) {
    if (!connection.isGone || error !== connection.signal.reason) throw withRemedy(error, firstRemedy?.());
    log.debug({ credential, pid: connection.peer?.pid }, 'a client gave up before there was an answer');
    return undefined;
  } finally {
    connection.hasAnswer();
  }
  let reply: KeyReply | undefined;
  try {
    if (!connection.isGone) reply = written(opened, formatter);
    return reply;
  } finally {
    if (reply === undefined) wipeAll(opened.secrets);
  }
}

/** The error may be of the configuration from before: whoever has edited the file since is not to look at that one. */
function withRemedy(error: unknown, first: string | undefined): unknown {
  if (first === undefined || !(error instanceof BrokerError) || error.code === 'ERR_DAEMON_UNREACHABLE') return error;
  const { code, message, remedy, onWritten } = error;
  return new BrokerError(code, message, {
    remedy: remedy === undefined ? first : `${first}; then: ${remedy}`,
    cause: error,
    ...(onWritten === undefined ? {} : { onWritten }),
  });
}

function attest(
  { attest: judge }: PeerIdentity,
  { peer, socket }: ClientConnection,
  allow: readonly AllowWord[],
): Verdict {
  return judge?.(peer, socketFd(socket), allow) ?? unseen('this daemon cannot tell who asks');
}

function written(opened: OpenedKey, formatter: Formatter): KeyReply {
  const { key, state, at } = opened;
  const expiresAtMs = certainEnd({ key, login: undefined });
  const expiresAt = expiresAtMs === undefined ? undefined : new Date(expiresAtMs - at.nowMs + at.wallMs).toISOString();
  const { contentType, body } = formatter(opened, { expiresAt });
  const headers: Record<string, string> = {
    'content-type': contentType,
    age: String(Math.max(0, Math.floor((at.nowMs - key.confirmedAtMs) / 1000))),
    [KEY_STATE]: state,
  };
  if (key.version !== undefined) headers[KEY_VERSION] = encodeURIComponent(key.version);
  if (expiresAt !== undefined) headers[KEY_EXPIRES] = expiresAt;
  return { headers, body, opened };
}

export function wipeReply({ body, opened }: KeyReply): void {
  body.fill(0);
  wipeAll(opened.secrets);
}

/** What the path of `GET /v1/credentials/{name}/key` says. */
interface KeyRoute {
  readonly credential: string | undefined;
  readonly query: URLSearchParams | undefined;
}

/** For those who speak HTTP; the helper's own requests take fast-path.ts. */
export async function answerKey(
  answering: KeyAnswering,
  { request, response }: Exchange,
  connection: ClientConnection,
  { credential, query }: KeyRoute,
): Promise<void> {
  const asked = {
    credential,
    format: query?.get('format') ?? 'raw',
    interval: single(request.headers[CLIENT_INTERVAL]),
    hints: single(request.headers[CLIENT_HINTS]),
  };
  const reply = await findKey(answering, connection, asked, answering.clock.read());
  if (reply === undefined) return;
  // 'finish' means that the kernel has every byte; a hang-up before that is 'close' without it.
  response.on('finish', () => contain(request.socket, answering.log, () => reply.opened.delivered()));
  response.on('close', () => wipeReply(reply));
  sendBody(response, 200, reply.headers, reply.body);
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0];
}
