import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  type GetSecretValueCommandOutput,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { ProviderError } from '../../errors.ts';
import type { Call, Provider, ProviderHost, SecretContent } from '../provider.ts';
import { contentOfBytes, contentOfText, type Watch } from './answer.ts';
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
      const ask = (client: SecretsManagerClient, sending: object, watch: Watch) => {
        const command = valueCommand(source);
        watch(command.middlewareStack);
        return client.send(command, sending);
      };
      const [{ output, answer }, ttlHintMs] = await Promise.all([
        aws.send(call, subjectOf(source), ask),
        source.watch_rotation ? rotations.untilNext(source, call) : undefined,
      ]);
      const content = contentOf(output, source);
      if (content === undefined) throw aws.notAws(answer);
      return storedSecret(content, output.VersionId, answer, ttlHintMs);
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
      const ask = (client: SecretsManagerClient, sending: object, watch: Watch) => {
        const command = new DescribeSecretCommand({ SecretId: source.secret_id });
        watch(command.middlewareStack);
        return client.send(command, sending);
      };
      const { output, answer } = await this.#aws.send(call, subjectOf(source), ask, ROTATION_LIMIT_MS);
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
  return { id: secret_id, secret: `the secret "${secret_id}"` };
}

/** Undefined if the answer names no secret, as AWS's always do. */
function contentOf(output: GetSecretValueCommandOutput, source: SecretsManagerSource): SecretContent | undefined {
  if (output.SecretString !== undefined) return contentOfText(output.SecretString);
  if (output.SecretBinary !== undefined) return contentOfBytes(output.SecretBinary);
  if (output.Name === undefined && output.ARN === undefined) return undefined;
  throw new ProviderError('misconfigured', `${subjectOf(source).secret} has no value yet`, {
    remedy: 'store a value in it with: aws secretsmanager put-secret-value',
  });
}
