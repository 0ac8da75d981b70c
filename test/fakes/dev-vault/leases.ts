import { randomBytes } from 'node:crypto';
import { type ApiAnswer, envelope, refusal, seconds, text } from '../../../src/demo/vault.ts';
import { type DevHandler, NO_CONTENT, parseDurationMs } from './request.ts';
import type { Token, TokenStore } from './tokens.ts';

/** What a dynamic engine's role grants. */
export interface LeaseGrant {
  readonly ttlMs: number;
  /** Default: the ttl, so that renewals gain nothing. */
  readonly maxTtlMs?: number;
  /** Default: true. */
  readonly renewable?: boolean;
}

export interface LeaseRecord {
  readonly id: string;
  readonly tokenId: string;
  readonly grant: LeaseGrant;
  readonly issuedAtMs: number;
  readonly maxExpiresAtMs: number;
  expiresAtMs: number;
  /** Before its time: it was revoked, or its token ended. */
  endedAtMs?: number;
}

/** The lease store with `sys/leases/*`. A lease dies with the token that asked for it. */
export class Leases {
  readonly #nowMs: () => number;
  readonly #tokens: TokenStore;
  readonly #leases = new Map<string, LeaseRecord>();

  constructor(nowMs: () => number, tokens: TokenStore) {
    this.#nowMs = nowMs;
    this.#tokens = tokens;
    tokens.onEnd = (token) => this.#endAllOf(token);
  }

  /** A batch token cannot be renewed, so Vault lets no lease outlive it; a service token's leases end when it does. */
  grant(path: string, token: Token, grant: LeaseGrant): LeaseRecord {
    const now = this.#nowMs();
    const cap =
      token.grant.type === 'batch' ? (token.expiresAtMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
    const lease: LeaseRecord = {
      id: `${path}/${randomBytes(18).toString('base64url')}`,
      tokenId: token.id,
      grant,
      issuedAtMs: now,
      maxExpiresAtMs: Math.min(now + Math.max(grant.ttlMs, grant.maxTtlMs ?? 0), cap),
      expiresAtMs: Math.min(now + grant.ttlMs, cap),
    };
    this.#leases.set(lease.id, lease);
    return lease;
  }

  find(id: string): LeaseRecord | undefined {
    const lease = this.#leases.get(id);
    if (lease === undefined) return undefined;
    if (lease.expiresAtMs > this.#nowMs() && this.#tokens.find(lease.tokenId) !== undefined) return lease;
    this.revoke(id);
    return undefined;
  }

  live(): readonly LeaseRecord[] {
    return [...this.#leases.keys()].flatMap((id) => this.find(id) ?? []);
  }

  revoke(id: string): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.endedAtMs = this.#nowMs();
    this.#leases.delete(id);
  }

  readonly handle: DevHandler = (request) => {
    const action = /^sys\/(?:leases\/)?(renew|revoke|lookup)(?:\/(.+))?$/.exec(request.path);
    if (action === null) return undefined;
    const id = text(request.body['lease_id']) || (action[2] ?? '');
    if (action[1] === 'renew') return this.#renew(id, request.body['increment']);
    if (action[1] === 'lookup') return this.#lookup(id);
    this.revoke(id);
    return request.body['sync'] === true ? NO_CONTENT : { status: 202 };
  };

  #renew(id: string, increment: unknown): ApiAnswer {
    const lease = this.find(id);
    if (lease === undefined) return refusal(400, 'lease not found');
    if (lease.grant.renewable === false) return refusal(400, 'lease is not renewable');
    const wanted = parseDurationMs(increment) ?? lease.grant.ttlMs;
    lease.expiresAtMs = Math.min(this.#nowMs() + (wanted || lease.grant.ttlMs), lease.maxExpiresAtMs);
    return envelope({
      leaseId: lease.id,
      leaseDurationMs: lease.expiresAtMs - this.#nowMs(),
      renewable: true,
    });
  }

  #lookup(id: string): ApiAnswer {
    const lease = this.find(id);
    if (lease === undefined) return refusal(400, 'invalid lease');
    return envelope({
      data: {
        id: lease.id,
        issue_time: new Date(lease.issuedAtMs).toISOString(),
        expire_time: new Date(lease.expiresAtMs).toISOString(),
        last_renewal: null,
        renewable: lease.grant.renewable ?? true,
        ttl: seconds(lease.expiresAtMs - this.#nowMs()),
      },
    });
  }

  #endAllOf(token: Token): void {
    for (const lease of this.#leases.values()) if (lease.tokenId === token.id) this.revoke(lease.id);
  }
}
