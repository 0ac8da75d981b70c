import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { TLSSocket } from 'node:tls';
import {
  type ApiAnswer,
  type ApiRequest,
  envelope,
  NOT_JSON,
  noRoute,
  PERMISSION_DENIED,
  pathOf,
  readRequest,
  SmallVault,
} from '../../../src/demo/vault.ts';
import { Engines } from './engines.ts';
import { Faults, inflict } from './faults.ts';
import { IamLogins } from './iam-logins.ts';
import { EveryKeyValue } from './kv.ts';
import { Leases } from './leases.ts';
import { Logins } from './logins.ts';
import { OidcLogins } from './oidc-logins.ts';
import type { DevRequest } from './request.ts';
import { SecondFactors } from './second-factors.ts';
import { LEADERLESS, type Mode, NO_NAMESPACE, SEALED, systemHandler } from './sys.ts';
import { type Token, type TokenGrant, TokenStore } from './tokens.ts';
import { Wrapping } from './wrapping.ts';

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
  readonly headers: IncomingHttpHeaders;
}

/** As many of the latest requests are remembered. */
const REMEMBERED = 10_000;

/** What Vault's own `default` policy grants, as far as a client of the broker needs it. Revoking a lease is not in it. */
const DEFAULT_RULES = [
  'auth/token/lookup-self',
  'auth/token/renew-self',
  'auth/token/revoke-self',
  'sys/leases/renew',
  'sys/leases/lookup',
  'sys/wrapping/*',
  'cubbyhole/*',
];

/**
 * The demo's Vault with all that the broker uses of Vault besides (every login, second factors, engines, leases, wrapping,
 * namespaces), and controls for everything that can go wrong.
 */
export class DevVault extends SmallVault {
  declare readonly tokens: TokenStore;
  declare readonly kv: EveryKeyValue;
  declare readonly logins: Logins;
  readonly rootToken: string;
  readonly faults = new Faults();
  readonly leases: Leases;
  readonly engines: Engines;
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
  readonly #system: ReturnType<typeof systemHandler>;
  #requests = 0;
  #port = 0;

  private constructor(options: DevVaultOptions) {
    const { nowMs, secretPrefix = '' } = options;
    const tokens = new TokenStore(nowMs, secretPrefix);
    const parts = { tokens, kv: new EveryKeyValue(nowMs), logins: new Logins(tokens, secretPrefix) };
    super(nowMs, parts, options.tls === undefined ? createServer() : createTlsServer(options.tls));
    this.#options = options;
    this.rootToken = options.rootToken ?? 'dev-root';
    this.leases = new Leases(nowMs, tokens);
    this.engines = new Engines(nowMs, tokens, this.leases);
    this.oidc = new OidcLogins(tokens, secretPrefix, () => this.address);
    this.iam = new IamLogins(nowMs, tokens);
    this.mfa = new SecondFactors(nowMs);
    this.wrapping = new Wrapping(nowMs);
    this.#system = systemHandler(() => this.mode, nowMs);
    this.policies.write('default', DEFAULT_RULES);
    tokens.create({ policies: ['root'], noDefaultPolicy: true }, 'auth/token/root', this.rootToken);
  }

  static override async start(options: DevVaultOptions): Promise<DevVault> {
    const vault = new DevVault(options);
    await vault.comeUp();
    return vault;
  }

  /** Listens again, on the same port, after `stop()`. */
  async comeUp(): Promise<void> {
    const { socketPath } = this.#options;
    await this.listen(socketPath === undefined ? { port: this.#port, host: '127.0.0.1' } : { path: socketPath });
    const address = this.server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  /** As `address` wants it in `[providers.NAME]`. */
  override get address(): string {
    if (this.#options.socketPath !== undefined) return `unix://${this.#options.socketPath}`;
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  /** 0 on a Unix socket. */
  get port(): number {
    return this.#port;
  }

  override createToken(grant: TokenGrant): Token {
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

  protected override async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.sendDate = false;
    response.setHeader('date', new Date(this.#options.nowMs() + this.dateSkewMs).toUTCString());
    const path = pathOf(incoming);
    this.seen.push({ method: incoming.method ?? '', path, headers: incoming.headers });
    if (this.seen.length > REMEMBERED) this.seen.shift();
    const fault = this.faults.take(path);
    if (fault !== undefined && !(await inflict(fault, response))) return;
    const request = await readRequest(incoming);
    if (request === undefined) return this.send(NOT_JSON, response);
    const sent = { url: incoming.url ?? '/', clientCommonName: commonName(incoming) };
    this.send(this.answer({ ...request, ...this.#namespaceOf(request), ...sent }), response);
  }

  protected override answer(request: DevRequest): ApiAnswer {
    const system = this.#system(request);
    if (system !== undefined) return system;
    if (this.mode === 'sealed') return SEALED;
    if (this.mode === 'standby') return this.#redirect(request);
    if (request.namespace !== '' && !(this.#options.namespaces ?? []).includes(request.namespace)) return NO_NAMESPACE;
    const login = this.logins.handle(request) ?? this.oidc.handle(request) ?? this.iam.handle(request);
    if (login !== undefined) return this.wrapping.applyTo(this.mfa.applyTo(login, request), request);
    const answer = this.mfa.handle(request) ?? this.wrapping.handle(request) ?? this.refuse(request);
    if (answer !== undefined) return answer;
    const found =
      this.tokens.handle(request) ??
      this.leases.handle(request) ??
      this.kv.handle(request) ??
      this.engines.handle(request);
    return found === undefined ? noRoute(request) : this.wrapping.applyTo(found, request);
  }

  protected override refuse(request: ApiRequest): ApiAnswer | undefined {
    const namespace = this.tokens.find(request.token)?.namespace ?? '';
    const isWithin = namespace === '' || `${request.namespace}/`.startsWith(`${namespace}/`);
    return super.refuse(request) ?? (isWithin ? undefined : PERMISSION_DENIED);
  }

  protected override send(answer: ApiAnswer, response: ServerResponse): void {
    this.#requests += 1;
    const index = this.#options.sendsIndex === true ? { 'x-vault-index': `v1:${this.#requests}` } : {};
    super.send({ ...answer, headers: { ...index, ...answer.headers } }, response);
  }

  #redirect({ url }: DevRequest): ApiAnswer {
    if (this.activeAddress === undefined) return LEADERLESS;
    return { status: 307, headers: { location: `${this.activeAddress}${url}` } };
  }

  #namespaceOf({ namespace, path }: ApiRequest): { namespace: string; path: string } {
    const known = this.#options.namespaces ?? [];
    const inPath = namespace === '' ? known.find((name) => path.startsWith(`${name}/`)) : undefined;
    return inPath === undefined ? { namespace, path } : { namespace: inPath, path: path.slice(inPath.length + 1) };
  }
}

function commonName({ socket }: IncomingMessage): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const name = socket.getPeerCertificate().subject?.CN;
  return Array.isArray(name) ? name[0] : name;
}
