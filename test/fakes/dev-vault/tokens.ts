import { randomBytes, randomUUID } from 'node:crypto';
import {
  type ApiAnswer,
  envelope,
  INVALID_TOKEN,
  NOT_FOUND,
  refusal,
  type TokenGrant as SmallGrant,
  type Token as SmallToken,
  seconds,
  Tokens,
  text,
} from '../../../src/demo/vault.ts';
import { type DevRequest, NO_CONTENT, parseDurationMs } from './request.ts';

/** What a login or `auth/token/create` grants. Absent times mean: without limit. */
export interface TokenGrant extends SmallGrant {
  readonly maxTtlMs?: number;
  /** A maximum that lookup-self shows, unlike the role's own `maxTtlMs`. */
  readonly explicitMaxTtlMs?: number;
  readonly periodMs?: number;
  readonly type?: 'service' | 'batch';
  readonly noDefaultPolicy?: boolean;
}

export interface Token extends SmallToken {
  /** Empty for batch tokens, as in Vault. */
  readonly accessor: string;
  readonly grant: TokenGrant;
  readonly createdAtMs: number;
  readonly namespace: string;
  readonly path: string;
  /** Who logged in; empty for a token that was made from another. */
  readonly entityId: string;
  readonly orphan: boolean;
  /** It ends with this one; undefined for orphans. */
  readonly parentId: string | undefined;
  expiresAtMs: number | undefined;
}

const NO_SUCH_ACCESSOR = envelope({ warnings: ['No token found with this accessor'] });

/** The token store with `auth/token/*`. */
export class TokenStore extends Tokens {
  declare protected readonly tokens: Map<string, Token>;
  readonly #secretPrefix: string;
  readonly #roles = new Map<string, { readonly orphan: boolean }>();
  /** Called with every token that ends, so that leases can die with it. */
  onEnd: (token: Token) => void = () => {};

  /** @param secretPrefix stands in every token, so that a search for it finds leaks. */
  constructor(nowMs: () => number, secretPrefix: string) {
    super(nowMs);
    this.#secretPrefix = secretPrefix;
  }

  /** Of `auth/token/create/NAME`. */
  role(name: string, role: { readonly orphan: boolean }): void {
    this.#roles.set(name, role);
  }

  override create(grant: TokenGrant, path = 'auth/token/create', id?: string, parent?: Token): Token {
    const isBatch = grant.type === 'batch';
    const now = this.nowMs();
    const ttl = grant.periodMs ?? grant.ttlMs;
    const token: Token = {
      id: id ?? `${isBatch ? 'hvb' : 'hvs'}.${this.#secretPrefix}${randomBytes(24).toString('base64url')}`,
      accessor: isBatch ? '' : randomBytes(18).toString('base64url'),
      policies: [...(grant.noDefaultPolicy === true ? [] : ['default']), ...(grant.policies ?? [])],
      grant,
      createdAtMs: now,
      namespace: grant.namespace ?? '',
      path,
      entityId: path.startsWith('auth/token/') ? '' : randomUUID(),
      orphan: parent === undefined && path !== 'auth/token/create',
      parentId: parent?.id,
      expiresAtMs: ttl === undefined ? undefined : Math.min(now + ttl, this.#capMs(grant, now)),
    };
    this.tokens.set(token.id, token);
    return token;
  }

  override find(id: string): Token | undefined {
    const token = super.find(id) as Token | undefined;
    if (token?.parentId === undefined || this.find(token.parentId) !== undefined) return token;
    this.end(token);
    return undefined;
  }

  revoke(id: string): void {
    const token = this.tokens.get(id);
    if (token !== undefined) this.end(token);
  }

  live(): readonly Token[] {
    return [...this.tokens.keys()].flatMap((id) => this.find(id) ?? []);
  }

  override authOf(token: Token): Readonly<Record<string, unknown>> {
    return {
      client_token: token.id,
      accessor: token.accessor,
      policies: token.policies,
      token_policies: token.policies,
      metadata: {},
      lease_duration: this.#leftSeconds(token),
      renewable: renewable(token),
      entity_id: token.entityId,
      token_type: token.grant.type ?? 'service',
      orphan: token.orphan,
      mfa_requirement: null,
      num_uses: 0,
    };
  }

  handle(request: DevRequest): ApiAnswer | undefined {
    const action = /^auth\/token\/(.+)$/.exec(request.path)?.[1];
    if (action === undefined) return undefined;
    const self = this.find(request.token);
    if (self === undefined) return INVALID_TOKEN;
    if (/^create(?:-orphan|\/[^/]+)?$/.test(action)) return this.#createFor(self, request, action);
    if (action === 'lookup-self') return this.#lookup(self);
    if (action === 'renew-self') return this.#renew(self, request);
    if (action === 'revoke-self') return this.#revoked(self);
    const other = this.#named(action, request);
    if (other === undefined) return action === 'revoke-accessor' ? NO_SUCH_ACCESSOR : NOT_FOUND;
    if (action.startsWith('lookup')) return this.#lookup(other);
    if (action.startsWith('renew')) return this.#renew(other, request);
    return action.startsWith('revoke') ? this.#revoked(other) : undefined;
  }

  #named(action: string, request: DevRequest): Token | undefined {
    if (!action.endsWith('-accessor')) return this.find(text(request.body['token']));
    return this.live().find((token) => token.accessor !== '' && token.accessor === request.body['accessor']);
  }

  #createFor(parent: Token, request: DevRequest, action: string): ApiAnswer {
    const role = this.#roles.get(action.split('/')[1] ?? '');
    if (action.includes('/') && role === undefined) return refusal(400, `unknown role ${action.split('/')[1]}`);
    const isOrphan = action === 'create-orphan' || role?.orphan === true || request.body['no_parent'] === true;
    const { body } = request;
    const ttlMs = parseDurationMs(body['ttl']);
    const explicitMaxTtlMs = parseDurationMs(body['explicit_max_ttl']);
    const periodMs = parseDurationMs(body['period']);
    const policies = Array.isArray(body['policies']) ? body['policies'].map(String) : parent.policies;
    const grant: TokenGrant = {
      policies,
      namespace: request.namespace,
      type: body['type'] === 'batch' ? 'batch' : 'service',
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(explicitMaxTtlMs === undefined ? {} : { explicitMaxTtlMs }),
      ...(periodMs === undefined ? {} : { periodMs }),
    };
    const token = this.create(grant, request.path, undefined, isOrphan ? undefined : parent);
    return envelope({ auth: this.authOf({ ...token, orphan: isOrphan }) });
  }

  #lookup(token: Token): ApiAnswer {
    const { grant, expiresAtMs } = token;
    return envelope({
      data: {
        accessor: token.accessor,
        creation_time: seconds(token.createdAtMs),
        creation_ttl: seconds(grant.periodMs ?? grant.ttlMs ?? 0),
        display_name: 'token',
        entity_id: token.entityId,
        expire_time: expiresAtMs === undefined ? null : new Date(expiresAtMs).toISOString(),
        explicit_max_ttl: seconds(grant.explicitMaxTtlMs ?? 0),
        id: token.id,
        issue_time: new Date(token.createdAtMs).toISOString(),
        meta: null,
        num_uses: 0,
        orphan: token.orphan,
        path: token.path,
        ...(grant.periodMs === undefined ? {} : { period: seconds(grant.periodMs) }),
        policies: token.policies,
        renewable: renewable(token),
        ttl: this.#leftSeconds(token),
        type: grant.type ?? 'service',
      },
    });
  }

  #renew(token: Token, request: DevRequest): ApiAnswer {
    if (token.grant.type === 'batch') return refusal(400, 'batch tokens cannot be renewed');
    if (!renewable(token)) return refusal(400, 'lease is not renewable');
    const now = this.nowMs();
    const wanted = token.grant.periodMs ?? parseDurationMs(request.body['increment']) ?? token.grant.ttlMs ?? 0;
    const granted = Math.min(now + wanted, this.#capMs(token.grant, token.createdAtMs));
    token.expiresAtMs = granted;
    const warnings =
      granted < now + wanted ? ['TTL exceeded the effective max_ttl; TTL value is capped accordingly'] : [];
    return envelope({ auth: this.authOf(token), ...(warnings.length > 0 ? { warnings } : {}) });
  }

  #revoked(token: Token): ApiAnswer {
    if (token.grant.type === 'batch') return refusal(400, 'batch tokens cannot be revoked');
    this.end(token);
    return NO_CONTENT;
  }

  protected override end(token: Token): void {
    super.end(token);
    this.onEnd(token);
    for (const child of [...this.tokens.values()]) if (child.parentId === token.id) this.end(child);
  }

  #capMs(grant: TokenGrant, createdAtMs: number): number {
    if (grant.periodMs !== undefined && grant.explicitMaxTtlMs === undefined) return Number.POSITIVE_INFINITY;
    const caps = [grant.maxTtlMs, grant.explicitMaxTtlMs].filter((cap) => cap !== undefined);
    return caps.length === 0 ? Number.POSITIVE_INFINITY : createdAtMs + Math.min(...caps);
  }

  #leftSeconds(token: Token): number {
    return token.expiresAtMs === undefined ? 0 : seconds(token.expiresAtMs - this.nowMs());
  }
}

function renewable(token: Token): boolean {
  return token.expiresAtMs !== undefined && token.grant.type !== 'batch';
}
