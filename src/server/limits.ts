import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { BrokerError, systemRefusal } from '../errors.ts';
import type { Log } from '../platform/log.ts';
import { PROBLEM_CONTENT_TYPE, problemLine, problemOf } from '../protocol/problem.ts';
import { EXIT_CODE } from '../protocol/request.ts';

/** What a client may take of the daemon. A client that is slow, silent or hostile costs no other client its answer. */
export interface ServerLimits {
  /** Request line and headers together; more is answered with 431. Default 16,384 bytes. */
  readonly headerBytes: number;
  /** From connecting, or from the end of the last answer, to a whole request. Default 5,000 ms. */
  readonly silentMs: number;
  /** From the end of an answer to its last byte being taken by the reader. Default 10,000 ms. */
  readonly drainMs: number;
  /** Beyond this many silent connections those that have been silent longest are closed. Default 512. */
  readonly connections: number;
  /** Never more than these: for a new one the longest silent is closed, or, if none is silent, the new one. Default 2,048. */
  readonly connectionsAtMost: number;
  /**
   * So many asks may wait for a provider; one more is told at once to come back, so that one that can be answered finds a
   * connection. Default 1,024.
   */
  readonly waiting: number;
  /** Bodies have no meaning to any request but a login; a longer one is answered with 413. Default 4,096 bytes. */
  readonly bodyBytes: number;
  /** The token of a login; a longer body is answered with 413. Default 16,384 bytes. */
  readonly tokenBytes: number;
  /** Followers of the events at the same time; one more gets 503. Default 32. */
  readonly followers: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  headerBytes: 16_384,
  silentMs: 5_000,
  drainMs: 10_000,
  connections: 512,
  connectionsAtMost: 2_048,
  waiting: 1_024,
  bodyBytes: 4_096,
  tokenBytes: 16_384,
  followers: 32,
};

/** What a daemon has open at rest (Node's own, lock, database, watches, listening socket), rounded up. */
const OPEN_AT_REST = 32;
/** For what a few refreshes need at a time: a program takes eight, a request to a provider three. */
const OPEN_AT_WORK = 24;
const FEWEST_CONNECTIONS = 8;
/** Fewer than these make clients wait for each other. */
const ENOUGH_CONNECTIONS = 64;
const MORE_FILES =
  'raise the limit: ulimit -n 1024 before it is started, or LimitNOFILE=1024 in the unit of the service';

/** The limits of a process that may have so many files open, and what is to be said about that. */
export interface FittedLimits {
  readonly limits: ServerLimits;
  readonly problem: string | undefined;
  readonly remedy: string | undefined;
}

/**
 * Connections must leave descriptors for the daemon's own work: one that has none left can neither take a connection nor ask
 * a provider.
 *
 * @param openFiles RLIMIT_NOFILE; undefined where it is not known.
 * @throws BrokerError ERR_CONFIG if it is too low to work at all.
 */
export function fitLimits(openFiles: number | undefined): FittedLimits {
  const { connections, connectionsAtMost, waiting, followers } = DEFAULT_LIMITS;
  if (openFiles === undefined) return { limits: DEFAULT_LIMITS, problem: undefined, remedy: undefined };
  const room = openFiles - OPEN_AT_REST - OPEN_AT_WORK;
  if (room < FEWEST_CONNECTIONS) {
    const needed = OPEN_AT_REST + OPEN_AT_WORK + FEWEST_CONNECTIONS;
    throw new BrokerError('ERR_CONFIG', `the daemon may have ${openFiles} files open and needs ${needed} to work`, {
      remedy: MORE_FILES,
    });
  }
  const atMost = Math.min(connectionsAtMost, room);
  const limits = {
    ...DEFAULT_LIMITS,
    connectionsAtMost: atMost,
    connections: Math.min(connections, Math.ceil(atMost * 0.75)),
    waiting: Math.min(waiting, Math.ceil(atMost / 2)),
    followers: Math.min(followers, Math.ceil(atMost / 4)),
  };
  if (atMost >= ENOUGH_CONNECTIONS) return { limits, problem: undefined, remedy: undefined };
  const problem = `the limit of ${openFiles} open files leaves room for ${atMost} connections at a time`;
  return { limits, problem, remedy: MORE_FILES };
}

const JSON_TYPE = 'application/json';
const LINE_TYPE = 'text/plain; charset=utf-8';

export function sendBody(response: ServerResponse, status: number, headers: OutgoingHttpHeaders, body: Buffer): void {
  response.writeHead(status, { 'cache-control': 'no-store', ...headers, 'content-length': body.length });
  response.end(body);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendBody(response, status, { 'content-type': JSON_TYPE }, Buffer.from(`${JSON.stringify(value)}\n`));
}

/** A problem document; one line for a client that, like the helper, asks for `text/plain`. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: BrokerError,
  status?: number,
): void {
  const problem = problemOf(error, status);
  const plain = request.headers.accept?.includes('text/plain') === true;
  const body = plain ? problemLine(error) : JSON.stringify(problem);
  const type = plain ? LINE_TYPE : PROBLEM_CONTENT_TYPE;
  sendBody(response, problem.status, { 'content-type': type, [EXIT_CODE]: problem.exitCode }, Buffer.from(`${body}\n`));
}

/** For peers that do not get as far as a request: the whole answer as it goes over the wire. */
export function rawProblem(error: BrokerError, status: number, reason: string): Buffer {
  const body = Buffer.from(`${JSON.stringify(problemOf(error, status))}\n`);
  return rawReply(status, reason, { 'content-type': PROBLEM_CONTENT_TYPE, [EXIT_CODE]: String(error.exitCode) }, body);
}

/** The one line of an error as the helper gets it. */
export function rawLine(error: BrokerError, status?: number): Buffer {
  const problem = problemOf(error, status);
  const headers = { 'content-type': LINE_TYPE, [EXIT_CODE]: String(problem.exitCode) };
  return rawReply(problem.status, problem.title, headers, Buffer.from(`${problemLine(error)}\n`));
}

/** An answer of HTTP/1.1 after which the connection closes. May hold a secret: the caller wipes it. */
export function rawReply(
  status: number,
  reason: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Buffer {
  let head = `HTTP/1.1 ${status} ${reason}\r\ncache-control: no-store\r\nconnection: close\r\ncontent-length: ${body.length}\r\n`;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  head += '\r\n';
  const reply = Buffer.allocUnsafe(head.length + body.length);
  reply.write(head, 'latin1');
  body.copy(reply, head.length);
  return reply;
}

/**
 * What a route threw, as something that may be told. What the system refused (descriptors, disk, memory) is named; anything
 * else is a fault of the daemon, and logged with its stack.
 */
export function presentable(error: unknown, log: Log): BrokerError {
  if (error instanceof BrokerError) return error;
  const refused = systemRefusal(error);
  if (refused !== undefined) {
    log.error({ err: error }, `a request failed: ${refused.message}`);
    return refused;
  }
  log.error({ err: error }, 'a request failed for an unknown reason');
  return new BrokerError('ERR_INTERNAL', 'the daemon failed at this request', {
    remedy: 'look into its log: broker service logs',
    cause: error,
  });
}
