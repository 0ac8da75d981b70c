import { rmSync } from 'node:fs';
import { expandHome } from '../../../config/paths.ts';
import { ProviderError } from '../../../errors.ts';
import type { ProviderHost } from '../../provider.ts';
import { readSecretFile } from '../../secret-file.ts';
import { objectAt, textAt } from '../answer.ts';
import { unwrap } from '../client.ts';
import { successIn } from '../failures.ts';
import type { AuthOf, PasswordAuth } from '../options.ts';
import type { LoginContext, LoginRequest, PrepareLogin } from './method.ts';

/** userpass and ldap, which differ in nothing but their mount, with the password of the configuration. */
export function password(auth: PasswordAuth): PrepareLogin {
  return async ({ host }) => loginWith(passwordIn(auth, host), auth);
}

export function passwordIn(auth: PasswordAuth, host: ProviderHost): string {
  return auth.password ?? readSecretFile(auth.password_file ?? '', 'password', host);
}

export function loginWith(secret: string, { mount, username }: PasswordAuth): LoginRequest {
  const path = `auth/${mount}/login/${encodeURIComponent(username)}`;
  return { path, body: { password: secret }, secrets: [secret], isRepeatable: true };
}

/** jwt and kubernetes: a token that another system signs and renews, read from its file at every login. */
export function jwt(auth: AuthOf<'jwt'> | AuthOf<'kubernetes'>): PrepareLogin {
  return async ({ host }) => {
    const token = readSecretFile(auth.jwt_file, 'JWT', host);
    const body = auth.role === undefined ? { jwt: token } : { role: auth.role, jwt: token };
    return { path: `auth/${auth.mount}/login`, body, secrets: [token], isRepeatable: true };
  };
}

/**
 * The client certificate is the connection's, which is opened again for the login, so that a rotated one is
 * used; the body only names the role that it is meant for.
 */
export function cert(auth: AuthOf<'cert'>): PrepareLogin {
  const body = auth.name === undefined ? {} : { name: auth.name };
  return async ({ client }) => {
    client.reconnect();
    return { path: `auth/${auth.mount}/login`, body, secrets: [], isRepeatable: true };
  };
}

/**
 * AppRole. A secret-id that was unwrapped, or whose file was removed after reading, is remembered for as long as the
 * provider lives: it cannot be read a second time.
 */
export function appRole(auth: AuthOf<'approle'>): PrepareLogin {
  let remembered: { readonly from: string | undefined; readonly secretId: string } | undefined;

  const secretId = async (file: string, context: LoginContext): Promise<string> => {
    const keeps = auth.secret_id_wrapped || auth.remove_secret_id_file;
    const content = readOrRemembered(file, context, keeps && remembered !== undefined);
    if (remembered !== undefined && (content === undefined || content === remembered.from)) return remembered.secretId;
    if (content === undefined) throw nothingToRead(file);
    // Before it counts as a wrong login, of which a few lock the role.
    if (WRONG_FORM[`${auth.secret_id_wrapped}`].test(content)) throw wrongForm(file, auth.secret_id_wrapped, context);
    const plain = auth.secret_id_wrapped ? await unwrapSecretId(content, context) : content;
    if (keeps) remembered = { from: content, secretId: plain };
    if (auth.remove_secret_id_file) rmSync(expandHome(file, context.host.homeDir), { force: true });
    return plain;
  };

  return async (context) => {
    const roleId = auth.role_id ?? readSecretFile(auth.role_id_file ?? '', 'role-id', context.host);
    const path = `auth/${auth.mount}/login`;
    if (auth.secret_id_file === undefined) {
      return { path, body: { role_id: roleId }, secrets: [roleId], isRepeatable: true };
    }
    const secret = await secretId(auth.secret_id_file, context);
    // What is handed over so carefully may be good for one login.
    const isRepeatable = !auth.secret_id_wrapped && !auth.remove_secret_id_file;
    return { path, body: { role_id: roleId, secret_id: secret }, secrets: [roleId, secret], isRepeatable };
  };
}

function readOrRemembered(file: string, { host }: LoginContext, mayBeGone: boolean): string | undefined {
  try {
    return readSecretFile(file, 'secret-id', host);
  } catch (error) {
    if (mayBeGone && error instanceof ProviderError && error.kind === 'login-expired') return undefined;
    throw error;
  }
}

async function unwrapSecretId(wrappingToken: string, context: LoginContext): Promise<string> {
  const reply = await unwrap(wrappingToken, context.client, context.signal);
  const secretId = textAt(objectAt(successIn(reply).json, 'data'), 'secret_id');
  if (secretId !== '') return secretId;
  throw new ProviderError('misconfigured', 'the wrapping token in secret_id_file does not hold a secret-id', {
    remedy: 'wrap the answer of auth/approle/role/ROLE/secret-id, not another one',
  });
}

/** By `secret_id_wrapped`: a secret-id as Vault makes them, a token of Vault's or OpenBao's. */
const WRONG_FORM = {
  true: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  false: /^(?:hvs\.|s\.)[\w-]{20,}$/,
} as const;

function wrongForm(file: string, wanted: boolean, { host }: LoginContext): ProviderError {
  const [what, remedy] = wanted
    ? ['a secret-id as it is, and no wrapping token', 'remove secret_id_wrapped from']
    : ['a wrapping token, and no secret-id', 'add secret_id_wrapped = true to'];
  return new ProviderError('login-expired', `the file with the secret-id, ${file}, holds ${what}`, {
    remedy: `${remedy} [providers.${host.name}.auth]`,
    concerns: 'login',
  });
}

function nothingToRead(file: string): ProviderError {
  return new ProviderError('login-expired', `the file with the secret-id, ${file}, does not exist`, {
    remedy: `write a valid secret-id to ${file}`,
  });
}

export interface FoundToken {
  readonly token: string;
  /** For messages: `token_file /run/token`, `VAULT_TOKEN`. */
  readonly source: string;
}

const VARIABLE = 'VAULT_TOKEN';
const HOME_FILE = '~/.vault-token';

/**
 * The token handed in: `token`, else `token_file`, else VAULT_TOKEN, else ~/.vault-token, where `vault login` puts it.
 *
 * @throws ProviderError login-expired if there is none.
 */
export function findToken(auth: AuthOf<'token'>, host: ProviderHost): FoundToken {
  if (auth.token !== undefined) return { token: auth.token.trim(), source: `token in [providers.${host.name}.auth]` };
  if (auth.token_file !== undefined) {
    return { token: readSecretFile(auth.token_file, 'Vault token', host), source: auth.token_file };
  }
  const fromEnvironment = host.env[VARIABLE]?.trim();
  if (fromEnvironment !== undefined && fromEnvironment !== '') return { token: fromEnvironment, source: VARIABLE };
  try {
    return { token: readSecretFile(HOME_FILE, 'Vault token', host), source: HOME_FILE };
  } catch (error) {
    if (!(error instanceof ProviderError) || error.kind !== 'login-expired') throw error;
    throw new ProviderError('login-expired', `there is no Vault token for provider "${host.name}"`, {
      remedy: `run: vault login, or set token_file in [providers.${host.name}.auth]`,
    });
  }
}

export function tokenInputs(auth: AuthOf<'token'>): readonly string[] {
  if (auth.token !== undefined) return [];
  return auth.token_file === undefined ? [VARIABLE, HOME_FILE] : [auth.token_file];
}
