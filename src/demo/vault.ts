import { randomBytes, randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';

/** Vault's own limit for request bodies is 32 MiB; nothing here needs more than this. */
const BODY_LIMIT = 1_048_576;

/**
 * A small Vault inside this process: a real HTTP server that speaks AppRole, tokens, policies and KV v2, with answers in
 * Vault's own shapes. Everything is in memory; never a place for real keys. The tests' Vault extends it.
 */
export class SmallVault {
  readonly policies = new Policies();
  readonly tokens: Tokens;
  readonly kv: KeyValue;
  readonly logins: AppRoles;
  protected readonly server: Server;

  /** @param nowMs the Vault's own clock, milliseconds since the epoch. */
  protected constructor(
    nowMs: () => number,
    parts: Partial<Pick<SmallVault, 'tokens' | 'kv' | 'logins'>> = {},
    server = createServer(),
  ) {
    this.tokens = parts.tokens ?? new Tokens(nowMs);
    this.kv = parts.kv ?? new KeyValue(nowMs);
    this.logins = parts.logins ?? new AppRoles(this.tokens);
    this.server = server.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
      response.on('error', () => {});
      void this.serve(incoming, response);
    });
  }

  static async start({ nowMs }: { readonly nowMs: () => number }): Promise<SmallVault> {
    const vault = new SmallVault(nowMs);
    await vault.listen({ port: 0, host: '127.0.0.1' });
    return vault;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  createToken(grant: TokenGrant): Token {
    return this.tokens.create(grant);
  }

  /** Open connections are torn down: no client is waited for. What is stored stays. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  protected listen(where: ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(where, () => {
        this.server.removeListener('error', reject);
        resolve();
      });
    });
  }

  protected async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming);
    this.send(request === undefined ? NOT_JSON : this.answer(request), response);
  }

  protected answer(request: ApiRequest): ApiAnswer {
    return this.logins.handle(request) ?? this.refuse(request) ?? this.kv.handle(request) ?? noRoute(request);
  }

  /** Undefined where the token of this request allows it. */
  protected refuse({ token: id, path }: ApiRequest): ApiAnswer | undefined {
    const token = this.tokens.find(id);
    if (token === undefined) return INVALID_TOKEN;
    return this.policies.allows(token.policies, path) ? undefined : PERMISSION_DENIED;
  }

  protected send({ status, headers, body }: ApiAnswer, response: ServerResponse): void {
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
    response.end(body === undefined ? undefined : `${JSON.stringify(body)}\n`);
  }
}

/** Minimal policies: a path is allowed or it is not; capabilities are not told apart. */
export class Policies {
  readonly #rules = new Map<string, readonly string[]>();

  /** @param rules paths as Vault's policies spell them, a trailing `*` matching any rest. */
  write(name: string, rules: readonly string[]): void {
    this.#rules.set(name, rules);
  }

  allows(policies: readonly string[], path: string): boolean {
    if (policies.includes('root')) return true;
    return policies.some((name) => (this.#rules.get(name) ?? []).some((rule) => matches(rule, path)));
  }
}

function matches(rule: string, path: string): boolean {
  return rule.endsWith('*') ? path.startsWith(rule.slice(0, -1)) : rule === path;
}

export interface TokenGrant {
  readonly policies?: readonly string[];
  /** Default: without end. */
  readonly ttlMs?: number;
  /** Default: the root. */
  readonly namespace?: string;
}

export interface Token {
  readonly id: string;
  readonly policies: readonly string[];
  readonly expiresAtMs: number | undefined;
}

export class Tokens {
  protected readonly nowMs: () => number;
  protected readonly tokens = new Map<string, Token>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** @param _path that of the request for it. */
  create({ policies = [], ttlMs }: TokenGrant, _path?: string): Token {
    const id = `hvs.${randomBytes(24).toString('base64url')}`;
    const token = { id, policies, expiresAtMs: ttlMs === undefined ? undefined : this.nowMs() + ttlMs };
    this.tokens.set(id, token);
    return token;
  }

  /** The live token; an expired one ends at this moment. */
  find(id: string): Token | undefined {
    const token = this.tokens.get(id);
    if (token?.expiresAtMs === undefined || token.expiresAtMs > this.nowMs()) return token;
    this.end(token);
    return undefined;
  }

  /** As the answer to a login has it. */
  authOf({ id, policies, expiresAtMs = this.nowMs() }: Token): Readonly<Record<string, unknown>> {
    return {
      client_token: id,
      accessor: '',
      policies,
      token_policies: policies,
      metadata: {},
      lease_duration: seconds(expiresAtMs - this.nowMs()),
      renewable: false,
      token_type: 'service',
    };
  }

  protected end(token: Token): void {
    this.tokens.delete(token.id);
  }
}

type Data = Readonly<Record<string, unknown>>;

interface Version {
  readonly data: Data;
  /** As answers show it. */
  readonly metadata: {
    readonly created_time: string;
    readonly version: number;
    custom_metadata: Data | null;
    /** May lie ahead; empty: none. */
    deletion_time: string;
    destroyed: boolean;
  };
}

/** KV v2 at `secret/`. */
export class KeyValue {
  protected readonly nowMs: () => number;
  protected readonly versions = new Map<string, Version[]>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** @param path without `data/`: `secret/claude`. */
  writeV2(path: string, data: Data, { namespace = '' } = {}): Version {
    const versions = this.versions.get(idOf(path, namespace)) ?? [];
    const created_time = new Date(this.nowMs()).toISOString();
    const custom_metadata = versions.at(-1)?.metadata.custom_metadata ?? null;
    const version = versions.length + 1;
    const written = { data, metadata: { created_time, custom_metadata, deletion_time: '', destroyed: false, version } };
    this.versions.set(idOf(path, namespace), [...versions, written]);
    return written;
  }

  handle({ path, namespace, query }: ApiRequest): ApiAnswer | undefined {
    if (!path.startsWith('secret/data/')) return undefined;
    const versions = this.versions.get(idOf(path.replace('/data/', '/'), namespace)) ?? [];
    const version = versions.at(Number(query.get('version') ?? 0) - 1);
    if (version === undefined) return NOT_FOUND;
    const { data, metadata } = version;
    const isGone = metadata.destroyed || Date.parse(metadata.deletion_time) <= this.nowMs();
    return envelope({ data: { data: isGone ? null : data, metadata } }, isGone ? 404 : 200);
  }
}

export function idOf(path: string, namespace: string): string {
  return `${namespace}|${path}`;
}

interface AppRole {
  readonly roleId: string;
  readonly grant: TokenGrant;
  /** Undefined: none is asked for (`bind_secret_id` is false). */
  secretIds: Set<string> | undefined;
}

/** `auth/approle/login`. */
export class AppRoles {
  protected readonly tokens: Tokens;
  protected readonly roles = new Map<string, AppRole>();
  readonly #secretPrefix: string;

  constructor(tokens: Tokens, secretPrefix = '') {
    this.tokens = tokens;
    this.#secretPrefix = secretPrefix;
  }

  /** Creates the role. @returns its role-id. */
  appRole(name: string, grant: TokenGrant): string {
    const role: AppRole = { roleId: randomUUID(), grant, secretIds: new Set() };
    this.roles.set(name, role);
    return role.roleId;
  }

  /** Adds a secret-id to the role. */
  secretId(roleName: string, id: string = `${this.#secretPrefix}${randomUUID()}`): string {
    const role = this.roles.get(roleName);
    if (role === undefined) throw new RangeError(`this Vault has no role ${roleName}`);
    role.secretIds?.add(id);
    return id;
  }

  handle(request: ApiRequest): ApiAnswer | undefined {
    if (request.path !== 'auth/approle/login') return undefined;
    const [roleId, secretId] = [text(request.body['role_id']), text(request.body['secret_id'])];
    if (roleId === '') return refusal(400, 'missing role_id');
    const role = [...this.roles.values()].find((each) => each.roleId === roleId);
    if (role === undefined || (role.grant.namespace ?? '') !== request.namespace) return UNKNOWN_ROLE;
    if (role.secretIds !== undefined && secretId === '') return refusal(400, 'missing secret_id');
    return role.secretIds?.has(secretId) === false ? UNKNOWN_ROLE : this.granted(role.grant, request);
  }

  protected granted(grant: TokenGrant, { path }: ApiRequest): ApiAnswer {
    return envelope({ auth: this.tokens.authOf(this.tokens.create(grant, path)) });
  }
}

/** One request as the handlers see it: the path without `/v1/`. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  readonly token: string;
  readonly namespace: string;
  readonly headers: IncomingHttpHeaders;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** Undefined if the body is not JSON, or too long. */
export async function readRequest(incoming: IncomingMessage): Promise<ApiRequest | undefined> {
  const body = await readBody(incoming);
  const { method = 'GET', headers } = incoming;
  return body === undefined
    ? undefined
    : {
        method,
        path: pathOf(incoming),
        query: urlOf(incoming).searchParams,
        body,
        token: text(headers['x-vault-token']) || (/^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? ''),
        namespace: text(headers['x-vault-namespace']).replace(/^\/|\/$/g, ''),
        headers,
      };
}

async function readBody(incoming: IncomingMessage): Promise<ApiRequest['body'] | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > BODY_LIMIT) return undefined;
      chunks.push(chunk);
    }
    const parsed: unknown = size === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as ApiRequest['body']) : undefined;
  } catch {
    return undefined;
  }
}

/** Decoded, and without `/v1/`. */
export function pathOf(incoming: IncomingMessage): string {
  const { pathname } = urlOf(incoming);
  try {
    return decodeURI(pathname).replace(/^\/v1\//, '');
  } catch {
    return pathname;
  }
}

function urlOf({ url = '/' }: IncomingMessage): URL {
  return new URL(url, 'http://vault');
}

/** The envelope of every answer (API docs, "Secret" type); durations in whole seconds. */
interface Envelope {
  readonly data?: unknown;
  readonly auth?: unknown;
  readonly leaseId?: string;
  readonly leaseDurationMs?: number;
  readonly renewable?: boolean;
  readonly warnings?: readonly string[];
}

export function envelope(fields: Envelope, status = 200): ApiAnswer {
  const body = {
    request_id: randomUUID(),
    lease_id: fields.leaseId ?? '',
    renewable: fields.renewable ?? false,
    lease_duration: seconds(fields.leaseDurationMs ?? 0),
    data: fields.data ?? null,
    wrap_info: null,
    warnings: fields.warnings ?? null,
    auth: fields.auth ?? null,
  };
  return { status, body };
}

export function refusal(status: number, ...errors: string[]): ApiAnswer {
  return { status, body: { errors } };
}

/** To a live token whose policies do not allow it. */
export const PERMISSION_DENIED = refusal(403, '1 error occurred:\n\t* permission denied\n\n');
/** To a token that has ended or never was, in the words of newer Vaults; OpenBao and older ones leave out the second. */
export const INVALID_TOKEN = refusal(403, '2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n');
export const NOT_JSON = refusal(400, 'error parsing JSON');
export const NOT_FOUND = refusal(404);
const UNKNOWN_ROLE = refusal(400, 'invalid role or secret ID');

/** `sys/mounts` and the like are not here: a client of the broker has no business with them. */
export function noRoute({ path }: ApiRequest): ApiAnswer {
  return refusal(404, `no handler for route "${path}". route entry not found.`);
}

export function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
