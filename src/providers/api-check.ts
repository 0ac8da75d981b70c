import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { SecretBytes } from '../credential/secret.ts';
import type { Clock } from '../platform/clock.ts';
import { within } from '../platform/waiting.ts';
import type { HeaderForm } from '../protocol/request.ts';
import { trustedCertificates } from './network.ts';
import { proxyEnvironment } from './proxies.ts';

/**
 * The API's own word on a key: one request, and three answers. Only the API itself may say that a key is rejected, in its
 * own words: an office network, a captive portal or a gateway that answers 401 must never lock a company out.
 */
export type CheckWord = 'good' | 'rejected' | 'none';

export interface ApiCheck {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Where the key goes. */
  readonly header: HeaderForm;
  /** Instead of a 401 whose `error.type` is `authentication_error`. */
  readonly rejected?: RejectedAnswer | undefined;
  readonly caFile?: string | undefined;
  /** As a provider's `proxy`. */
  readonly proxy?: string | undefined;
}

export interface RejectedAnswer {
  readonly status: number;
  /** Dots go deeper. */
  readonly field: string;
  readonly value: string;
}

export interface CheckSurroundings {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The credential's name, for messages. */
  readonly name: string;
}

export interface CheckAnswer {
  readonly word: CheckWord;
  /** What was answered, in a few words without anything of the answer's own: `401 authentication_error`, `HTTP 503`, `ECONNREFUSED`. */
  readonly seen: string;
}

const LARGEST_ANSWER_BYTES = 64 * 1024;
const LIMIT_MS = 3_000;
const ANTHROPIC: RejectedAnswer = { status: 401, field: 'error.type', value: 'authentication_error' };

/**
 * Asks the API with this key, on a connection of its own: no redirect is followed, no cookie kept, nothing of the answer is
 * logged or shown. Never rejects, unless `signal` is aborted. The caller wipes the key.
 */
export async function checkKey(
  check: ApiCheck,
  key: SecretBytes,
  { clock, env, name }: CheckSurroundings,
  signal: AbortSignal,
): Promise<CheckAnswer> {
  const limit = { clock, limitMs: LIMIT_MS, late: () => new Error('late') };
  try {
    return await within([signal], limit, (either) => ask(check, key, env, name, either));
  } catch (error) {
    signal.throwIfAborted();
    return { word: 'none', seen: nameOf(error) };
  }
}

async function ask(
  check: ApiCheck,
  key: SecretBytes,
  env: CheckSurroundings['env'],
  name: string,
  signal: AbortSignal,
): Promise<CheckAnswer> {
  const url = new URL(check.url);
  const proxyEnv = proxyEnvironment(check.proxy, env);
  const isTls = url.protocol === 'https:';
  const ca = isTls ? trustedCertificates(check.caFile, name) : undefined;
  // A proxy is spoken to by CONNECT only, which is how agents reach https; plain http is for loopback, without any.
  const agent = isTls
    ? new HttpsAgent({ proxyEnv, keepAlive: false, ...(ca === undefined ? {} : { ca }) })
    : new HttpAgent({ keepAlive: false });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { agent, signal, headers: headersWith(check, key) };
      const sent = isTls ? httpsRequest(url, options) : httpRequest(url, options);
      sent.once('response', resolve);
      sent.once('error', reject);
      sent.end();
    });
    return judgeAnswer(
      response.statusCode ?? 0,
      response.headers['content-type'],
      await bodyOf(response),
      check.rejected,
    );
  } finally {
    agent.destroy();
  }
}

function headersWith({ headers, header }: ApiCheck, key: SecretBytes): Record<string, string> {
  return {
    accept: 'application/json',
    'user-agent': 'apikey-broker',
    ...headers,
    [header.name]: `${header.prefix}${Buffer.from(key.bytes).toString('latin1')}`,
  };
}

/** undefined: it is longer than an API's answer would be. */
async function bodyOf(response: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LARGEST_ANSWER_BYTES) {
      response.destroy();
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

export function judgeAnswer(
  status: number,
  contentType: string | undefined,
  body: string | undefined,
  rejected: RejectedAnswer = ANTHROPIC,
): CheckAnswer {
  const json = body === undefined || !/\bjson\b/i.test(contentType ?? '') ? undefined : parse(body);
  if (json === undefined) return { word: 'none', seen: `HTTP ${status}, not JSON` };
  if (status >= 200 && status < 300) return { word: 'good', seen: `HTTP ${status}` };
  if (status === rejected.status && valueAt(json, rejected.field) === rejected.value) {
    return { word: 'rejected', seen: `HTTP ${status} ${rejected.value}` };
  }
  return { word: 'none', seen: `HTTP ${status}` };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function valueAt(json: unknown, field: string): unknown {
  return field
    .split('.')
    .reduce<unknown>(
      (at, part) =>
        typeof at === 'object' && at !== null && Object.hasOwn(at, part)
          ? (at as Record<string, unknown>)[part]
          : undefined,
      json,
    );
}

/** Of a failure of the network: its code, never its message, which may hold the request. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no answer';
  if (error.message === 'late') return `no answer within ${LIMIT_MS / 1000} s`;
  return 'code' in error && typeof error.code === 'string' ? error.code : 'no answer';
}

/**
 * A made-up key of the same form: as long, the same kinds of characters in the same places, its prefix kept. An API that
 * accepts it does not look at keys.
 */
export function madeUpLike(key: Uint8Array, random: (below: number) => number): Uint8Array {
  const prefix = /^(?:sk-ant-[a-z0-9]+-|sk-|eyJ)?/.exec(Buffer.from(key).toString('latin1'))?.[0].length ?? 0;
  return Uint8Array.from(key, (byte, index) => {
    if (index < prefix) return byte;
    if (byte >= 0x30 && byte <= 0x39) return 0x30 + random(10);
    if (byte >= 0x41 && byte <= 0x5a) return 0x41 + random(26);
    return byte >= 0x61 && byte <= 0x7a ? 0x61 + random(26) : byte;
  });
}
