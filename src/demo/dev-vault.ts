import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { ServerOptions } from 'node:https';
import { createServer as createTlsServer } from 'node:https';
import { TLSSocket } from 'node:tls';
import { Engines } from './dev-vault/engines.ts';
import { Faults, inflict } from './dev-vault/faults.ts';
import { IamLogins } from './dev-vault/iam-logins.ts';
import { KeyValue } from './dev-vault/kv.ts';
import { Leases } from './dev-vault/leases.ts';
import { Logins } from './dev-vault/logins.ts';
import { OidcLogins } from './dev-vault/oidc-logins.ts';
import { Policies } from './dev-vault/policies.ts';
import { SecondFactors } from './dev-vault/second-factors.ts';
import { LEADERLESS, type Mode, NO_NAMESPACE, noRoute, SEALED, systemHandler } from './dev-vault/sys.ts';
import { type Token, type TokenGrant, Tokens } from './dev-vault/tokens.ts';
import {
  envelope,
  type Handler,
  INVALID_TOKEN,
  PERMISSION_DENIED,
  refusal,
  text,
  type VaultAnswer,
  type VaultRequest,
} from './dev-vault/wire.ts';
import { Wrapping } from './dev-vault/wrapping.ts';

export interface DevVaultOptions {
  /** The Vault's own clock, milliseconds since the epoch: a fake one makes leases live on fake time. */
  readonly nowMs: () => number;
  /** Default: plain HTTP on a free loopback port. */
  readonly tls?: ServerOptions;
  /** A Unix socket instead of a port. */
  readonly socketPath?: string;
  /** Known namespaces besides the root. */
  readonly namespaces?: readonly string[];
  /** The id of the root token; default `dev-root`. */
  readonly rootToken?: string;
  /** Stands in every token and secret-id that it makes up, so that a search for it finds leaks. Default: nothing. */
  readonly secretPrefix?: string;
  /** Whether to send X-Vault-Index, as Enterprise clusters do. */
  readonly sendsIndex?: boolean;
}

interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

/** As many of the latest requests are remembered. */
const REMEMBERED = 10_000;
/** Vault's own limit for request bodies is 32 MiB; nothing here needs more than this. */
const BODY_LIMIT = 1_048_576;

/**
 * A development Vault inside this process: a real HTTP(S) server that speaks the part of Vault's API that the broker
 * uses, with its answers in Vault's own shapes, and controls for everything that can go wrong. Everything is in
 * memory; the root token is no secret. Never a place for real keys.
 */
export class DevVault {
  readonly rootToken: string;
  readonly faults = new Faults();
  readonly policies = new Policies();
  readonly tokens: Tokens;
  readonly leases: Leases;
  readonly kv: KeyValue;
  readonly engines: Engines;
  readonly logins: Logins;
  readonly oidc: OidcLogins;
  readonly iam: IamLogins;
  readonly mfa: SecondFactors;
  readonly wrapping: Wrapping;
  readonly seen: SeenRequest[] = [];
  mode: Mode = 'active';
  /** Where a standby sends its clients. */
  activeAddress: string | undefined;
  /** How far the Date header is off, in milliseconds. */
  dateSkewMs = 0;

  readonly #options: DevVaultOptions;
  readonly #server: Server;
  readonly #handlers: readonly Handler[];
  readonly #system: Handler;
  #requests = 0;
  #port = 0;

  private constructor(options: DevVaultOptions) {
    const { nowMs } = options;
    this.#options = options;
    this.rootToken = options.rootToken ?? 'dev-root';
    this.tokens = new Tokens(nowMs, options.secretPrefix ?? '');
    this.leases = new Leases(nowMs, this.tokens);
    this.kv = new KeyValue(nowMs);
    this.engines = new Engines(nowMs, this.tokens, this.leases);
    this.logins = new Logins(nowMs, this.tokens, options.secretPrefix ?? '');
    this.oidc = new OidcLogins(this.tokens, options.secretPrefix ?? '', () => this.address);
    this.iam = new IamLogins(nowMs, this.tokens);
    this.mfa = new SecondFactors(nowMs);
    this.wrapping = new Wrapping(nowMs);
    this.#system = systemHandler(() => this.mode, nowMs);
    this.#handlers = [this.tokens.handle, this.leases.handle, this.kv.handle, this.engines.handle];
    this.tokens.create({ policies: ['root'], noDefaultPolicy: true }, 'auth/token/root', this.rootToken);
    const listener: RequestListener = (request, response) => void this.#serve(request, response);
    this.#server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  }

  static async start(options: DevVaultOptions): Promise<DevVault> {
    const vault = new DevVault(options);
    await vault.comeUp();
    return vault;
  }

  /** Listens again, on the same port, after `stop()`. */
  async comeUp(): Promise<void> {
    const { socketPath } = this.#options;
    const where = socketPath === undefined ? { port: this.#port, host: '127.0.0.1' } : { path: socketPath };
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(where, () => {
        this.#server.removeListener('error', reject);
        resolve();
      });
    });
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  /** As `address` wants it in `[providers.NAME]`. */
  get address(): string {
    if (this.#options.socketPath !== undefined) return `unix://${this.#options.socketPath}`;
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  /** 0 on a Unix socket. */
  get port(): number {
    return this.#port;
  }

  createToken(grant: TokenGrant): Token {
    return this.tokens.create(grant);
  }

  /** A secret-id behind a single-use wrapping token, as `vault write -wrap-ttl` hands it out. */
  wrapSecretId(role: string, ttlMs = 60_000): string {
    return this.wrapping.wrap(envelope({ data: { secret_id: this.logins.secretId(role), secret_id_ttl: 0 } }), ttlMs);
  }

  /** How many requests there were whose `METHOD path` matches. */
  count(pattern: RegExp): number {
    return this.seen.filter(({ method, path }) => pattern.test(`${method} ${path}`)).length;
  }

  /** Open connections are torn down: nobody waits for a client. What is stored stays, for `comeUp()`. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.sendDate = false;
    response.setHeader('date', new Date(this.#options.nowMs() + this.dateSkewMs).toUTCString());
    response.on('error', () => {});
    const url = new URL(incoming.url ?? '/', 'http://vault');
    const path = decoded(url.pathname).replace(/^\/v1\//, '');
    this.seen.push({ method: incoming.method ?? '', path, headers: incoming.headers });
    if (this.seen.length > REMEMBERED) this.seen.shift();
    const fault = this.faults.take(path);
    if (fault !== undefined && !(await inflict(fault, response))) return;
    const body = await readBody(incoming);
    if (body === undefined) return this.#send(refusal(400, 'error parsing JSON'), response);
    const { namespace, rest } = this.#namespaceOf(path, text(incoming.headers['x-vault-namespace']));
    const request: VaultRequest = {
      method: incoming.method ?? 'GET',
      path: rest,
      query: url.searchParams,
      body,
      token: text(incoming.headers['x-vault-token']) || bearer(incoming.headers.authorization),
      namespace,
      headers: incoming.headers,
      clientCommonName: commonName(incoming),
    };
    this.#send(this.#answer(request), response, url);
  }

  #answer(request: VaultRequest): VaultAnswer {
    const system = this.#system(request);
    if (system !== undefined) return system;
    if (this.mode === 'sealed') return SEALED;
    if (this.mode === 'standby') return this.activeAddress === undefined ? LEADERLESS : { status: 307 };
    if (request.namespace !== '' && !(this.#options.namespaces ?? []).includes(request.namespace)) return NO_NAMESPACE;
    const login = this.logins.handle(request) ?? this.oidc.handle(request) ?? this.iam.handle(request);
    if (login !== undefined) return this.wrapping.applyTo(this.mfa.applyTo(login, request), request);
    const open = this.mfa.handle(request) ?? this.wrapping.handle(request);
    if (open !== undefined) return open;
    const token = this.tokens.find(request.token);
    if (token === undefined) return INVALID_TOKEN;
    if (!this.#mayUse(token, request)) return PERMISSION_DENIED;
    for (const handle of this.#handlers) {
      const answer = handle(request);
      if (answer !== undefined) return this.wrapping.applyTo(answer, request);
    }
    return noRoute(request);
  }

  #mayUse(token: Token, request: VaultRequest): boolean {
    const within = token.namespace === '' || `${request.namespace}/`.startsWith(`${token.namespace}/`);
    return within && this.policies.allows(token.policies, request.path);
  }

  #namespaceOf(path: string, header: string): { namespace: string; rest: string } {
    const known = this.#options.namespaces ?? [];
    const inPath = header === '' ? known.find((name) => path.startsWith(`${name}/`)) : undefined;
    if (inPath === undefined) return { namespace: header.replace(/^\/|\/$/g, ''), rest: path };
    return { namespace: inPath, rest: path.slice(inPath.length + 1) };
  }

  #send(answer: VaultAnswer, response: ServerResponse, url?: URL): void {
    this.#requests += 1;
    const headers: Record<string, string> = { 'content-type': 'application/json', 'cache-control': 'no-store' };
    if (this.#options.sendsIndex === true) headers['x-vault-index'] = `v1:${this.#requests}`;
    if (answer.location !== undefined) headers['location'] = answer.location;
    if (answer.status === 307) headers['location'] = `${this.activeAddress}${url?.pathname}${url?.search}`;
    response.writeHead(answer.status, headers);
    response.end(answer.body === undefined ? undefined : `${JSON.stringify(answer.body)}\n`);
  }
}

async function readBody(incoming: IncomingMessage): Promise<VaultRequest['body'] | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_LIMIT) return undefined;
      chunks.push(chunk);
    }
    const parsed: unknown = size === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as VaultRequest['body']) : undefined;
  } catch {
    return undefined;
  }
}

function bearer(header: string | undefined): string {
  return /^Bearer (.+)$/i.exec(header ?? '')?.[1] ?? '';
}

function commonName(incoming: IncomingMessage): string | undefined {
  const { socket } = incoming;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const name = socket.getPeerCertificate().subject?.CN;
  return Array.isArray(name) ? name[0] : name;
}

function decoded(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}
