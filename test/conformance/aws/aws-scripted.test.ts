import { awsSecretsManagerDefinition, awsSsmDefinition } from '../../../src/providers/aws/options.ts';
import { describeProvider } from '../provider-suite.ts';
import { AwsScriptedHarness } from './aws-scripted-harness.ts';

describeProvider(
  'aws-secrets-manager, scripted',
  new AwsScriptedHarness(awsSecretsManagerDefinition, (name) => ({ secret_id: name })),
);
describeProvider('aws-ssm, scripted', new AwsScriptedHarness(awsSsmDefinition, (name) => ({ parameter: name })));
