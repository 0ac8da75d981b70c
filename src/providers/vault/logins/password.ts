import type { ProviderHost } from '../../definition.ts';
import type { PasswordAuth } from '../auth-schema.ts';
import { readSecretFile } from '../secret-file.ts';
import type { LoginRequest, PrepareLogin } from './login-method.ts';

/** userpass and ldap, which differ in nothing but their mount, with the password of the configuration. */
export function password(auth: PasswordAuth): PrepareLogin {
  return async ({ host }) => loginWith(passwordIn(auth, host), auth);
}

export function passwordIn(auth: PasswordAuth, host: ProviderHost): string {
  return auth.password ?? readSecretFile(auth.password_file ?? '', 'password', host);
}

export function loginWith(secret: string, { mount, username }: PasswordAuth): LoginRequest {
  const path = `auth/${mount}/login/${encodeURIComponent(username)}`;
  return { path, body: { password: secret }, secrets: [secret] };
}
