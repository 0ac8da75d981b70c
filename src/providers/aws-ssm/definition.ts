import { z } from 'zod';
import { text } from '../../config/value-types.ts';
import { type AwsOptions, awsEnvironmentDefaults, awsProviderSchema } from '../aws/options.ts';
import type { ProviderDefinition } from '../definition.ts';

const credentialSchema = z.strictObject({
  parameter: text().describe('Name or ARN of the parameter; with :VERSION or :LABEL after it, that one for ever.'),
});

export type SsmSource = z.output<typeof credentialSchema>;

export const awsSsmDefinition: ProviderDefinition<AwsOptions, SsmSource> = {
  type: 'aws-ssm',
  summary: 'AWS Systems Manager Parameter Store (SecureString), with any login of the AWS SDK',
  providerSchema: awsProviderSchema,
  credentialSchema,
  environmentDefaults: awsEnvironmentDefaults('SSM'),
  identify: ({ parameter }) => parameter,
  async load() {
    const { SsmProvider } = await import('./ssm-provider.ts');
    return (options, host) => new SsmProvider(options, host);
  },
};
