import { z } from 'zod';
import { text } from '../../config/value-types.ts';
import { type AwsOptions, awsEnvironmentDefaults, awsProviderSchema } from '../aws/options.ts';
import type { ProviderDefinition } from '../definition.ts';

const credentialSchema = z.strictObject({
  secret_id: text().describe('Name or ARN of the secret; across accounts the ARN.'),
  version_stage: text().optional().describe('Staging label. Default: AWSCURRENT.'),
  version_id: text().optional().describe('One version for ever: no rotation will ever show.'),
  watch_rotation: z
    .boolean()
    .default(false)
    .describe(
      'Ask for the date of the next rotation too (secretsmanager:DescribeSecret), and read again by then. Default: false.',
    ),
});

export type SecretsManagerSource = z.output<typeof credentialSchema>;

export const awsSecretsManagerDefinition: ProviderDefinition<AwsOptions, SecretsManagerSource> = {
  type: 'aws-secrets-manager',
  summary: 'AWS Secrets Manager, with any login of the AWS SDK',
  providerSchema: awsProviderSchema,
  credentialSchema,
  environmentDefaults: awsEnvironmentDefaults('SECRETS_MANAGER'),
  identify: ({ secret_id, version_stage, version_id, watch_rotation }) =>
    JSON.stringify([secret_id, version_stage ?? null, version_id ?? null, watch_rotation]),
  async load() {
    const { SecretsManagerProvider } = await import('./secrets-manager-provider.ts');
    return (options, host) => new SecretsManagerProvider(options, host);
  },
};
