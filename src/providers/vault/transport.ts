import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { AxiosRequestConfig, AxiosResponse } from 'axios';
import axios from 'axios';
import { parseObject } from '../../credential/secret.ts';
import { codeOf, ProviderError } from '../../errors.ts';
import { agentPool, networkFailure, secureContextOf } from '../network.ts';
import type { ProviderHost } from '../provider.ts';
import { proxyUsed } from '../proxies.ts';
import type { HttpReply, VaultPlace } from './answer.ts';
import type { VaultOptions } from './options.ts';

/** Vault's answers are a few kilobytes; a larger one is not from Vault, and is not read to its end. */
const LARGEST_ANSWER_BYTES = 1_048_576;
const MOST_REDIRECTS = 3;

/** What node-vault hands to its transport; `signal` and `recorded` are ours, passed through from the call. */
export interface TransportRequest {
  readonly uri: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
  /** Is given the whole answer: node-vault keeps nothing but status and body. */
  readonly recorded: { answer?: HttpReply };
}

/**
 * The transport that node-vault is given in place of its own: it can be aborted, reads no more than it should, keeps
 * the response's headers, judges redirects itself, and takes nothing from the process's environment. What it throws is
 * still axios's, which holds token and body: client.ts lets none of it through.
 */
export function vaultTransport(connection: VaultConnection) {
  const send = async (request: TransportRequest) => {
    const answer = await follow(connection, request);
    request.recorded.answer = answer;
    // node-vault takes 202 for a failure; Vault means that a revocation goes on in the background.
    const statusCode = answer.status >= 200 && answer.status < 300 ? 200 : answer.status;
    return { statusCode, body: answer.json, request: { path: new URL(request.uri).pathname } };
  };
  return { defaults: () => send };
}

async function follow(connection: VaultConnection, request: TransportRequest): Promise<HttpReply> {
  let { uri, method } = request;
  for (let redirects = 0; ; redirects += 1) {
    const answer = await exchange(connection, { ...request, uri, method });
    const next = REDIRECTS.has(answer.status) ? judgeRedirect(answer, uri, method) : undefined;
    if (next === undefined || redirects === MOST_REDIRECTS) return answer;
    ({ uri, method } = next);
  }
}

async function exchange(connection: VaultConnection, request: TransportRequest): Promise<HttpReply> {
  const hasBody = request.json !== undefined && request.method !== 'GET';
  const config: AxiosRequestConfig<string> = {
    url: request.uri,
    method: request.method,
    adapter: 'http',
    headers: { ...request.headers, ...OUR_HEADERS, ...(hasBody ? JSON_BODY : {}) },
    ...(hasBody ? { data: JSON.stringify(request.json) } : {}),
    signal: request.signal,
    httpAgent: connection.httpAgent,
    httpsAgent: connection.httpsAgent,
    // The agents know the proxies, and axios leaves proxying to agents that do; `proxy: false` would take that from them.
    ...(connection.socketPath === undefined ? {} : { socketPath: connection.socketPath }),
    maxRedirects: 0,
    maxContentLength: LARGEST_ANSWER_BYTES,
    responseType: 'arraybuffer',
    // Every status is an answer, and bodies are taken as they are.
    transformRequest: [],
    transformResponse: [],
    validateStatus: null,
  };
  return readAnswer(await axios.request<Buffer>(config));
}

/** X-Vault-Request: a Vault Agent or Proxy in between may insist on it, to keep forged requests out. */
const OUR_HEADERS = { Accept: 'application/json', 'User-Agent': 'apikey-broker', 'X-Vault-Request': 'true' } as const;
const JSON_BODY = { 'Content-Type': 'application/json' } as const;

/** Go's net/http, to a request that is not TLS. */
const WANTS_TLS = Buffer.from('Client sent an HTTP request to an HTTPS server');

function readAnswer(response: AxiosResponse<Buffer>): HttpReply {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value;
  }
  const body = response.data;
  const json = parseObject(body.toString('utf8'));
  const wantsTls = body.subarray(0, WANTS_TLS.length).equals(WANTS_TLS);
  body.fill(0);
  return { status: response.status, headers, json, wantsTls };
}

/** 307 and 308 keep the method; the older codes let a client turn POST into GET, which a login must never become. */
const KEEP_METHOD = new Set([307, 308]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(answer: HttpReply): boolean {
  return REDIRECTS.has(answer.status);
}

/** Undefined without a Location header that could be one. */
export function redirectTarget(answer: HttpReply, from: string): URL | undefined {
  const location = answer.headers['location'] ?? '';
  return location === '' ? undefined : (URL.parse(location, from) ?? undefined);
}

/**
 * Where to go on with the same token, or undefined if the answer must not be followed: a token goes to the
 * configured host and port and nowhere else, and never from https to http.
 */
export function judgeRedirect(
  answer: HttpReply,
  from: string,
  method: string,
): { readonly uri: string; readonly method: string } | undefined {
  if (!isRedirect(answer)) return undefined;
  if (method !== 'GET' && !KEEP_METHOD.has(answer.status)) return undefined;
  const source = new URL(from);
  const target = redirectTarget(answer, from);
  if (target === undefined || target.hostname !== source.hostname || target.port !== source.port) return undefined;
  const keepsSecrecy =
    target.protocol === source.protocol || (source.protocol === 'http:' && target.protocol === 'https:');
  if (!keepsSecrecy || target.username !== '' || target.password !== '') return undefined;
  return { uri: target.href, method };
}

/** How Vault is reached: made once per login epoch, so that a changed CA or certificate file is read again. */
export interface VaultConnection {
  /** What node-vault is given: for a Unix socket a host name that is never resolved. */
  readonly endpoint: string;
  readonly socketPath: string | undefined;
  /** Through which it is reached. */
  readonly proxy: string | undefined;
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  /** For looking at the certificate of a server that was not trusted. Never carries a token. */
  readonly inspectionAgent: () => HttpsAgent;
  close(): void;
}

/** @throws ProviderError misconfigured if a certificate or key file cannot be read or used. */
export function openConnection(options: VaultOptions, host: ProviderHost): VaultConnection {
  const socketPath = options.address.startsWith('unix:') ? decodeURI(new URL(options.address).pathname) : undefined;
  const pool = agentPool(options, host);
  const servername = options.tls_server_name === undefined ? {} : { servername: options.tls_server_name };
  const isHttps = options.address.startsWith('https:');
  const secureContext = isHttps ? secureContextOf(options, host) : undefined;
  const tls = {
    ...(secureContext === undefined ? {} : { secureContext }),
    ...servername,
    rejectUnauthorized: !options.skip_verify,
  };
  const httpAgent = new HttpAgent(pool);
  const httpsAgent = new HttpsAgent({ ...pool, ...tls });
  return {
    endpoint: socketPath === undefined ? options.address : 'http://localhost',
    socketPath,
    proxy: proxyUsed(options.address, pool.proxyEnv),
    httpAgent,
    httpsAgent,
    inspectionAgent: () => new HttpsAgent({ proxyEnv: pool.proxyEnv, ...servername, rejectUnauthorized: false }),
    close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

/** The failure for a request that got no answer. `error` is only read for its code: it may hold token and body. */
export function unreachable(error: unknown, place: VaultPlace, proxy?: string): ProviderError {
  const who = `Vault at ${place.address}`;
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'EACCES') {
    const what = code === 'ENOENT' ? 'there is no such socket' : 'you may not open the socket';
    return new ProviderError('transient', `${who} cannot be reached: ${what} (${code})`, {
      remedy: `see whether Vault Agent or Proxy listens there, or correct address in [providers.${place.provider}]`,
      concerns: 'address',
    });
  }
  return networkFailure(error, who, { proxy }) ?? cutOff(place);
}

export function cutOff({ address }: VaultPlace): ProviderError {
  return new ProviderError('transient', `the answer of Vault at ${address} was cut off`, {
    remedy: 'nothing if it happens once; else check Vault and the network in between',
    concerns: 'address',
  });
}

export function tooLarge({ address, provider }: VaultPlace): ProviderError {
  return new ProviderError('transient', `what answers at ${address} sent over 1 MiB, which Vault never does`, {
    remedy: `check address in [providers.${provider}]; a proxy may be answering in its place`,
    concerns: 'address',
  });
}
