import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { BrokerError } from '../errors.ts';
import type { Log } from '../platform/log.ts';
import { EXIT_CODE } from '../protocol/headers.ts';
import { PROBLEM_CONTENT_TYPE, problemLine, problemOf } from '../protocol/problem.ts';

const JSON_TYPE = 'application/json';
const LINE_TYPE = 'text/plain; charset=utf-8';

export function sendBody(response: ServerResponse, status: number, headers: OutgoingHttpHeaders, body: Buffer): void {
  response.writeHead(status, { 'cache-control': 'no-store', ...headers, 'content-length': body.length });
  response.end(body);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendBody(response, status, { 'content-type': JSON_TYPE }, Buffer.from(`${JSON.stringify(value)}\n`));
}

/** A problem document; one line for whoever, like the helper, asks for `text/plain`. */
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

/** What a route threw, as something that may be told; anything but a BrokerError is a fault of ours and logged. */
export function presentable(error: unknown, log: Log): BrokerError {
  if (error instanceof BrokerError) return error;
  log.error({ err: error }, 'a request failed for no known reason');
  return new BrokerError('ERR_INTERNAL', 'the daemon failed at this request', {
    remedy: 'look into its log: broker service logs',
    cause: error,
  });
}
