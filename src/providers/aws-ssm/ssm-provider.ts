import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { ProviderError } from '../../errors.ts';
import { watchAnswer } from '../aws/answer.ts';
import { AwsCaller } from '../aws/aws-caller.ts';
import { contentOfText } from '../aws/content.ts';
import { awsLoginInputs } from '../aws/login-inputs.ts';
import type { AwsOptions } from '../aws/options.ts';
import type { ProviderHost } from '../definition.ts';
import type { Call, IssuedSecret, IssueRequest, Provider } from '../provider.ts';
import type { SsmSource } from './source.ts';

export class SsmProvider implements Provider {
  readonly #options: AwsOptions;
  readonly #host: ProviderHost;
  readonly #aws: AwsCaller<SSMClient>;

  constructor(options: AwsOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#aws = new AwsCaller(options, host, (config) => new SSMClient(config));
  }

  async issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const { parameter: name } = request.source as SsmSource;
    const secret = `the parameter "${name}"`;
    const command = new GetParameterCommand({ Name: name, WithDecryption: true });
    const answer = watchAnswer(command.middlewareStack);
    const output = await this.#aws.send(call, { secret }, answer, (client, options) => client.send(command, options));
    const { Value, Version } = output.Parameter ?? {};
    if (Value === undefined) {
      throw new ProviderError('misconfigured', `${secret} has no value`, {
        remedy: 'store one with: aws ssm put-parameter --type SecureString --overwrite',
      });
    }
    return {
      content: contentOfText(Value),
      version: Version === undefined ? undefined : String(Version),
      lease: undefined,
      ttlHintMs: undefined,
      expiresAtServerMs: undefined,
      serverTimeMs: answer.serverTimeMs,
    };
  }

  loginInputs(): readonly string[] {
    return awsLoginInputs(this.#options, this.#host);
  }

  forgetLogin(): void {
    this.#aws.forget();
  }

  close(): void {
    this.#aws.close();
  }
}
