import { DescribeSecretCommand, GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ProviderError } from '../../errors.ts';
import type { Call, Provider, ProviderHost, SecretContent } from '../provider.ts';
import { contentOfBytes, contentOfText, watchAnswer } from './answer.ts';
import type { AwsClientConfig } from './connection.ts';
import type { AwsOptions, SecretsManagerSource } from './options.ts';
import { type AwsCaller, awsProvider, storedSecret } from './provider.ts';

/** A date that comes late must not hold up a key that is there. */
const ROTATION_LIMIT_MS = 2_000;

export function secretsManagerProvider(options: AwsOptions, host: ProviderHost): Provider {
  const build = (config: AwsClientConfig) => new SecretsManagerClient(config);
  return awsProvider(options, host, build, (aws) => {
    const rotations = new Rotations(aws, host);
    return async (request, call) => {
      const source = request.source as SecretsManagerSource;
      const command = valueCommand(source);
      const answer = watchAnswer(command.middlewareStack);
      const [output, ttlHintMs] = await Promise.all([
        aws.send(call, subjectOf(source), answer, (client, sending) => client.send(command, sending)),
        source.watch_rotation ? rotations.untilNext(source, call) : undefined,
      ]);
      return storedSecret(contentOf(output, source), output.VersionId, answer, ttlHintMs);
    };
  });
}

/** The dates of rotations, for those who ask for them. */
class Rotations {
  readonly #aws: AwsCaller<SecretsManagerClient>;
  readonly #host: ProviderHost;
  /** Secrets whose rotation date cannot be had; said once. */
  readonly #unwatched = new Set<string>();

  constructor(aws: AwsCaller<SecretsManagerClient>, host: ProviderHost) {
    this.#aws = aws;
    this.#host = host;
  }

  /**
   * NextRotationDate is the latest day on which the rotation will happen, so it is a hint when to read again and no
   * expiry. DescribeSecret is often not allowed: that never fails the read.
   */
  async untilNext(source: SecretsManagerSource, call: Call): Promise<number | undefined> {
    try {
      const command = new DescribeSecretCommand({ SecretId: source.secret_id });
      const answer = watchAnswer(command.middlewareStack);
      const output = await this.#aws.send(
        call,
        subjectOf(source),
        answer,
        (client, sending) => client.send(command, sending),
        ROTATION_LIMIT_MS,
      );
      const now = answer.serverTimeMs ?? this.#host.clock.wall();
      const untilMs = output.NextRotationDate === undefined ? -1 : output.NextRotationDate.getTime() - now;
      return untilMs > 0 ? untilMs : undefined;
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      if (this.#unwatched.has(source.secret_id)) return undefined;
      this.#unwatched.add(source.secret_id);
      this.#host.log.warn(
        { provider: this.#host.name, reason: error.message },
        'watch_rotation had no effect: the date of the next rotation could not be read',
      );
      return undefined;
    }
  }
}

function valueCommand({ secret_id, version_stage, version_id }: SecretsManagerSource): GetSecretValueCommand {
  return new GetSecretValueCommand({ SecretId: secret_id, VersionStage: version_stage, VersionId: version_id });
}

function subjectOf({ secret_id }: SecretsManagerSource) {
  return { secret: `the secret "${secret_id}"` };
}

function contentOf(
  output: { readonly SecretString?: string | undefined; readonly SecretBinary?: Uint8Array | undefined },
  source: SecretsManagerSource,
): SecretContent {
  if (output.SecretString !== undefined) return contentOfText(output.SecretString);
  if (output.SecretBinary !== undefined) return contentOfBytes(output.SecretBinary);
  throw new ProviderError('misconfigured', `${subjectOf(source).secret} has no value yet`, {
    remedy: 'store a value in it with: aws secretsmanager put-secret-value',
  });
}
