import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { flawOfFileItself } from '../../config/safe-file.ts';
import { ProviderError } from '../../errors.ts';
import { statQuietly } from '../../platform/files.ts';
import type { ProviderHost } from '../provider.ts';
import type { AwsOptions } from './options.ts';

type Surroundings = Pick<ProviderHost, 'env' | 'homeDir'>;

/** The variables that the SDK's default chain takes a login from. */
const LOGIN_VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_ROLE_ARN',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
] as const;

export function configFile({ env, homeDir }: Surroundings): string {
  return env['AWS_CONFIG_FILE'] ?? join(homeDir, '.aws', 'config');
}

export function credentialsFile({ env, homeDir }: Surroundings): string {
  return env['AWS_SHARED_CREDENTIALS_FILE'] ?? join(homeDir, '.aws', 'credentials');
}

/** What a login is read from, programs to run included. */
function awsLoginFiles(host: Surroundings): readonly string[] {
  const { env } = host;
  const tokens = [env['AWS_WEB_IDENTITY_TOKEN_FILE'], env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE']];
  return [configFile(host), credentialsFile(host), ...tokens].filter(
    (file): file is string => file?.startsWith('/') === true,
  );
}

/**
 * Whoever can change these files decides as whom the daemon logs in, and may name programs in them.
 *
 * @throws ProviderError ERR_UNSAFE_FILE with the command that fixes it.
 */
export function requireTrustedLogin(host: Surroundings): void {
  for (const file of awsLoginFiles(host)) {
    const flaw = statQuietly(file) === undefined ? undefined : flawOfFileItself(file, process.getuid?.() ?? 0);
    if (flaw === undefined) continue;
    const { reason, remedy } = flaw;
    throw new ProviderError('login-expired', `the login to AWS is not taken: ${reason}`, {
      code: 'ERR_UNSAFE_FILE',
      remedy,
      concerns: 'login',
    });
  }
}

/** Everything whose change may fix an AWS login: variables, the shared files, and what `aws sso login` leaves behind. */
export function awsLoginInputs(options: AwsOptions, host: Surroundings): readonly string[] {
  const { env, homeDir } = host;
  const files = [
    ...awsLoginFiles(host),
    ...folderAndFiles(join(homeDir, '.aws', 'sso', 'cache')),
    ...folderAndFiles(env['AWS_LOGIN_CACHE_DIRECTORY'] ?? join(homeDir, '.aws', 'login', 'cache')),
    options.ca_file,
  ];
  return [...files.filter((file): file is string => file?.startsWith('/') === true), ...LOGIN_VARIABLES];
}

/** Tokens are overwritten in place by some versions of the AWS CLI and renamed into place by others. */
function folderAndFiles(folder: string): readonly string[] {
  try {
    const tokens = readdirSync(folder).filter((name) => name.endsWith('.json'));
    return [folder, ...tokens.slice(0, 100).map((name) => join(folder, name))];
  } catch {
    return [folder];
  }
}
