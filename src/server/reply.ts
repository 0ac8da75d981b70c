import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { BrokerError } from '../errors.ts';
import type { Log } from '../platform/log.ts';
import { EXIT_CODE } from '../protocol/headers.ts';
import { PROBLEM_CONTENT_TYPE, problemLine, problemOf } from '../protocol/problem.ts';

const JSON_TYPE = 'application/json';

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
  const type = plain ? 'text/plain; charset=utf-8' : PROBLEM_CONTENT_TYPE;
  sendBody(response, problem.status, { 'content-type': type, [EXIT_CODE]: problem.exitCode }, Buffer.from(`${body}\n`));
}

/** For peers that do not get as far as a request: the whole answer as it goes over the wire. */
export function rawProblem(error: BrokerError, status: number, reason: string): string {
  const body = `${JSON.stringify(problemOf(error, status))}\n`;
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    `content-type: ${PROBLEM_CONTENT_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    `${EXIT_CODE}: ${error.exitCode}`,
    'connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
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
