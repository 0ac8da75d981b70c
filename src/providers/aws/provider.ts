import { ProviderError } from '../../errors.ts';
import type { TimeLimit } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import { ROUTE } from '../network.ts';
import type { Call, IssuedSecret, Provider, ProviderHost, SecretContent } from '../provider.ts';
import { type AwsAnswer, NOTHING_ASKED, type Watch, watchAnswer } from './answer.ts';
import { AwsAgents, type AwsClientConfig, awsClientConfig, regionOf } from './connection.ts';
import type { Subject } from './failure-tables.ts';
import { awsFailure, notAws, untrusted } from './failures.ts';
import { awsLoginInputs, requireTrustedLogin } from './login-inputs.ts';
import { type AwsOptions, regionClash, regionOfArn } from './options.ts';

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

/** Makes one command, has its answer watched, and sends it. */
type Ask<Client, Output> = (client: Client, sending: { abortSignal: AbortSignal }, watch: Watch) => Promise<Output>;

interface Answered<Output> {
  readonly output: Output;
  readonly answer: AwsAnswer;
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
   * Sends one command that reads. A session that AWS ended before its time (revoked, say) is made again at once, from the login that
   * it was made from: only if that does not help a person has to do something.
   *
   * @param limitMs For login and command together. Default: the limit of a call.
   * @throws ProviderError, never the SDK's own errors: those hold the request and its answer.
   */
  async send<Result>(
    call: Call,
    about: Pick<Subject, 'secret' | 'id'>,
    ask: Ask<Client, Result>,
    limitMs = CALL_LIMIT_MS,
  ): Promise<Answered<Result>> {
    const subject = { ...about, provider: this.#host.name, options: this.#options };
    const asking = { answer: { ...NOTHING_ASKED } };
    return await this.#calls.run(call, this.#limit(asking, limitMs), async (signal) => {
      const hadLogin = this.#connected !== undefined;
      try {
        return await this.#send(subject, ask, asking, signal);
      } catch (error) {
        const isOver = error instanceof ProviderError && error.kind === 'login-expired';
        if (!isOver || !asking.answer.asked || !hadLogin) throw error;
        return await this.#send(subject, ask, asking, signal);
      }
    });
  }

  async #send<Result>(
    subject: Subject,
    ask: Ask<Client, Result>,
    asking: { answer: AwsAnswer },
    signal: AbortSignal,
  ): Promise<Answered<Result>> {
    asking.answer = { ...NOTHING_ASKED };
    let connected: Connected<Client> | undefined;
    try {
      await this.#checkRegion(subject);
      connected = this.#connect();
      const watch: Watch = (stack) => {
        asking.answer = watchAnswer(stack, this.#host.clock, signal);
        return asking.answer;
      };
      const output = await ask(connected.client, { abortSignal: signal }, watch);
      return { output, answer: asking.answer };
    } catch (error) {
      const { answer } = asking;
      const failure =
        (await untrusted(error, subject, answer, connected?.agents, signal)) ??
        awsFailure(error, subject, answer, connected?.agents.proxy);
      // The SDK never drops keys without an expiry: the next call has to look for new ones.
      if (failure.kind === 'login-expired') this.forget();
      throw failure;
    } finally {
      asking.answer.body?.fill(0);
    }
  }

  /** A service knows the secrets of its own region only; whatever it says of another's would lead astray. */
  async #checkRegion({ id, provider }: Subject): Promise<void> {
    if (regionOfArn(id) === undefined) return;
    const clash = regionClash(id, await regionOf(this.#options, this.#host)(), provider);
    if (clash !== undefined) throw new ProviderError('misconfigured', clash.message, { remedy: clash.remedy });
  }

  /** For a success without anything in it, which AWS does not give. */
  notAws(answer: AwsAnswer): ProviderError {
    return notAws({ options: this.#options }, answer.status, answer);
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
    requireTrustedLogin(this.#host);
    const agents = new AwsAgents(this.#options, this.#host);
    const client = this.#build(awsClientConfig(this.#options, this.#host, agents));
    this.#connected = { client, agents };
    return this.#connected;
  }

  #limit(asking: { readonly answer: AwsAnswer }, limitMs: number): TimeLimit {
    const late = () => {
      const { asked } = asking.answer;
      const who = asked ? 'AWS gave no whole answer' : 'the login to AWS did not end';
      return new ProviderError('transient', `${who} within ${limitMs / 1000} s`, {
        remedy: asked ? ROUTE : 'check the network, the proxy and whether the login (SSO, credential_process) is stuck',
        concerns: asked ? 'address' : 'login',
        waitedMs: limitMs,
      });
    };
    return { clock: this.#host.clock, limitMs, late };
  }
}
