import { randomUUID } from 'node:crypto';
import type { TokenGrant, Tokens } from './tokens.ts';
import { envelope, type Handler, refusal, text, type VaultAnswer, type VaultRequest } from './wire.ts';

interface AppRole {
  readonly roleId: string;
  readonly grant: TokenGrant;
  readonly namespace: string;
  readonly bindSecretId: boolean;
  readonly secretIds: Map<string, { usesLeft: number; expiresAtMs: number }>;
}

type User = { readonly password: string; readonly grant: TokenGrant };
type JwtRole = { readonly jwt: string; readonly grant: TokenGrant };

/** No other name has a path in Vault; LDAP's may be anything. */
const USERPASS_NAME = /^\w(?:[\w.@-]*\w)?$/;

/** The login endpoints: approle, userpass, ldap, jwt, kubernetes and cert, each at its default mount. */
export class Logins {
  readonly #nowMs: () => number;
  readonly #tokens: Tokens;
  readonly #secretPrefix: string;
  readonly #appRoles = new Map<string, AppRole>();
  readonly #users = new Map<string, User>();
  readonly #jwtRoles = new Map<string, JwtRole>();
  readonly #certificates = new Map<string, TokenGrant>();

  constructor(nowMs: () => number, tokens: Tokens, secretPrefix: string) {
    this.#nowMs = nowMs;
    this.#tokens = tokens;
    this.#secretPrefix = secretPrefix;
  }

  /** Creates the role and answers its role-id. */
  appRole(name: string, grant: TokenGrant, options: { bindSecretId?: boolean } = {}): string {
    const namespace = grant.namespace ?? '';
    const bindSecretId = options.bindSecretId ?? true;
    const role: AppRole = { roleId: randomUUID(), grant, namespace, bindSecretId, secretIds: new Map() };
    this.#appRoles.set(name, role);
    return role.roleId;
  }

  /** A new secret-id, or the one given; `uses` 0 and `ttlMs` absent mean without limit. */
  secretId(roleName: string, limits: { uses?: number; ttlMs?: number; id?: string } = {}): string {
    const role = this.#appRoles.get(roleName);
    if (role === undefined) throw new RangeError(`the development Vault has no role ${roleName}`);
    const id = limits.id ?? `${this.#secretPrefix}${randomUUID()}`;
    const expiresAtMs = limits.ttlMs === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() + limits.ttlMs;
    role.secretIds.set(id, { usesLeft: limits.uses || Number.POSITIVE_INFINITY, expiresAtMs });
    return id;
  }

  revokeSecretIds(roleName: string): void {
    this.#appRoles.get(roleName)?.secretIds.clear();
  }

  /** `mount`: userpass or ldap. */
  user(mount: 'userpass' | 'ldap', name: string, password: string, grant: TokenGrant): void {
    this.#users.set(`${mount}/${name}`, { password, grant });
  }

  /** `mount`: jwt or kubernetes. Exactly this token is accepted. */
  jwtRole(mount: 'jwt' | 'kubernetes', role: string, jwt: string, grant: TokenGrant): void {
    this.#jwtRoles.set(`${mount}/${role}`, { jwt, grant });
  }

  certificate(commonName: string, grant: TokenGrant): void {
    this.#certificates.set(commonName, grant);
  }

  readonly handle: Handler = (request) => {
    const login = /^auth\/([^/]+)\/login(?:\/(.+))?$/.exec(request.path);
    if (login === null) return undefined;
    const mount = login[1] ?? '';
    if (mount === 'approle') return this.#appRoleLogin(request);
    if (mount === 'userpass' || mount === 'ldap') return this.#userLogin(mount, login[2] ?? '', request);
    if (mount === 'jwt' || mount === 'kubernetes') return this.#jwtLogin(mount, request);
    return mount === 'cert' ? this.#certLogin(request) : undefined;
  };

  #granted(grant: TokenGrant, request: VaultRequest): VaultAnswer {
    return envelope({ auth: this.#tokens.authOf(this.#tokens.create(grant, request.path)) });
  }

  #appRoleLogin(request: VaultRequest): VaultAnswer {
    const roleId = text(request.body['role_id']);
    const secretId = text(request.body['secret_id']);
    if (roleId === '') return refusal(400, 'missing role_id');
    const role = [...this.#appRoles.values()].find((each) => each.roleId === roleId);
    if (role === undefined || role.namespace !== request.namespace) return refusal(400, 'invalid role or secret ID');
    if (!role.bindSecretId) return this.#granted(role.grant, request);
    if (secretId === '') return refusal(400, 'missing secret_id');
    const found = role.secretIds.get(secretId);
    if (found === undefined || found.expiresAtMs <= this.#nowMs()) return refusal(400, 'invalid role or secret ID');
    found.usesLeft -= 1;
    if (found.usesLeft <= 0) role.secretIds.delete(secretId);
    return this.#granted(role.grant, request);
  }

  #userLogin(mount: string, name: string, request: VaultRequest): VaultAnswer {
    if (mount === 'userpass' && !USERPASS_NAME.test(name)) return refusal(404, 'unsupported path');
    const user = this.#users.get(`${mount}/${decodeURIComponent(name)}`);
    if (user !== undefined && user.password === request.body['password']) return this.#granted(user.grant, request);
    return refusal(
      400,
      mount === 'ldap' ? 'ldap operation failed: failed to bind as user' : 'invalid username or password',
    );
  }

  #jwtLogin(mount: string, request: VaultRequest): VaultAnswer {
    const name = text(request.body['role']);
    const role = this.#jwtRoles.get(`${mount}/${name}`);
    if (role === undefined) {
      return refusal(400, mount === 'jwt' ? `role "${name}" could not be found` : `invalid role name "${name}"`);
    }
    if (role.jwt === request.body['jwt']) return this.#granted(role.grant, request);
    return mount === 'jwt'
      ? refusal(400, 'error validating token: token is expired')
      : refusal(403, 'permission denied');
  }

  #certLogin(request: VaultRequest): VaultAnswer {
    const grant = this.#certificates.get(request.clientCommonName ?? '');
    if (grant !== undefined) return this.#granted(grant, request);
    if (request.clientCommonName === undefined) return refusal(400, 'client certificate must be supplied');
    return refusal(400, 'failed to match all constraints for this login certificate');
  }
}
