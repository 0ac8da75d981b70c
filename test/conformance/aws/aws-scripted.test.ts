import { awsSecretsManagerDefinition } from '../../../src/providers/aws-secrets-manager/definition.ts';
import { awsSsmDefinition } from '../../../src/providers/aws-ssm/definition.ts';
import { describeProvider } from '../provider-suite.ts';
import { AwsScriptedHarness } from './aws-scripted-harness.ts';

describeProvider(
  'aws-secrets-manager, scripted',
  new AwsScriptedHarness(awsSecretsManagerDefinition, (name) => ({ secret_id: name })),
);
describeProvider('aws-ssm, scripted', new AwsScriptedHarness(awsSsmDefinition, (name) => ({ parameter: name })));
