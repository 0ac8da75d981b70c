import type { AuthOf } from '../auth-schema.ts';
import { readSecretFile } from '../secret-file.ts';
import type { PrepareLogin } from './login-method.ts';

/** userpass and ldap, which differ in nothing but their mount. */
export function password(auth: AuthOf<'userpass'> | AuthOf<'ldap'>): PrepareLogin {
  return async ({ host }) => {
    const secret = auth.password ?? readSecretFile(auth.password_file ?? '', 'password', host);
    return {
      path: `auth/${auth.mount}/login/${encodeURIComponent(auth.username)}`,
      body: { password: secret },
      secrets: [secret],
    };
  };
}
