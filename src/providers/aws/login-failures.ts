import { type FailureKind, ProviderError } from '../../errors.ts';
import { ROUTE } from '../network-failures.ts';
import type { AwsError, Subject } from './aws-error.ts';

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
