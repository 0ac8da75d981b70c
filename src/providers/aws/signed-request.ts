import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { HttpRequest } from '@smithy/core/protocols';
import type { ProviderHost } from '../provider.ts';
import { NOTHING_ASKED } from './answer.ts';
import { AwsAgents, awsClientConfig } from './connection.ts';
import { awsFailure } from './failures.ts';
import type { AwsOptions } from './options.ts';

export interface RequestToSign {
  /** As AWS calls it in a signature: `sts`. */
  readonly service: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * The headers of a POST, signed for AWS with the login that `options` describe, for Vault to send. The SDK has no
 * call for that; the signer is the one that every client of it resolves for itself, told another service.
 *
 * @throws ProviderError as any login to AWS.
 */
export async function signedHeaders(
  { service, url, headers, body }: RequestToSign,
  options: AwsOptions,
  host: ProviderHost,
): Promise<Readonly<Record<string, string>>> {
  const { hostname, port, pathname, protocol } = new URL(url);
  const authority = port === '' ? hostname : `${hostname}:${port}`;
  const request = new HttpRequest({
    method: 'POST',
    protocol,
    hostname,
    path: pathname,
    headers: { host: authority, ...headers },
    body,
  });
  const client = new SecretsManagerClient(awsClientConfig(options, host, new AwsAgents(options, host)));
  try {
    const region = options.region ?? 'us-east-1';
    const signer = await client.config.signer({
      name: 'sigv4',
      signingName: service,
      signingRegion: region,
      properties: {},
    });
    const signed = await signer.sign(request, { signingDate: new Date(host.clock.wall()) });
    return { ...signed.headers };
  } catch (error) {
    throw awsFailure(error, { provider: host.name, id: '', secret: 'the login', options }, NOTHING_ASKED);
  } finally {
    client.destroy();
  }
}
