import { BrokerError } from '../errors.ts';
import { DEFAULT_CREDENTIAL, NAME } from '../protocol/request.ts';
import type { ClientConnection, Connections } from './connections.ts';
import { contain } from './contain.ts';
import { findKey, type KeyAnswering, type KeyReply, type KeyRequest } from './key-answer.ts';
import { presentable, rawLine, rawReply } from './limits.ts';
import { RouteError } from './routes.ts';
import { LazyAbort } from './server.ts';

interface HelperLaneOptions extends KeyAnswering {
  readonly connections: Connections;
}

/**
 * The helper's own requests, which are nearly all there are: one request, one answer, and the connection closes. They
 * need nothing of what HTTP can do besides, and without it an answer takes a third less time (bench/report.md).
 */
export class HelperLane {
  readonly #options: HelperLaneOptions;

  constructor(options: HelperLaneOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async answer(connection: ClientConnection, request: KeyRequest): Promise<void> {
    const { connections } = this.#options;
    const hangUp = new LazyAbort();
    connection.asker = hangUp;
    connections.asks(connection);
    let answer: KeyReply | undefined;
    let reply: Buffer;
    try {
      answer = await findKey(this.#options, connection.peer, request, hangUp);
      if (answer === undefined) return;
      reply = rawReply(200, 'OK', answer.headers, answer.body);
      answer.wipe();
    } catch (error) {
      // What is not handed out is not served.
      answer?.wipe();
      answer = undefined;
      // This daemon is as good as gone: without an answer the helper asks again, and the next one gives it.
      if (error instanceof BrokerError && error.code === 'ERR_DAEMON_UNREACHABLE') {
        connection.socket.destroy();
        return;
      }
      reply = rawLine(presentable(error, this.#options.log), error instanceof RouteError ? error.status : undefined);
    }
    this.#write(connection, reply, answer);
  }

  #write(connection: ClientConnection, reply: Buffer, answer: KeyReply | undefined): void {
    const { socket } = connection;
    // Called without an error when the kernel has every byte.
    socket.write(reply, (error) => {
      reply.fill(0);
      if (error === undefined || error === null) contain(socket, this.#options.log, () => answer?.delivered());
      // Destroyed right here, the stream would make an error for nobody.
      queueMicrotask(() => socket.destroy());
    });
    // Usually the kernel has taken it all by now.
    if (socket.writableLength > 0) this.#options.connections.draining(connection);
  }
}

/** Longer than any helper's; what is longer is somebody else's. */
const LONGEST = 1_024;

/** native/broker-key.c, `write_request`, byte for byte. */
const REQUEST = new RegExp(
  [
    `^GET /v1/credentials/(${DEFAULT_CREDENTIAL}|${NAME.source.slice(1, -1)})/key(?:\\?format=([a-z]{1,16}))? HTTP/1\\.1`,
    'Host: broker',
    'Accept: text/plain',
    'Connection: close',
    'User-Agent: broker-key/[!-~]{1,64}',
    'Broker-Client-Interval-Ms: (\\d{1,15})(?:\\r\\nBroker-Client-Hints: ([a-z0-9=, -]{1,512}))?',
    '',
    '$',
  ].join('\\r\\n'),
);

/**
 * The whole request of a helper of this version, alone in its packet. undefined: anything else, which may be good HTTP
 * all the same.
 */
export function readHelperRequest(packet: Buffer): KeyRequest | undefined {
  if (packet.length > LONGEST) return undefined;
  const [, name, format = 'raw', interval, hints] = REQUEST.exec(packet.toString('latin1')) ?? [];
  if (name === undefined) return undefined;
  return { credential: name === DEFAULT_CREDENTIAL ? undefined : name, format, interval, hints };
}
