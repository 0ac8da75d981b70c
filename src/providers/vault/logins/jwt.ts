import type { AuthOf } from '../auth-schema.ts';
import { readSecretFile } from '../secret-file.ts';
import type { PrepareLogin } from './login-method.ts';

/** jwt and kubernetes: a token that somebody else signed and renews, read from its file at every login. */
export function jwt(auth: AuthOf<'jwt'> | AuthOf<'kubernetes'>): PrepareLogin {
  return async ({ host }) => {
    const token = readSecretFile(auth.jwt_file, 'JWT', host);
    const body = auth.role === undefined ? { jwt: token } : { role: auth.role, jwt: token };
    return { path: `auth/${auth.mount}/login`, body, secrets: [token] };
  };
}
