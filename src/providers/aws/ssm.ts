import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { ProviderError } from '../../errors.ts';
import type { Provider, ProviderHost } from '../provider.ts';
import { contentOfText } from './answer.ts';
import type { AwsClientConfig } from './connection.ts';
import type { AwsOptions, SsmSource } from './options.ts';
import { awsProvider, storedSecret } from './provider.ts';

export function ssmProvider(options: AwsOptions, host: ProviderHost): Provider {
  const build = (config: AwsClientConfig) => new SSMClient(config);
  return awsProvider(options, host, build, (aws) => async (request, call) => {
    const { parameter: name } = request.source as SsmSource;
    const secret = `the parameter "${name}"`;
    const { output, answer } = await aws.send(call, { id: name, secret }, (client, sending, watch) => {
      const command = new GetParameterCommand({ Name: name, WithDecryption: true });
      watch(command.middlewareStack);
      return client.send(command, sending);
    });
    if (output.Parameter === undefined) throw aws.notAws(answer);
    const { Value, Version } = output.Parameter;
    if (Value === undefined) {
      throw new ProviderError('misconfigured', `${secret} has no value`, {
        remedy: 'store one with: aws ssm put-parameter --type SecureString --overwrite',
      });
    }
    return storedSecret(contentOfText(Value), Version === undefined ? undefined : String(Version), answer);
  });
}
