import { BrokerError, ProviderError } from '../../../errors.ts';
import type { ProviderHost } from '../../provider.ts';
import { isInteractive, type VaultAuth } from '../options.ts';
import { aws, awsInputs } from './aws.ts';
import type { PrepareLogin } from './method.ts';
import { appRole, cert, jwt, password, tokenInputs } from './simple.ts';

/** How to log in; undefined for method token, which has a token already. */
export function prepareLogin(auth: VaultAuth): PrepareLogin | undefined {
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

export function logsInUnattended(provider: string, { method }: VaultAuth): BrokerError {
  return new BrokerError('ERR_USAGE', `provider "${provider}" logs in automatically, with method ${method}`, {
    remedy: 'there is nothing to do; see: broker status',
  });
}

/** The daemon opens no browser and asks for no password: it says who can. */
const loginByAPerson: PrepareLogin = async ({ host }) => {
  throw new ProviderError('login-expired', `nobody is logged in to provider "${host.name}", or the session is over`, {
    remedy: `run: broker login ${host.name}`,
  });
};

/** Files and variables whose change may fix a login. */
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
