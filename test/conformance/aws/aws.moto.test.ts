import { awsSecretsManagerDefinition, awsSsmDefinition } from '../../../src/providers/aws/options.ts';
import { MOTO, secretsManagerKeeper, ssmKeeper } from '../../aws/moto-services.ts';
import { describeProvider } from '../provider-suite.ts';
import { AwsMotoHarness } from './aws-moto-harness.ts';

const endpoint = { endpoint: MOTO };
const role = { role_arn: 'arn:aws:iam::123456789012:role/keys', external_id: 'team-a', sts_endpoint: MOTO };
const secret = (name: string) => ({ secret_id: name });

describeProvider(
  'aws-secrets-manager, moto',
  new AwsMotoHarness(awsSecretsManagerDefinition, endpoint, secret, secretsManagerKeeper),
);

describeProvider(
  'aws-secrets-manager by an assumed role, moto',
  new AwsMotoHarness(awsSecretsManagerDefinition, { ...endpoint, ...role }, (name) => secret(`role-${name}`), {
    create: (name, text) => secretsManagerKeeper.create(`role-${name}`, text),
    replace: (name, text) => secretsManagerKeeper.replace(`role-${name}`, text),
    delete: (name) => secretsManagerKeeper.delete(`role-${name}`),
  }),
);

describeProvider(
  'aws-ssm, moto',
  new AwsMotoHarness(awsSsmDefinition, endpoint, (name) => ({ parameter: name }), ssmKeeper),
);
