import { ProviderError } from '../../errors.ts';
import type { TimeLimit } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import type { Call, IssuedSecret, Provider, ProviderHost, SecretContent } from '../provider.ts';
import type { AwsAnswer } from './answer.ts';
import { AwsAgents, type AwsClientConfig, awsClientConfig } from './connection.ts';
import type { Subject } from './failure-tables.ts';
import { awsFailure, untrusted } from './failures.ts';
import { awsLoginInputs } from './login-inputs.ts';
import type { AwsOptions } from './options.ts';

/** Login and read together. */
const CALL_LIMIT_MS = 30_000;

/** The provider of one AWS service: whatever its `issue` reads, logins, forgetting and closing are alike. */
export function awsProvider<Client extends { destroy(): void }>(
  options: AwsOptions,
  host: ProviderHost,
  build: (config: AwsClientConfig) => Client,
  issueWith: (aws: AwsCaller<Client>) => Provider['issue'],
): Provider {
  const aws = new AwsCaller(options, host, build);
  return {
    callLimitMs: CALL_LIMIT_MS,
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
  { serverTimeMs }: AwsAnswer,
  ttlHintMs?: number,
): IssuedSecret {
  return { content, version, lease: undefined, ttlHintMs, expiresAtServerMs: undefined, serverTimeMs };
}

interface Connected<Client> {
  readonly client: Client;
  readonly agents: AwsAgents;
}

/** One lazily built SDK client of one service, and every way in which a call of it can end. */
export class AwsCaller<Client extends { destroy(): void }> {
  readonly #options: AwsOptions;
  readonly #host: ProviderHost;
  readonly #build: (config: AwsClientConfig) => Client;
  readonly #calls: CallScope;
  #connected: Connected<Client> | undefined;

  constructor(options: AwsOptions, host: ProviderHost, build: (config: AwsClientConfig) => Client) {
    this.#options = options;
    this.#host = host;
    this.#build = build;
    this.#calls = new CallScope(host.name);
  }

  /**
   * Sends one command, whose HTTP answer `watchAnswer` notes in `answer`.
   *
   * @param limitMs For login and command together. Default: the limit of a call.
   * @throws ProviderError, never the SDK's own errors: those hold the request and its answer.
   */
  async send<Result>(
    call: Call,
    about: Pick<Subject, 'secret'>,
    answer: AwsAnswer,
    send: (client: Client, options: { abortSignal: AbortSignal }) => Promise<Result>,
    limitMs = CALL_LIMIT_MS,
  ): Promise<Result> {
    const subject = { ...about, provider: this.#host.name, options: this.#options };
    return await this.#calls.run(call, this.#limit(subject, limitMs), async (abortSignal) => {
      let connected: Connected<Client> | undefined;
      try {
        connected = this.#connect();
        return await send(connected.client, { abortSignal });
      } catch (error) {
        const failure =
          (await untrusted(error, subject, answer, connected?.agents, abortSignal)) ??
          awsFailure(error, subject, answer);
        // The SDK never drops keys without an expiry: the next call has to look for new ones.
        if (failure.kind === 'login-expired') this.forget();
        throw failure;
      } finally {
        answer.body?.fill(0);
      }
    });
  }

  /** The next call builds a client, reads the shared files and logs in again; calls under way are left alone. */
  forget(): void {
    this.#connected = undefined;
  }

  close(): void {
    this.#calls.close();
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

  #limit(subject: Subject, limitMs: number): TimeLimit {
    const late = () =>
      new ProviderError('transient', `AWS gave no whole answer about ${subject.secret} within ${limitMs / 1000} s`, {
        remedy: 'check the network, the proxy and whether the login (SSO, credential_process) is stuck',
      });
    return { clock: this.#host.clock, limitMs, late };
  }
}
