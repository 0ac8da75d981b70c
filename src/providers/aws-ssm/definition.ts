import { type AwsOptions, awsEnvironmentDefaults, awsProviderSchema } from '../aws/options.ts';
import type { ProviderDefinition } from '../definition.ts';
import { type SsmSource, ssmCredentialSchema } from './source.ts';

export const awsSsmDefinition: ProviderDefinition<AwsOptions, SsmSource> = {
  type: 'aws-ssm',
  summary: 'AWS Systems Manager Parameter Store (SecureString), with any login of the AWS SDK',
  providerSchema: awsProviderSchema,
  credentialSchema: ssmCredentialSchema,
  environmentDefaults: awsEnvironmentDefaults('SSM'),
  identify: ({ parameter }) => parameter,
  describe: ({ parameter }) => parameter,
  async load() {
    const { ssmProvider } = await import('./ssm-provider.ts');
    return ssmProvider;
  },
};
