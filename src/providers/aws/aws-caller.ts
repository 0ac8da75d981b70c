import { ProviderError } from '../../errors.ts';
import type { ProviderHost } from '../definition.ts';
import type { Call } from '../provider.ts';
import { Underway } from '../underway.ts';
import { AwsAgents } from './agents.ts';
import type { Answer } from './answer.ts';
import type { Subject } from './aws-error.ts';
import { type AwsClientConfig, awsClientConfig } from './connection.ts';
import { awsFailure } from './failures.ts';
import type { AwsOptions } from './options.ts';
import { untrusted } from './untrusted.ts';

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
