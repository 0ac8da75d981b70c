import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { fromIni, fromNodeProviderChain, fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import { loadSharedConfigFiles } from '@smithy/core/config';
import { ProviderError } from '../../errors.ts';
import { presentedCertificate, trustedCertificates } from '../network.ts';
import type { ProviderHost } from '../provider.ts';
import { proxyEnvironment, proxyUsed } from '../proxies.ts';
import { configFile, credentialsFile } from './login-inputs.ts';
import type { AwsOptions } from './options.ts';

const CONNECTION_LIMIT_MS = 5_000;
const REQUEST_LIMIT_MS = 10_000;

const silent = () => {};
/** The SDK's log lines hold requests and answers. */
const SILENT_LOGGER = { trace: silent, debug: silent, info: silent, warn: silent, error: silent };

/** What every AWS client of ours is made with. */
export type AwsClientConfig = ReturnType<typeof awsClientConfig>;

export function awsClientConfig(options: AwsOptions, host: ProviderHost, agents: AwsAgents) {
  const transport = {
    // Retries and their waiting are the broker's.
    maxAttempts: 1,
    logger: SILENT_LOGGER,
    requestHandler: {
      httpAgent: agents.httpAgent,
      httpsAgent: agents.httpsAgent,
      connectionTimeout: CONNECTION_LIMIT_MS,
      requestTimeout: REQUEST_LIMIT_MS,
      // Without this the SDK only logs a warning and goes on waiting.
      throwOnRequestTimeout: true,
    },
  };
  const region = regionOf(options, host);
  return {
    ...transport,
    region,
    credentials: credentialSource(options, host, transport, region),
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
  };
}

/** The SDK would read the profile's region too, but from a copy of the file that it never reads again. */
export function regionOf(options: AwsOptions, host: ProviderHost): () => Promise<string> {
  return async () => {
    const region = options.region ?? (await profileRegion(options, host));
    if (region !== undefined) return region;
    await requireProfile(options, host);
    throw new ProviderError('misconfigured', `provider "${host.name}" has no AWS region`, {
      remedy: `add region = "eu-west-1", or the one your secrets are in, to [providers.${host.name}]`,
      concerns: 'address',
    });
  };
}

/** @throws ProviderError misconfigured if the profile that is named is in none of the files. */
async function requireProfile({ profile }: AwsOptions, host: ProviderHost): Promise<void> {
  if (profile === undefined) return;
  const { configFile, credentialsFile } = await loadSharedConfigFiles(sharedFiles(host));
  if (configFile[profile] !== undefined || credentialsFile[profile] !== undefined) return;
  const all = [...Object.keys(configFile), ...Object.keys(credentialsFile)];
  const known = [...new Set(all)].filter((name) => !/^(?:sso-session|services)\./.test(name));
  throw new ProviderError('misconfigured', `the AWS profile "${profile}" of provider "${host.name}" does not exist`, {
    remedy: `correct profile in [providers.${host.name}]; ~/.aws has ${known.join(', ') || 'none'}`,
    concerns: 'login',
  });
}

async function profileRegion(options: AwsOptions, host: ProviderHost): Promise<string | undefined> {
  const files = await loadSharedConfigFiles(sharedFiles(host));
  const profile = options.profile ?? 'default';
  return files.configFile[profile]?.['region'] ?? files.credentialsFile[profile]?.['region'];
}

/**
 * A named profile is taken at its word: the default chain would fall through to the machine's own role when the profile
 * does not exist, and read other secrets than the person meant.
 */
function credentialSource(options: AwsOptions, host: ProviderHost, transport: object, region: () => Promise<string>) {
  const init = {
    ...sharedFiles(host),
    logger: SILENT_LOGGER,
    clientConfig: transport,
  };
  const login =
    options.profile === undefined ? fromNodeProviderChain(init) : fromIni({ ...init, profile: options.profile });
  if (options.role_arn === undefined) return login;
  return fromTemporaryCredentials({
    masterCredentials: login,
    logger: SILENT_LOGGER,
    params: {
      RoleArn: options.role_arn,
      RoleSessionName: options.role_session_name ?? 'apikey-broker',
      ...(options.external_id === undefined ? {} : { ExternalId: options.external_id }),
    },
    clientConfig: {
      ...transport,
      region,
      ...(options.sts_endpoint === undefined ? {} : { endpoint: options.sts_endpoint }),
    },
  });
}

/** Read again each time: the SDK would keep what it once read and never notice a change. */
function sharedFiles(host: ProviderHost) {
  return { configFilepath: configFile(host), filepath: credentialsFile(host), ignoreCache: true };
}

/** Remembers whom it was last sent to: the SDK's errors do not tell the service from STS or SSO. */
class RememberingAgent extends HttpsAgent {
  /** Like `https://sts.eu-west-1.amazonaws.com`. */
  lastOrigin: string | undefined;

  override createConnection(...args: Parameters<HttpsAgent['createConnection']>) {
    const { host, port } = args[0] as RequestOptions;
    const name = String(host).includes(':') ? `[${host}]` : host;
    this.lastOrigin = Number(port) === 443 ? `https://${name}` : `https://${name}:${port}`;
    return super.createConnection(...args);
  }
}

/** How AWS is reached. No connection is kept: reads are minutes apart, and an idle socket would only wake the daemon. */
export class AwsAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: RememberingAgent;
  readonly #proxyEnv: Readonly<Record<string, string | undefined>>;

  /** @throws ProviderError misconfigured if `ca_file` cannot be used. */
  constructor(options: AwsOptions, host: ProviderHost) {
    const proxyEnv = proxyEnvironment(options.proxy, host.env);
    const ca = trustedCertificates(options.ca_file, host.name);
    this.#proxyEnv = proxyEnv;
    this.httpAgent = new HttpAgent({ proxyEnv });
    this.httpsAgent = new RememberingAgent({
      proxyEnv,
      ...(ca === undefined ? {} : { secureContext: createSecureContext({ ca }) }),
    });
  }

  /** Through which AWS was asked last. */
  get proxy(): string | undefined {
    return proxyUsed(this.httpsAgent.lastOrigin ?? '', this.#proxyEnv);
  }

  /** Who was spoken to last over TLS, and what it shows for a certificate; nothing of ours is sent there. */
  async inspect(
    signal: AbortSignal,
  ): Promise<{ readonly origin: string; readonly presented: PeerCertificate | undefined }> {
    const origin = this.httpsAgent.lastOrigin ?? 'an unknown address';
    if (this.httpsAgent.lastOrigin === undefined) return { origin, presented: undefined };
    const agent = new HttpsAgent({ proxyEnv: this.#proxyEnv, rejectUnauthorized: false });
    return { origin, presented: await presentedCertificate(origin, agent, signal) };
  }
}
