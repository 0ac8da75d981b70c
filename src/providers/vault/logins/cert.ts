import type { AuthOf } from '../auth-schema.ts';
import type { PrepareLogin } from './login-method.ts';

/**
 * The client certificate is the connection's, which is made anew for the login, so that one that was rotated is taken
 * up; here is only said which role it is meant for.
 */
export function cert(auth: AuthOf<'cert'>): PrepareLogin {
  const body = auth.name === undefined ? {} : { name: auth.name };
  return async ({ client }) => {
    client.reconnect();
    return { path: `auth/${auth.mount}/login`, body, secrets: [] };
  };
}
