import { randomBytes } from 'node:crypto';
import { type ApiAnswer, envelope, PERMISSION_DENIED, refusal, seconds } from '../../../src/demo/vault.ts';
import type { LeaseGrant, LeaseRecord, Leases } from './leases.ts';
import type { DevHandler, DevRequest } from './request.ts';
import type { TokenStore } from './tokens.ts';

/** `apikeys/creds/ROLE` (GET, or POST with parameters, as engines differ), `aws/sts/ROLE` and `identity/oidc/token/ROLE`. */
export class Engines {
  /** Every key that was given out, with its role and its lease. */
  readonly issued = new Map<string, { readonly role: string; readonly lease: LeaseRecord }>();
  readonly #nowMs: () => number;
  readonly #tokens: TokenStore;
  readonly #leases: Leases;
  readonly #roles = new Map<string, LeaseGrant & { readonly post?: boolean }>();
  readonly #awsRoles = new Map<string, LeaseGrant>();
  readonly #oidcRoles = new Map<string, number>();

  constructor(nowMs: () => number, tokens: TokenStore, leases: Leases) {
    this.#nowMs = nowMs;
    this.#tokens = tokens;
    this.#leases = leases;
  }

  /** `post`: the role answers POST only, and gives back the parameters that it was sent. */
  role(name: string, grant: LeaseGrant & { readonly post?: boolean }): void {
    this.#roles.set(name, grant);
  }

  /** Temporary credentials of an assumed role: a lease that cannot be renewed. */
  awsRole(name: string, ttlMs: number): void {
    this.#awsRoles.set(name, { ttlMs, maxTtlMs: ttlMs, renewable: false });
  }

  oidcRole(name: string, ttlMs: number): void {
    this.#oidcRoles.set(name, ttlMs);
  }

  readonly handle: DevHandler = (request) => {
    const dynamic = /^apikeys\/creds\/([^/]+)$/.exec(request.path)?.[1];
    if (dynamic !== undefined) return this.#issue(dynamic, request);
    const aws = /^aws\/sts\/([^/]+)$/.exec(request.path)?.[1];
    if (aws !== undefined) return this.#assume(aws, request);
    const oidc = /^identity\/oidc\/token\/([^/]+)$/.exec(request.path)?.[1];
    return oidc === undefined ? undefined : this.#idToken(oidc, request);
  };

  #issue(name: string, request: DevRequest): ApiAnswer {
    const role = this.#roles.get(name);
    if (role === undefined) return refusal(400, `unknown role: ${name}`);
    if ((request.method === 'GET') === (role.post === true)) {
      return refusal(405, '1 error occurred:\n\t* unsupported operation\n\n');
    }
    const token = this.#tokens.find(request.token);
    if (token === undefined) return PERMISSION_DENIED;
    const lease = this.#leases.grant(request.path, token, role);
    const api_key = `sk-dev-${randomBytes(16).toString('hex')}`;
    this.issued.set(api_key, { role: name, lease });
    return envelope({
      data: { api_key, role: name, ...request.body },
      leaseId: lease.id,
      leaseDurationMs: lease.expiresAtMs - this.#nowMs(),
      renewable: role.renewable ?? true,
    });
  }

  #assume(name: string, request: DevRequest): ApiAnswer {
    const role = this.#awsRoles.get(name);
    const token = this.#tokens.find(request.token);
    if (role === undefined) return refusal(400, `Role '${name}' not found`);
    if (token === undefined) return PERMISSION_DENIED;
    const lease = this.#leases.grant(request.path, token, role);
    const part = (bytes: number) => randomBytes(bytes).toString('base64');
    return envelope({
      data: {
        access_key: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
        secret_key: part(30),
        security_token: part(270),
        session_token: part(270),
        ttl: seconds(role.ttlMs),
      },
      leaseId: lease.id,
      leaseDurationMs: lease.expiresAtMs - this.#nowMs(),
      renewable: false,
    });
  }

  #idToken(name: string, request: DevRequest): ApiAnswer {
    const ttlMs = this.#oidcRoles.get(name);
    if (ttlMs === undefined) return refusal(400, `role "${name}" not found`);
    const entityId = this.#tokens.find(request.token)?.entityId ?? '';
    if (entityId === '') return refusal(400, "no entity associated with the request's token");
    const now = seconds(this.#nowMs());
    const claims = {
      iss: 'dev-vault',
      sub: entityId,
      iat: now,
      exp: now + seconds(ttlMs),
      jti: randomBytes(8).toString('hex'),
    };
    const parts = [{ alg: 'none', typ: 'JWT' }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    );
    return envelope({ data: { client_id: 'demo', token: [...parts, 'unsigned'].join('.'), ttl: seconds(ttlMs) } });
  }
}
