import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { ProviderError } from '../../errors.ts';
import { Underway } from '../call-scope.ts';
import { presentedCertificate, trustedCertificates } from '../network.ts';
import type { Call, IssuedSecret, Provider, ProviderHost, SecretContent } from '../provider.ts';
import { proxyEnvironment } from '../proxies.ts';
import type { Answer } from './answer.ts';
import { type AwsClientConfig, awsClientConfig } from './connection.ts';
import { awsFailure, type Subject, untrusted } from './failures.ts';
import { awsLoginInputs } from './login-inputs.ts';
import type { AwsOptions } from './options.ts';

/** The provider of one AWS service: whatever its `issue` reads, logins, forgetting and closing are alike. */
export function awsProvider<Client extends { destroy(): void }>(
  options: AwsOptions,
  host: ProviderHost,
  build: (config: AwsClientConfig) => Client,
  issueWith: (aws: AwsCaller<Client>) => Provider['issue'],
): Provider {
  const aws = new AwsCaller(options, host, build);
  return {
    issue: issueWith(aws),
    loginInputs: () => awsLoginInputs(options, host),
    forgetLogin: () => aws.forget(),
    close: () => aws.close(),
  };
}

/** AWS's stores know versions, and neither leases nor ends. */
export function storedSecret(
  content: SecretContent,
  version: string | undefined,
  { serverTimeMs }: Answer,
  ttlHintMs?: number,
): IssuedSecret {
  return { content, version, lease: undefined, ttlHintMs, expiresAtServerMs: undefined, serverTimeMs };
}

const CALL_LIMIT_MS = 30_000;

interface Connected<Client> {
  readonly client: Client;
  readonly agents: AwsAgents;
}

/** One lazily built SDK client of one service, and every way in which a call of it can end. */
export class AwsCaller<Client extends { destroy(): void }> {
  readonly #options: AwsOptions;
  readonly #host: ProviderHost;
  readonly #build: (config: AwsClientConfig) => Client;
  readonly #underway: Underway;
  #connected: Connected<Client> | undefined;

  constructor(options: AwsOptions, host: ProviderHost, build: (config: AwsClientConfig) => Client) {
    this.#options = options;
    this.#host = host;
    this.#build = build;
    this.#underway = new Underway(host.name);
  }

  /**
   * Sends one command, whose HTTP answer `watchAnswer` notes in `answer`.
   *
   * @param limitMs Default 30,000: login and read together.
   * @throws ProviderError, never the SDK's own errors: those hold the request and its answer.
   */
  async send<Result>(
    call: Call,
    about: Pick<Subject, 'secret'>,
    answer: Answer,
    send: (client: Client, options: { abortSignal: AbortSignal }) => Promise<Result>,
    limitMs = CALL_LIMIT_MS,
  ): Promise<Result> {
    const subject = { ...about, provider: this.#host.name, options: this.#options };
    return await this.#underway.run(call, this.#bounds(subject, limitMs), async (abortSignal) => {
      let connected: Connected<Client> | undefined;
      try {
        connected = this.#connect();
        return await send(connected.client, { abortSignal });
      } catch (error) {
        const failure =
          (await untrusted(error, subject, answer, connected?.agents, abortSignal)) ??
          awsFailure(error, subject, answer);
        // The SDK keeps keys without an expiry for ever: the next call has to look for new ones.
        if (failure.kind === 'login-expired') this.forget();
        throw failure;
      }
    });
  }

  /** The next call builds a client, reads the shared files and logs in anew; calls under way are left alone. */
  forget(): void {
    this.#connected = undefined;
  }

  close(): void {
    this.#underway.close();
    this.#connected?.client.destroy();
    this.#connected = undefined;
  }

  #connect(): Connected<Client> {
    if (this.#connected !== undefined) return this.#connected;
    const agents = new AwsAgents(this.#options, this.#host);
    const client = this.#build(awsClientConfig(this.#options, this.#host, agents));
    this.#connected = { client, agents };
    return this.#connected;
  }

  #bounds(subject: Subject, limitMs: number) {
    const late = () =>
      new ProviderError('transient', `AWS gave no whole answer about ${subject.secret} within ${limitMs / 1000} s`, {
        remedy: 'check the network, the proxy and whether the login (SSO, credential_process) is stuck',
      });
    return { clock: this.#host.clock, limitMs, late };
  }
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
