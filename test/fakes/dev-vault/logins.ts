import { type ApiAnswer, AppRoles, refusal, text } from '../../../src/demo/vault.ts';
import type { DevRequest } from './request.ts';
import type { TokenGrant } from './tokens.ts';

type User = { readonly password: string; readonly grant: TokenGrant };
type JwtRole = { readonly jwt: string; readonly grant: TokenGrant };

/** No other name has a path in Vault; LDAP's may be anything. */
const USERPASS_NAME = /^\w(?:[\w.@-]*\w)?$/;

/** The login endpoints: approle, userpass, ldap, jwt, kubernetes and cert, each at its default mount. */
export class Logins extends AppRoles {
  readonly #users = new Map<string, User>();
  readonly #jwtRoles = new Map<string, JwtRole>();
  readonly #certificates = new Map<string, TokenGrant>();

  override appRole(name: string, grant: TokenGrant, { bindSecretId = true } = {}): string {
    const roleId = super.appRole(name, grant);
    const role = this.roles.get(name);
    if (role !== undefined && !bindSecretId) role.secretIds = undefined;
    return roleId;
  }

  revokeSecretIds(roleName: string): void {
    this.roles.get(roleName)?.secretIds?.clear();
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

  override handle(request: DevRequest): ApiAnswer | undefined {
    const login = /^auth\/([^/]+)\/login(?:\/(.+))?$/.exec(request.path);
    if (login === null) return undefined;
    const mount = login[1] ?? '';
    if (mount === 'approle') return super.handle(request);
    if (mount === 'userpass' || mount === 'ldap') return this.#userLogin(mount, login[2] ?? '', request);
    if (mount === 'jwt' || mount === 'kubernetes') return this.#jwtLogin(mount, request);
    return mount === 'cert' ? this.#certLogin(request) : undefined;
  }

  #userLogin(mount: string, name: string, request: DevRequest): ApiAnswer {
    if (mount === 'userpass' && !USERPASS_NAME.test(name)) return refusal(404, 'unsupported path');
    const user = this.#users.get(`${mount}/${decodeURIComponent(name)}`);
    if (user !== undefined && user.password === request.body['password']) return this.granted(user.grant, request);
    return refusal(
      400,
      mount === 'ldap' ? 'ldap operation failed: failed to bind as user' : 'invalid username or password',
    );
  }

  #jwtLogin(mount: string, request: DevRequest): ApiAnswer {
    const name = text(request.body['role']);
    const role = this.#jwtRoles.get(`${mount}/${name}`);
    if (role === undefined) {
      return refusal(400, mount === 'jwt' ? `role "${name}" could not be found` : `invalid role name "${name}"`);
    }
    if (role.jwt === request.body['jwt']) return this.granted(role.grant, request);
    return mount === 'jwt'
      ? refusal(400, 'error validating token: token is expired')
      : refusal(403, 'permission denied');
  }

  #certLogin(request: DevRequest): ApiAnswer {
    const grant = this.#certificates.get(request.clientCommonName ?? '');
    if (grant !== undefined) return this.granted(grant, request);
    if (request.clientCommonName === undefined) return refusal(400, 'client certificate must be supplied');
    return refusal(400, 'failed to match all constraints for this login certificate');
  }
}
