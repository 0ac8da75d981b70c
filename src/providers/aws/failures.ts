import { isThrottlingError } from '@smithy/core/retry';
import { type FailureKind, ProviderError } from '../../errors.ts';
import { certificateFailure, isCertificateFailure, networkCode, networkFailure, ROUTE } from '../network.ts';
import type { AwsAnswer } from './answer.ts';
import type { AwsOptions } from './options.ts';
import type { AwsAgents } from './provider.ts';
import { serviceFailure } from './service-failures.ts';

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
  return new ProviderError('misconfigured', `the answer about ${secret} is over 1 MiB long, and so none of AWS's`, {
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
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function broken(service: string, status: number, { retryAfterMs }: AwsAnswer): ProviderError {
  return new ProviderError('transient', `${service} is out of order (status ${status})`, {
    remedy: 'wait, and see https://health.aws.amazon.com if this stays',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

interface Row {
  readonly when: RegExp;
  readonly kind: FailureKind;
  message(subject: Subject): string;
  remedy(subject: Subject): string;
}

const who = ({ options }: Subject) =>
  options.profile === undefined ? 'the AWS login' : `profile "${options.profile}"`;
const flag = ({ options }: Subject) => (options.profile === undefined ? '' : ` --profile ${options.profile}`);
const check = (subject: Subject) => `run: aws sts get-caller-identity${flag(subject)}`;

/**
 * How logging in fails: by the SDK's own words if one of its credential providers gave up, else by the error's name,
 * since the words of a service may hold anything (the ARN of an SSO role, say). The first row that fits. A login that is missing
 * counts as expired, because a person mends both in the same way and the key at hand is good meanwhile; on a machine in the
 * cloud it is moreover what an instance role looks like while the metadata service is away.
 */
const ROWS: readonly Row[] = [
  {
    when: /ECONN|ENOTFOUND|EAI_AGAIN|TimeoutError|ETIMEDOUT|IDPCommunication|socket hang up/,
    kind: 'transient',
    message: (subject) => `${who(subject)} could not log in: the login service cannot be reached`,
    remedy: () => ROUTE,
  },
  {
    when: /ForbiddenException/,
    kind: 'denied',
    message: (subject) => `SSO refuses ${who(subject)} the role that its profile names`,
    remedy: () => 'ask whoever runs IAM Identity Center to assign you this account and permission set',
  },
  {
    when: /aws login/i,
    kind: 'login-expired',
    message: (subject) => `the console session of ${who(subject)} is over`,
    remedy: (subject) => `run: aws login${flag(subject)}`,
  },
  {
    when: /sso|token is expired|UnauthorizedException/i,
    kind: 'login-expired',
    message: (subject) => `the SSO session of ${who(subject)} is over`,
    remedy: (subject) => `run: aws sso login${flag(subject)}`,
  },
  {
    when: /multi-factor/i,
    kind: 'misconfigured',
    message: (subject) => `${who(subject)} asks for a one-time code, which a daemon cannot type`,
    remedy: () => 'use a profile with SSO (aws configure sso), or a credential_process that asks for the code',
  },
  {
    when: /Could not resolve credentials using profile|Profile .* (was not found|could not be found)/,
    kind: 'misconfigured',
    message: (subject) => `${who(subject)} is not in the AWS configuration, or holds no login`,
    remedy: ({ provider }) => `run: aws configure list-profiles, and correct profile in [providers.${provider}]`,
  },
  {
    when: /cycle attempting|Incomplete|Invalid configuration|missing required property|credential_source/i,
    kind: 'misconfigured',
    message: (subject) => `${who(subject)} is not complete in the AWS configuration`,
    remedy: check,
  },
  {
    when: /Could not load credentials from any providers/,
    kind: 'login-expired',
    message: ({ provider }) =>
      `provider "${provider}" found no AWS login: no variables, no default profile, no role of the machine`,
    remedy: ({ provider }) => `set profile in [providers.${provider}], or run: aws configure sso`,
  },
  {
    when: /AccessDenied/,
    kind: 'denied',
    message: ({ options }) => `AWS refuses to let this login assume ${options.role_arn ?? 'its role'}`,
    remedy: ({ options }) =>
      `let the role's trust policy name this login${options.external_id === undefined ? ' (and set external_id if it asks for one)' : ' and this external_id'}; ` +
      'the login itself needs sts:AssumeRole',
  },
  {
    when: /ExpiredToken|InvalidIdentityToken|IDPRejectedClaim/,
    kind: 'login-expired',
    message: (subject) => `the token that ${who(subject)} logs in with has expired or is not accepted`,
    remedy: (subject) => `log in again (aws sso login${flag(subject)}, or whatever writes your credentials)`,
  },
  {
    when: /InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidSignature|AuthFailure/,
    kind: 'login-expired',
    message: (subject) => `AWS does not accept the access key of ${who(subject)}`,
    remedy: (subject) => `log in again, or replace the access key; then ${check(subject)}`,
  },
  {
    when: /RegionDisabled/,
    kind: 'misconfigured',
    message: () => 'the region is not enabled in this AWS account',
    remedy: ({ provider }) => `correct region in [providers.${provider}], or enable the region`,
  },
];

/** An error before the service itself was asked: credential providers, SSO, STS. */
export function loginFailure({ name, message }: AwsError, subject: Subject): ProviderError {
  const text = /ProviderError$/.test(name) ? message : name;
  const row = ROWS.find(({ when }) => when.test(text));
  if (row !== undefined) return new ProviderError(row.kind, row.message(subject), { remedy: row.remedy(subject) });
  return new ProviderError('login-expired', `${who(subject)} could not log in to AWS (${safeName(name)})`, {
    remedy: check(subject),
  });
}

/** An SDK error's name is a word; anything else could be foreign text. */
export function safeName(name: string): string {
  return /^[A-Za-z][A-Za-z0-9.]{0,60}$/.test(name) ? name : 'unknown error';
}

/** What a call was about, for messages. */
export interface Subject {
  readonly provider: string;
  /** As in `the secret "prod/litellm"`. */
  readonly secret: string;
  readonly options: AwsOptions;
}

/** An error of the SDK as far as it can be told from outside; any part may be missing. */
export interface AwsError {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
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
    owner: 'whoever runs what answers there',
  };
  return certificateFailure(code, contacted, presented);
}
