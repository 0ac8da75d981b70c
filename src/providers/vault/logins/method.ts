import { BrokerError, ProviderError } from '../../../errors.ts';
import type { LoginDialogue, ProviderHost } from '../../provider.ts';
import type { Json } from '../answer.ts';
import type { ApiRequest, VaultClient, VaultReply } from '../client.ts';
import { failureOf, notVault } from '../failures.ts';
import { isInteractive, type VaultAuth } from '../options.ts';
import { aws, awsInputs } from './aws.ts';
import { appRole, cert, jwt, password } from './simple.ts';
import { tokenInputs } from './token.ts';

/** What a login method works with. */
export interface LoginContext {
  readonly host: ProviderHost;
  readonly client: VaultClient;
  readonly signal: AbortSignal;
}

/** One way to get a token by asking: what to send to which login endpoint. */
export interface LoginRequest {
  /** Without `/v1/`. */
  readonly path: string;
  readonly body: Json;
  /** The parts of the body that must never be shown. */
  readonly secrets: readonly string[];
}

/** Reads its inputs anew at every call, so that a rotated secret is taken up. */
export type PrepareLogin = (context: LoginContext) => Promise<LoginRequest>;

/** How to log in; undefined for method token, which has a token already. */
export function loginMethod(auth: VaultAuth): PrepareLogin | undefined {
  switch (auth.method) {
    case 'token':
      return undefined;
    case 'approle':
      return appRole(auth);
    case 'userpass':
    case 'ldap':
      return isInteractive(auth) ? loginByAPerson : password(auth);
    case 'jwt':
    case 'kubernetes':
      return jwt(auth);
    case 'cert':
      return cert(auth);
    case 'oidc':
      return loginByAPerson;
    case 'aws':
      return aws(auth);
  }
}

export function logsInByItself(provider: string, { method }: VaultAuth): BrokerError {
  return new BrokerError('ERR_USAGE', `provider "${provider}" logs in by itself, with method ${method}`, {
    remedy: 'there is nothing to do; see how it stands: broker status',
  });
}

/** The daemon opens no browser and asks for no password: it says who can. */
const loginByAPerson: PrepareLogin = async ({ host }) => {
  throw new ProviderError('login-expired', `nobody is logged in to provider "${host.name}", or the session is over`, {
    remedy: `run: broker login ${host.name}`,
  });
};

/** Files and variables whose change may mend a login. */
export function authInputs(auth: VaultAuth, host: ProviderHost): readonly string[] {
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
    case 'aws':
      return awsInputs(auth, host);
    case 'cert':
    case 'oidc':
      return [];
  }
}

/** What the steps of an interactive login share. */
export interface InteractiveContext {
  readonly host: ProviderHost;
  readonly dialogue: LoginDialogue;
  readonly signal: AbortSignal;
  /** Each request has the provider's own time limit, unless it waits for a person. */
  ask(request: ApiRequest, limitMs?: number): Promise<VaultReply>;
}

/** How long a person has. Vault itself forgets a login that was begun after five to ten minutes. */
export const LOGIN_LIMIT_MS = 300_000;

/** @throws ProviderError if the answer is no success. */
export function grantIn(reply: VaultReply): VaultReply {
  if (reply.status !== 200) throw failureOf(reply);
  if (reply.json === undefined) throw notVault(reply);
  return reply;
}

export function tooLate(provider: string): ProviderError {
  return new ProviderError('login-expired', `nobody completed the login within ${LOGIN_LIMIT_MS / 60_000} minutes`, {
    remedy: `try again: broker login ${provider}`,
  });
}
