import { isThrottlingError } from '@smithy/core/retry';
import { ProviderError } from '../../errors.ts';
import { certificateFailure, isCertificateFailure, networkCode, networkFailure, ROUTE } from '../network.ts';
import type { AwsAnswer } from './answer.ts';
import type { AwsAgents } from './connection.ts';
import { type AwsError, loginFailure, type Subject, serviceFailure } from './failure-tables.ts';

/**
 * Sorts what the SDK threw: by what HTTP said, then by the system's code, then by the error's name. Nothing of the
 * SDK's error is kept but names and ARNs that were recognised as such.
 */
export function awsFailure(thrown: unknown, subject: Subject, answer: AwsAnswer): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  const error = asAwsError(thrown);
  if (answer.tooLong) return tooLong(subject);
  if (answer.asked && !answer.isJson) return notAws(subject, answer);
  const service = answer.asked ? 'AWS' : "AWS's login service";
  if (error.status === undefined || error.status < 400) {
    const failure = networkFailure(thrown, service) ?? timeoutFailure(error, service);
    if (failure !== undefined) return failure;
  }
  if (isThrottlingError(thrown as Parameters<typeof isThrottlingError>[0])) return throttled(subject, answer);
  const status = error.status ?? answer.status ?? 0;
  if (status >= 500) return broken(service, status, answer);
  return answer.asked ? serviceFailure(error, subject) : loginFailure(error, subject);
}

function asAwsError(thrown: unknown): AwsError {
  if (!(thrown instanceof Error)) return { name: 'unknown', message: '', status: undefined };
  const metadata = '$metadata' in thrown ? (thrown.$metadata as { httpStatusCode?: number }) : {};
  return { name: thrown.name, message: String(thrown.message), status: metadata.httpStatusCode };
}

function timeoutFailure(error: AwsError, service: string): ProviderError | undefined {
  if (error.name !== 'TimeoutError') return undefined;
  return new ProviderError('transient', `${service} did not answer in time`, {
    remedy: ROUTE,
  });
}

function tooLong({ secret, provider }: Subject): ProviderError {
  return new ProviderError('misconfigured', `the answer about ${secret} is over 1 MiB long, so it is not from AWS`, {
    remedy: `correct endpoint in [providers.${provider}]`,
  });
}

/** Pages never judge a key, whatever their status: a proxy's 403 says nothing about the permission at AWS. */
function notAws({ secret, options }: Subject, { status, retryAfterMs }: AwsAnswer): ProviderError {
  const at = options.endpoint === undefined ? 'the proxy or the network' : 'the proxy, the network or endpoint';
  return new ProviderError('transient', `something that is not AWS answered about ${secret} (status ${status})`, {
    remedy: `check ${at}: it sent a page of its own`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function throttled({ secret }: Subject, { retryAfterMs }: AwsAnswer): ProviderError {
  return new ProviderError('transient', `AWS was asked too often and did not answer about ${secret}`, {
    remedy: 'wait; if this stays, raise ttl, or ask for a higher quota of the account',
    isOverloaded: true,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function broken(service: string, status: number, { retryAfterMs }: AwsAnswer): ProviderError {
  return new ProviderError('transient', `${service} is out of order (status ${status})`, {
    remedy: 'wait, and see https://health.aws.amazon.com if this stays',
    isOverloaded: true,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The failure for a certificate that is not trusted, saying which one it was; undefined for any other error. */
export async function untrusted(
  thrown: unknown,
  { provider }: Subject,
  { asked }: AwsAnswer,
  agents: AwsAgents | undefined,
  signal: AbortSignal,
): Promise<ProviderError | undefined> {
  const code = networkCode(thrown);
  if (agents === undefined || code === undefined || !isCertificateFailure(code)) return undefined;
  const { origin, presented } = await agents.inspect(signal);
  const contacted = {
    who: `${asked ? 'AWS' : "AWS's login service"} at ${origin}`,
    authorityRemedy: `name the authority's PEM file as ca_file in [providers.${provider}]; in a public network, sign in to it first`,
    nameRemedy: `correct endpoint in [providers.${provider}]; else something between here and AWS is answering`,
    owner: 'the operator of that server',
  };
  return certificateFailure(code, contacted, presented);
}
