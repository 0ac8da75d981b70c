import type { ProviderHost } from '../definition.ts';
import type { IssuedSecret, Provider, SecretContent } from '../provider.ts';
import type { Answer } from './answer.ts';
import { AwsCaller } from './aws-caller.ts';
import type { AwsClientConfig } from './connection.ts';
import { awsLoginInputs } from './login-inputs.ts';
import type { AwsOptions } from './options.ts';

/** The provider of one AWS service: whatever its `issue` reads, logins, forgetting and closing are alike. */
export function awsProvider<Client extends { destroy(): void }>(
  options: AwsOptions,
  host: ProviderHost,
  build: (config: AwsClientConfig) => Client,
  issueWith: (aws: AwsCaller<Client>) => Provider['issue'],
): Provider {
  const aws = new AwsCaller(options, host, build);
  return {
    issue: issueWith(aws),
    loginInputs: () => awsLoginInputs(options, host),
    forgetLogin: () => aws.forget(),
    close: () => aws.close(),
  };
}

/** AWS's stores know versions, and neither leases nor ends. */
export function storedSecret(
  content: SecretContent,
  version: string | undefined,
  { serverTimeMs }: Answer,
  ttlHintMs?: number,
): IssuedSecret {
  return { content, version, lease: undefined, ttlHintMs, expiresAtServerMs: undefined, serverTimeMs };
}
