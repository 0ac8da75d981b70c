import type { Login } from '../credential/life.ts';
import { SecretBytes } from '../credential/secret.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { ConfigReport, LoginReport, RotationReport, RotationRequest } from '../protocol/reports.ts';
import { DEFAULT_CREDENTIAL, NAME, NAME_RULE } from '../protocol/request.ts';
import type { Exchange } from './connections.ts';
import { type ServerLimits, sendJson } from './limits.ts';

/** What a request line asks for. `credential` undefined: the configured default. */
type Route =
  | { readonly to: 'key'; readonly credential: string | undefined; readonly query: URLSearchParams | undefined }
  | { readonly to: 'refresh' | 'invalidate' | 'check'; readonly credential: string | undefined }
  | { readonly to: 'events'; readonly query: URLSearchParams }
  | { readonly to: 'login' | 'logout'; readonly provider: string }
  | { readonly to: 'rotate-key'; readonly discard: boolean; readonly home: string | undefined }
  | { readonly to: 'refresh-all' | 'config' | 'status' | 'health' | 'metrics' };

/** The request was understood but cannot be followed; the status is HTTP's own word for it. */
export class RouteError extends BrokerError {
  readonly status: 400 | 404 | 405 | 413;
  readonly allow: string | undefined;

  constructor(status: 400 | 404 | 405 | 413, message: string, remedy: string, allow?: string) {
    super('ERR_USAGE', message, { remedy });
    this.status = status;
    this.allow = allow;
  }
}

const CREDENTIALS = '/v1/credentials/';
const PROVIDERS = '/v1/providers/';
const PLAIN: Readonly<Record<string, 'status' | 'config' | 'health' | 'metrics'>> = {
  '/v1/status': 'status',
  '/v1/config': 'config',
  '/v1/health': 'health',
  '/v1/metrics': 'metrics',
};
const PATHS = 'the requests there are: broker help protocol';

export function matchRoute(method: string, target: string): Route {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? undefined : new URLSearchParams(target.slice(mark + 1));
  if (path.startsWith(CREDENTIALS)) return credentialRoute(method, path, query);
  if (path === '/v1/events') {
    requireMethod(method, 'GET', path);
    return { to: 'events', query: query ?? new URLSearchParams() };
  }
  if (path === '/v1/refresh') {
    requireMethod(method, 'POST', path);
    return { to: 'refresh-all' };
  }
  if (path === '/v1/rotate-key') {
    requireMethod(method, 'POST', path);
    return { to: 'rotate-key', discard: query?.get('discard') === '1', home: query?.get('to') ?? undefined };
  }
  if (path.startsWith(PROVIDERS)) return providerRoute(method, path);
  const to = Object.hasOwn(PLAIN, path) ? PLAIN[path] : undefined;
  if (to === undefined) throw new RouteError(404, `there is nothing at ${visibleAscii(path)}`, PATHS);
  requireMethod(method, 'GET', path);
  return { to };
}

function providerRoute(method: string, path: string): Route {
  const [name = '', verb = '', ...rest] = path.slice(PROVIDERS.length).split('/');
  if (rest.length > 0 || (verb !== 'login' && verb !== 'logout'))
    throw new RouteError(404, `there is nothing at ${visibleAscii(path)}`, PATHS);
  const provider = decoded(name);
  if (!NAME.test(provider)) {
    throw new RouteError(400, `${visibleAscii(provider)} is not a valid provider name`, 'see: broker config show');
  }
  requireMethod(method, 'POST', path);
  return { to: verb, provider };
}

function credentialRoute(method: string, path: string, query: URLSearchParams | undefined): Route {
  const [name = '', verb = '', ...rest] = path.slice(CREDENTIALS.length).split('/');
  if (rest.length > 0 || !isVerb(verb)) {
    throw new RouteError(404, `there is nothing at ${visibleAscii(path)}`, PATHS);
  }
  const credential = credentialName(name);
  requireMethod(method, verb === 'key' ? 'GET' : 'POST', path);
  return verb === 'key' ? { to: 'key', credential, query } : { to: verb, credential };
}

const VERBS = ['key', 'refresh', 'invalidate', 'check'] as const;

function isVerb(word: string): word is (typeof VERBS)[number] {
  return (VERBS as readonly string[]).includes(word);
}

function credentialName(encoded: string): string | undefined {
  if (encoded === DEFAULT_CREDENTIAL) return undefined;
  // Every character of a valid name stands for itself in a path; only a careful client escapes it nevertheless.
  const name = encoded.includes('%') ? decoded(encoded) : encoded;
  if (NAME.test(name)) return name;
  throw new RouteError(400, `"${visibleAscii(name)}" is not a valid credential name`, `a name is ${NAME_RULE}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function requireMethod(method: string, allowed: 'GET' | 'POST', path: string): void {
  if (method === allowed) return;
  throw new RouteError(
    405,
    `${visibleAscii(method)} does not go with ${visibleAscii(path)}`,
    `use ${allowed}`,
    allowed,
  );
}

/** Foreign text in a message: short, and nothing but visible ASCII. */
function visibleAscii(text: string): string {
  const visible = text.replaceAll(/[^\x21-\x7e]/g, '?');
  return visible.length > 80 ? `${visible.slice(0, 80)}...` : visible;
}

/** What a person may do to the daemon itself. Rejects and throws BrokerErrors only. */
export interface Administration {
  config(): Promise<ConfigReport>;
  rotateKey(request: RotationRequest): Promise<RotationReport>;
  /** Takes over a login to this provider. Copies the token; the caller wipes it. */
  takeLogin(provider: string, token: SecretBytes): Promise<Login>;
  /** Ends and forgets it, with the keys that were read with it. */
  dropLogin(provider: string): Promise<void>;
}

/** `POST /v1/providers/{name}/login`: the one request with a body, the token and nothing else. */
export async function takeLogin(
  administration: Administration,
  { clock, limits }: { readonly clock: Clock; readonly limits: ServerLimits },
  exchange: Exchange,
  provider: string,
): Promise<void> {
  using token = await readToken(exchange, clock, limits);
  const login = await administration.takeLogin(provider, token);
  const { expiresAtMs, renewable } = login;
  const { nowMs, wallMs } = clock.read();
  const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs - nowMs + wallMs).toISOString();
  sendJson(exchange.response, 200, { provider, expiresAt, renewable } satisfies LoginReport);
}

const TOKEN = /^[\x21-\x7e]+$/;

/** Only with a length: a body without one, or with too great a one, is answered unread. */
async function readToken({ request, response }: Exchange, clock: Clock, limits: ServerLimits): Promise<SecretBytes> {
  // Whatever is left of a body that was refused ends with the connection.
  response.shouldKeepAlive = false;
  const length = Number(request.headers['content-length']);
  if (!(length > 0)) throw new RouteError(400, 'there is no body', 'send the token of the login as text/plain');
  if (length > limits.tokenBytes) throw new RouteError(413, 'the token is too long', 'send the token and nothing else');
  const late = clock.after(limits.silentMs, () => request.destroy());
  const bytes = Buffer.alloc(length);
  let at = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      at += chunk.copy(bytes, at);
      chunk.fill(0);
    }
    const token = SecretBytes.from(Buffer.from(bytes.subarray(0, bytes.at(-1) === 0x0a ? at - 1 : at)));
    if (TOKEN.test(token.bytes.toString('latin1'))) return token;
    token.wipe();
    throw new RouteError(400, 'the body is not a token', 'send the token of the login as text/plain, and nothing else');
  } finally {
    late.cancel();
    bytes.fill(0);
  }
}
