import axios, { type AxiosRequestConfig, type AxiosResponse } from 'axios';
import { isObject, type VaultAnswer } from './answer.ts';
import type { Connection } from './connection.ts';
import { judgeRedirect } from './redirects.ts';

/** Vault's answers are a few kilobytes; a larger one is not from Vault, and is not read to its end. */
const LARGEST_ANSWER_BYTES = 1_048_576;
const MOST_REDIRECTS = 3;

/** What node-vault hands to its transport; `signal` and `record` are ours, passed through from the call. */
export interface TransportRequest {
  readonly uri: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
  /** Takes the whole answer: node-vault keeps nothing but status and body. */
  readonly record: (answer: VaultAnswer) => void;
}

/**
 * The transport that node-vault is given in place of its own: it can be aborted, reads no more than it should, keeps
 * the response's headers, judges redirects itself, and takes nothing from the process's environment. What it throws is
 * still axios's, which holds token and body: client.ts lets none of it through.
 */
export function vaultTransport(connection: Connection) {
  const send = async (request: TransportRequest) => {
    const answer = await follow(connection, request);
    request.record(answer);
    // node-vault takes 202 for a failure; Vault means that a revocation goes on by itself.
    const statusCode = answer.status >= 200 && answer.status < 300 ? 200 : answer.status;
    return { statusCode, body: answer.json, request: { path: new URL(request.uri).pathname } };
  };
  return { defaults: () => send };
}

async function follow(connection: Connection, request: TransportRequest): Promise<VaultAnswer> {
  let { uri, method } = request;
  for (let redirects = 0; ; redirects += 1) {
    const answer = await exchange(connection, { ...request, uri, method });
    const next = judgeRedirect(answer, uri, method);
    if (next === undefined || redirects === MOST_REDIRECTS) return answer;
    ({ uri, method } = next);
  }
}

async function exchange(connection: Connection, request: TransportRequest): Promise<VaultAnswer> {
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
    transformRequest: [(data: unknown) => data],
    transformResponse: [(data: unknown) => data],
    validateStatus: () => true,
  };
  return readAnswer(await axios.request<Buffer>(config));
}

/** X-Vault-Request: a Vault Agent or Proxy in between may insist on it, to keep forged requests out. */
const OUR_HEADERS = { Accept: 'application/json', 'User-Agent': 'apikey-broker', 'X-Vault-Request': 'true' } as const;
const JSON_BODY = { 'Content-Type': 'application/json' } as const;

function readAnswer(response: AxiosResponse<Buffer>): VaultAnswer {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value;
  }
  const body = response.data;
  const json = parseObject(body);
  const isEmpty = body.length === 0;
  body.fill(0);
  return { status: response.status, headers, json, isEmpty };
}

function parseObject(body: Buffer): VaultAnswer['json'] {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'));
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
