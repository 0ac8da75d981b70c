import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { ProviderError } from '../../errors.ts';
import type { Provider, ProviderHost } from '../provider.ts';
import { contentOfText, watchAnswer } from './answer.ts';
import type { AwsClientConfig } from './connection.ts';
import type { AwsOptions, SsmSource } from './options.ts';
import { awsProvider, storedSecret } from './provider.ts';

export function ssmProvider(options: AwsOptions, host: ProviderHost): Provider {
  const build = (config: AwsClientConfig) => new SSMClient(config);
  return awsProvider(options, host, build, (aws) => async (request, call) => {
    const { parameter: name } = request.source as SsmSource;
    const secret = `the parameter "${name}"`;
    const command = new GetParameterCommand({ Name: name, WithDecryption: true });
    const answer = watchAnswer(command.middlewareStack);
    const output = await aws.send(call, { secret }, answer, (client, sending) => client.send(command, sending));
    const { Value, Version } = output.Parameter ?? {};
    if (Value === undefined) {
      throw new ProviderError('misconfigured', `${secret} has no value`, {
        remedy: 'store one with: aws ssm put-parameter --type SecureString --overwrite',
      });
    }
    return storedSecret(contentOfText(Value), Version === undefined ? undefined : String(Version), answer);
  });
}
