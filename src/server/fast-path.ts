import { BrokerError } from '../errors.ts';
import type { Moment } from '../platform/clock.ts';
import { DEFAULT_CREDENTIAL, NAME } from '../protocol/request.ts';
import { type ClientConnection, closeFor } from './connections.ts';
import { findKey, type KeyAnswering, type KeyReply, type KeyRequest, wipeReply } from './key-answer.ts';
import { presentable, rawLine, rawReply } from './limits.ts';
import { RouteError } from './routes.ts';

/**
 * The helper's own requests, which are nearly all there are: one request, one answer, and the connection closes. They
 * need nothing of what HTTP can do besides, and without it an answer takes a third less time (bench/report.md).
 */
export class HelperLane {
  readonly #answering: KeyAnswering;

  constructor(answering: KeyAnswering) {
    this.#answering = answering;
  }

  /** @param at when the request came in. Never rejects. */
  async answer(connection: ClientConnection, request: KeyRequest, at: Moment): Promise<void> {
    const { log } = this.#answering;
    let found: KeyReply | undefined;
    let reply: Buffer;
    let written: (() => void) | undefined;
    try {
      found = await findKey(this.#answering, connection, request, at);
      if (found === undefined) return;
      reply = rawReply(200, 'OK', found.headers, found.body);
      wipeReply(found);
      written = found.opened.delivered;
    } catch (error) {
      // What is not handed out is not served.
      if (found !== undefined) wipeReply(found);
      if (error instanceof BrokerError) written = error.onWritten;
      // This daemon is as good as gone: without an answer the helper asks again, and the next one gives it.
      if (error instanceof BrokerError && error.code === 'ERR_DAEMON_UNREACHABLE') {
        connection.socket.destroy();
        return;
      }
      reply = rawLine(presentable(error, log), error instanceof RouteError ? error.status : undefined);
    }
    const { socket } = connection;
    const over = (failure?: Error | null) => {
      reply.fill(0);
      try {
        if (failure === undefined || failure === null) written?.();
      } catch (error) {
        closeFor(error, socket, log);
      }
    };
    const sent = connection.sendNow(reply);
    if (sent === reply.length) {
      over();
      socket.destroy();
      return;
    }
    // Called without an error when the kernel has every byte.
    socket.write(reply.subarray(sent), (failure) => {
      over(failure);
      // Destroyed right here, the stream would emit an error that nothing handles.
      queueMicrotask(() => socket.destroy());
    });
    // Usually the kernel has taken it all by now.
    if (socket.writableLength > 0) connection.draining();
  }
}

/** Longer than any helper's request. */
export const LONGEST_REQUEST = 1_024;

/** native/broker-key.c, `write_request`, byte for byte. */
const REQUEST = new RegExp(
  [
    `^GET /v1/credentials/(${DEFAULT_CREDENTIAL}|${NAME.source.slice(1, -1)})/key(?:\\?format=([a-z]{1,16}))? HTTP/1\\.1`,
    'Host: broker',
    'Accept: text/plain',
    'Connection: close',
    'User-Agent: broker-key/[!-~]{1,64}',
    '(?:Broker-Client-Interval-Ms: (\\d{1,15})\\r\\n)?(?:Broker-Client-Hints: ([a-z0-9=, -]{1,512})\\r\\n)?',
    '$',
  ].join('\\r\\n'),
);

/**
 * The whole request of a helper of this version, alone in its packet. undefined: anything else, which may be good HTTP
 * all the same.
 */
export function readHelperRequest(packet: Buffer): KeyRequest | undefined {
  if (packet.length > LONGEST_REQUEST) return undefined;
  const [, name, format = 'raw', interval, hints] = REQUEST.exec(packet.toString('latin1')) ?? [];
  if (name === undefined) return undefined;
  return { credential: name === DEFAULT_CREDENTIAL ? undefined : name, format, interval, hints };
}
