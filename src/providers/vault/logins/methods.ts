import type { VaultAuth } from '../auth-schema.ts';
import { appRole } from './approle.ts';
import { cert } from './cert.ts';
import { jwt } from './jwt.ts';
import type { PrepareLogin } from './login-method.ts';
import { password } from './password.ts';
import { tokenInputs } from './token.ts';

/** How to log in; undefined for method token, which has a token already. */
export function loginMethod(auth: VaultAuth): PrepareLogin | undefined {
  switch (auth.method) {
    case 'token':
      return undefined;
    case 'approle':
      return appRole(auth);
    case 'userpass':
    case 'ldap':
      return password(auth);
    case 'jwt':
    case 'kubernetes':
      return jwt(auth);
    case 'cert':
      return cert(auth);
  }
}

/** Files and variables whose change may mend a login. */
export function authInputs(auth: VaultAuth): readonly string[] {
  switch (auth.method) {
    case 'token':
      return tokenInputs(auth);
    case 'approle':
      return [auth.role_id_file, auth.secret_id_file].filter((file) => file !== undefined);
    case 'userpass':
    case 'ldap':
      return auth.password_file === undefined ? [] : [auth.password_file];
    case 'jwt':
    case 'kubernetes':
      return [auth.jwt_file];
    case 'cert':
      return [];
  }
}
