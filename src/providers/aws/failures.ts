import { isThrottlingError } from '@smithy/core/retry';
import { codeOf, ProviderError } from '../../errors.ts';
import { certificateFailure, isCertificateFailure, networkCode, networkFailure, ROUTE } from '../network.ts';
import type { AwsAnswer } from './answer.ts';
import type { AwsAgents } from './connection.ts';
import { type AwsError, loginFailure, type Subject, serviceFailure } from './failure-tables.ts';

/**
 * Sorts what the SDK threw: by what HTTP said, then by the system's code, then by the error's name. Nothing of the
 * SDK's error is kept but names and ARNs that were recognised as such.
 */
export function awsFailure(thrown: unknown, subject: Subject, answer: AwsAnswer, proxy?: string): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  const error = asAwsError(thrown);
  if (answer.tooLong) return tooLong(subject);
  if (answer.asked ? isSomebodyElse(error, answer) : isNoLogin(error)) {
    return notAws(subject, error.status ?? answer.status, answer);
  }
  const service = answer.asked ? 'AWS' : "AWS's login service";
  if (error.status === undefined || error.status < 400) {
    const failure = networkFailure(thrown, service, { proxy }) ?? timeoutFailure(error, service);
    if (failure !== undefined) return failure;
  }
  if (isThrottlingError(thrown as Parameters<typeof isThrottlingError>[0])) return throttled(subject, answer);
  const status = error.status ?? answer.status ?? 0;
  if (status >= 500) return broken(service, status, error, answer);
  return answer.asked ? serviceFailure(error, subject) : loginFailure(error, subject);
}

function asAwsError(thrown: unknown): AwsError {
  if (!(thrown instanceof Error)) return { name: 'unknown', message: '', status: undefined };
  const metadata = '$metadata' in thrown ? (thrown.$metadata as { httpStatusCode?: number }) : {};
  // Of an error of the system, which has no name of its own, the code says more.
  const name = thrown.name === 'Error' && codeOf(thrown) !== 'unknown' ? codeOf(thrown) : thrown.name;
  return { name, message: String(thrown.message), status: metadata.httpStatusCode };
}

function timeoutFailure(error: AwsError, service: string): ProviderError | undefined {
  if (error.name !== 'TimeoutError') return undefined;
  return new ProviderError('transient', `${service} did not answer in time`, { remedy: ROUTE, concerns: 'address' });
}

function tooLong({ secret, provider }: Subject): ProviderError {
  return new ProviderError('transient', `the answer about ${secret} is over 1 MiB long, so it is not from AWS`, {
    remedy: `correct endpoint in [providers.${provider}]`,
  });
}

/** What the SDK calls an answer in which there is no error type of AWS's. */
const WITHOUT_TYPE = /^Unknown(?:Error)?$/;
/** An API gateway's word, in its own name or under that of SSO, which says more than that. */
const GATEWAY = /^ForbiddenException$/;

function isSomebodyElse({ name }: AwsError, { isJson, status = 0 }: AwsAnswer): boolean {
  return !isJson || GATEWAY.test(name) || (WITHOUT_TYPE.test(name) && status < 500);
}

/** The SDK's words for it; of what SSO answers it keeps name and message of the error as a text. */
const NO_ANSWER_OF_LOGIN =
  /Deserialization error|XML parse error|^Invalid response from STS|^SSO returns an invalid temporary credential|^Unknown(?:Error)?: |^ForbiddenException: Forbidden$/;

/** What STS and SSO never answer: nothing, JSON where XML is due, a refusal without a type. */
function isNoLogin({ name, message, status }: AwsError): boolean {
  if (NO_ANSWER_OF_LOGIN.test(message)) return true;
  if (GATEWAY.test(name) && message === 'Forbidden') return true;
  return status !== undefined && status < 500 && (WITHOUT_TYPE.test(name) || name === 'NotFound');
}

/** It never judges a key, whatever its status: a proxy's 403 says nothing about the permission at AWS. */
export function notAws(
  { options }: Pick<Subject, 'options'>,
  status: number | undefined,
  { asked, retryAfterMs }: AwsAnswer,
): ProviderError {
  const at = options.endpoint === undefined ? 'the proxy or the network' : 'the proxy, the network or endpoint';
  const what = asked ? 'AWS' : "AWS's login service";
  const shown = status === undefined ? '' : ` (status ${status})`;
  return new ProviderError('transient', `something that is not ${what} answered${shown}`, {
    remedy: `check ${at}: it sent an answer of its own`,
    concerns: asked ? 'address' : 'login',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function throttled({ secret }: Subject, { asked, retryAfterMs }: AwsAnswer): ProviderError {
  const message = asked
    ? `AWS was asked too often and did not answer about ${secret}`
    : "AWS's login service was asked too often";
  return new ProviderError('transient', message, {
    remedy: 'wait; if this stays, raise ttl, or ask for a higher quota of the account',
    isOverloaded: true,
    concerns: asked ? 'secret' : 'login',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** 500 with AWS's own type is about what was read (its KMS key, say); all else about the service. */
function broken(service: string, status: number, { name }: AwsError, { asked, retryAfterMs }: AwsAnswer) {
  const isOfSecret = status === 500 && !WITHOUT_TYPE.test(name);
  const concerns = !asked ? 'login' : isOfSecret ? 'secret' : 'address';
  return new ProviderError('transient', `${service} is out of order (status ${status})`, {
    remedy: 'wait, and see https://health.aws.amazon.com if this stays',
    isOverloaded: true,
    concerns,
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
