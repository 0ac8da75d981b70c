import { ProviderError } from '../../../errors.ts';
import type { ProviderHost } from '../../provider.ts';
import type { AuthOf } from '../options.ts';
import { readSecretFile } from '../secret-file.ts';

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
