import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { BrokerError, codeOf } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { loadHttp } from '../platform/native.ts';
import { sleep, within } from '../platform/waiting.ts';
import { findSockets, type SocketPlace } from './find-socket.ts';

export interface TransportOptions {
  readonly places: readonly SocketPlace[];
  /** Whose sockets are accepted: the caller's uid, or the one named by BROKER_SERVER_UID. */
  readonly uid: number;
  readonly clock: Clock;
  /** Why there is no daemon, if one has said so. */
  readonly whyNone?: () => BrokerError | undefined;
  /** What to do where nobody knows why. */
  readonly startRemedy?: () => string;
  /** How often a refused connect is tried again. Default: once; on macOS for 200 ms. */
  readonly refusedTries?: number;
}

export interface WireRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Written at once and left to the caller to wipe. */
  readonly body?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Until the answer begins. */
  readonly timeoutMs: number;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Ten thousand credentials make a status of some ten megabytes. */
const LARGEST_BODY_BYTES = 64 * 1024 * 1024;
const PAUSE_MS = 20;
/** Between bind(2) and listen(2) of a daemon. */
const STARTING_MS = 5;
/** How often a refused connect is tried again: Linux lets it wait while the queue is full. The helper does the same. */
const REFUSED_TRIES = process.platform === 'darwin' ? 40 : 1;

const UNREACHABLE_CODES = new Set(['ENOENT', 'ECONNREFUSED', 'EACCES', 'ENOTSOCK']);
/** A daemon that stops, or makes room, drops connections without a word. */
const CUT_OFF_CODES = new Set(['ECONNRESET', 'EPIPE', 'EAGAIN']);

/** One HTTP request to whichever daemon answers first. Errors are BrokerErrors, or the signal's reason. */
export class Transport {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  async request(request: WireRequest): Promise<WireAnswer> {
    return this.#withLimit(request, async (signal) => {
      const response = await this.#open(request, signal);
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > LARGEST_BODY_BYTES) throw new BrokerError('ERR_IO', "the daemon's answer is too long");
        chunks.push(chunk);
      }
      const body = Buffer.concat(chunks);
      // It may have been a key.
      for (const chunk of chunks) chunk.fill(0);
      return { status: response.statusCode ?? 0, headers: response.headers, body };
    });
  }

  /** The answer as it comes in; time limit and signal hold until it begins. */
  async stream(request: WireRequest): Promise<IncomingMessage> {
    return this.#withLimit(request, (signal) => this.#open(request, signal));
  }

  async #withLimit<T>({ signal, timeoutMs }: WireRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = () =>
      new BrokerError('ERR_REFRESH_PENDING', `the daemon did not answer within ${timeoutMs / 1000} seconds`, {
        remedy: 'look at: broker status',
      });
    try {
      const signals = signal === undefined ? [] : [signal];
      return await within(signals, { clock: this.#options.clock, limitMs: timeoutMs, late }, work);
    } catch (error) {
      throw error instanceof BrokerError || signal?.aborted ? error : cannotTalk(error);
    }
  }

  async #open(request: WireRequest, signal: AbortSignal): Promise<IncomingMessage> {
    for (;;) {
      try {
        return await this.#tryPlaces(request, signal);
      } catch (error) {
        // Nothing was answered, so asking again changes nothing, except for what changes something by being asked.
        if (request.method !== 'GET' || signal.aborted || !CUT_OFF_CODES.has(codeOf(error))) throw error;
        await sleep(PAUSE_MS, this.#options.clock, signal);
      }
    }
  }

  /** A daemon that starts has bound its socket and is about to listen; on macOS a full queue refuses as well. */
  async #sendPatiently(socketPath: string, request: WireRequest, signal: AbortSignal): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(socketPath, request, signal);
      } catch (error) {
        if (codeOf(error) !== 'ECONNREFUSED' || attempt > (this.#options.refusedTries ?? REFUSED_TRIES)) throw error;
        await sleep(STARTING_MS, this.#options.clock, signal);
      }
    }
  }

  async #tryPlaces(request: WireRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { places, uid, whyNone, startRemedy } = this.#options;
    const { usable, unsafe } = findSockets(places, uid);
    for (const socketPath of usable) {
      try {
        return await this.#sendPatiently(socketPath, request, signal);
      } catch (error) {
        if (!UNREACHABLE_CODES.has(codeOf(error))) throw error;
      }
    }
    const why = unsafe ?? whyNone?.();
    if (why !== undefined) throw why;
    throw new BrokerError(
      'ERR_DAEMON_UNREACHABLE',
      `no daemon answers at ${places.map(({ path }) => path).join(' or ')}`,
      { remedy: startRemedy?.() ?? 'start it: broker daemon' },
    );
  }
}

function send(socketPath: string, request: WireRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { method, path, headers, body } = request;
  return new Promise((resolve, reject) => {
    const sent = loadHttp().request({
      socketPath,
      method,
      path,
      agent: false,
      signal,
      headers: { host: 'broker', ...(body === undefined ? {} : { 'content-length': body.length }), ...headers },
    });
    sent.once('response', resolve);
    sent.once('error', reject);
    sent.end(body);
  });
}

function cannotTalk(error: unknown): BrokerError {
  return new BrokerError('ERR_IO', `the connection to the daemon broke (${codeOf(error)})`, {
    remedy: 'try again; if it happens again, look at: broker service logs',
    cause: error,
  });
}

/** The lines of a stream as they come in, without their ends; what follows the last line end is not one. */
export async function* readLines(stream: Readable): AsyncGenerator<string> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
