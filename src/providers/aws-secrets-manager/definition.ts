import { type AwsOptions, awsEnvironmentDefaults, awsProviderSchema } from '../aws/options.ts';
import type { ProviderDefinition } from '../definition.ts';
import { type SecretsManagerSource, secretsManagerCredentialSchema } from './source.ts';

export const awsSecretsManagerDefinition: ProviderDefinition<AwsOptions, SecretsManagerSource> = {
  type: 'aws-secrets-manager',
  summary: 'AWS Secrets Manager, with any login of the AWS SDK',
  providerSchema: awsProviderSchema,
  credentialSchema: secretsManagerCredentialSchema,
  environmentDefaults: awsEnvironmentDefaults('SECRETS_MANAGER'),
  identify: ({ secret_id, version_stage, version_id, watch_rotation }) =>
    JSON.stringify([secret_id, version_stage ?? null, version_id ?? null, watch_rotation]),
  describe: ({ secret_id }) => secret_id,
  async load() {
    const { secretsManagerProvider } = await import('./secrets-manager-provider.ts');
    return secretsManagerProvider;
  },
};
