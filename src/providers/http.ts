import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { codeOf, ProviderError } from '../errors.ts';
import {
  agentPool,
  type CertificateFiles,
  certificateFailure,
  isCertificateFailure,
  networkCode,
  networkFailure,
  parseRetryAfter,
  presentedCertificate,
  secureContextOf,
} from './network.ts';
import type { ProviderHost } from './provider.ts';
import { proxyUsed } from './proxies.ts';

/** How a server is reached, as the configuration of a provider says. */
export interface HttpPlace extends CertificateFiles {
  readonly proxy?: string | undefined;
}

type HttpHost = Pick<ProviderHost, 'name' | 'env' | 'homeDir'>;

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
}

/** An answer, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whoever has read it wipes it. */
  readonly body: Buffer;
}

/** An answer as it is judged: of its body only the JSON object, if it is one. */
export interface JsonAnswer extends Pick<HttpAnswer, 'status' | 'headers'> {
  readonly json: Readonly<Record<string, unknown>> | undefined;
}

/** Tokens and their errors are some kilobytes; a larger answer is of something else, and is not read to its end. */
const LARGEST_ANSWER_BYTES = 1_048_576;

/**
 * HTTP for providers without a library of their own for it: proxy, authorities and client certificate are the
 * configuration's; no redirect is followed, no cookie kept, and nothing is taken from the process's environment. Opens nothing
 * before it is asked.
 */
export class HttpConnection {
  readonly #place: HttpPlace;
  readonly #host: HttpHost;
  readonly #who: string;
  #agents: Agents | undefined;

  /** @param who for messages: `the token endpoint of provider "corp"`. */
  constructor(place: HttpPlace, host: HttpHost, who: string) {
    this.#place = place;
    this.#host = host;
    this.#who = who;
  }

  /** @throws ProviderError that concerns the address, if there was no answer. The reason of the signal if that was aborted. */
  async send(url: string, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    const isTls = url.startsWith('https:');
    this.#agents ??= openAgents(this.#place, this.#host);
    const agents = this.#agents;
    try {
      const response = await answerOf(url, request, isTls ? agents.https() : agents.http, signal);
      return { status: response.statusCode ?? 0, headers: plainHeaders(response), body: await this.#bodyOf(response) };
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof ProviderError ? error : await this.#failure(error, url, agents, signal);
    }
  }

  /** The next request reads the certificates again; what is under way goes on over the former connections. */
  reconnect(): void {
    this.#agents = undefined;
  }

  close(): void {
    this.#agents?.close();
    this.#agents = undefined;
  }

  async #bodyOf(response: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > LARGEST_ANSWER_BYTES) {
        response.destroy();
        throw new ProviderError('transient', `${this.#who} sent over 1 MiB, which no such server does`, {
          remedy: `check its address in [providers.${this.#host.name}]; a proxy may be answering in its place`,
          concerns: 'address',
        });
      }
      chunks.push(chunk);
    }
    const [only] = chunks;
    if (chunks.length === 1 && only !== undefined) return only;
    const whole = Buffer.concat(chunks);
    for (const chunk of chunks) chunk.fill(0);
    return whole;
  }

  /** Of Node's error only the code is taken. */
  async #failure(error: unknown, url: string, agents: Agents, signal: AbortSignal): Promise<ProviderError> {
    const who = `${this.#who} at ${new URL(url).origin}`;
    const code = networkCode(error);
    if (code === undefined || !isCertificateFailure(code)) {
      return networkFailure(error, who, { proxy: proxyUsed(url, agents.proxyEnv) }) ?? cutOff(who, error);
    }
    const table = `[providers.${this.#host.name}]`;
    const contacted = {
      who,
      authorityRemedy: `name the authority's PEM file as ca_file in ${table}; in a public network, sign in to it first`,
      nameRemedy: `write that name in the addresses of ${table}`,
      owner: 'its operators',
    };
    return certificateFailure(code, contacted, await presentedCertificate(url, agents.inspection(), signal));
  }
}

function cutOff(who: string, error: unknown): ProviderError {
  return new ProviderError('transient', `the answer of ${who} was cut off (${codeOf(error)})`, {
    remedy: 'nothing if it happens once; else check the server and the network in between',
    concerns: 'address',
  });
}

function answerOf(
  url: string,
  { method, headers, body }: HttpRequest,
  agent: HttpAgent,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const options = { method, agent, signal, headers: { ...headers, 'user-agent': 'apikey-broker', ...length } };
    const sent = url.startsWith('https:') ? httpsRequest(url, options) : httpRequest(url, options);
    sent.once('response', resolve);
    sent.once('error', reject);
    sent.end(body);
  });
}

function plainHeaders(response: IncomingMessage): Record<string, string> {
  const entries = Object.entries(response.headers);
  return Object.fromEntries(entries.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])));
}

/** Made once per login epoch, so that a changed certificate file is read again. */
interface Agents {
  readonly http: HttpAgent;
  https(): HttpsAgent;
  /** For looking at the certificate of a server that was not trusted. Never carries a token. */
  inspection(): HttpsAgent;
  readonly proxyEnv: Readonly<Record<string, string | undefined>>;
  close(): void;
}

function openAgents(place: HttpPlace, host: HttpHost): Agents {
  const pool = agentPool(place, host);
  const http = new HttpAgent(pool);
  let https: HttpsAgent | undefined;
  return {
    http,
    proxyEnv: pool.proxyEnv,
    https() {
      https ??= new HttpsAgent({ ...pool, secureContext: secureContextOf(place, host) });
      return https;
    },
    inspection: () => new HttpsAgent({ proxyEnv: pool.proxyEnv, rejectUnauthorized: false }),
    close() {
      http.destroy();
      https?.destroy();
    },
  };
}

/** The server's own clock when it answered; undefined if it does not tell. */
export function timeOf({ headers }: Pick<HttpAnswer, 'headers'>): number | undefined {
  const time = Date.parse(headers['date'] ?? '');
  return Number.isNaN(time) ? undefined : time;
}

/** What the server asked to wait, in milliseconds. */
export function retryAfterIn(answer: Pick<HttpAnswer, 'headers'>): number | undefined {
  return parseRetryAfter(answer.headers['retry-after'], timeOf(answer));
}
