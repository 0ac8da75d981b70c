import { type FailureKind, ProviderError } from '../../errors.ts';
import { firstLine } from '../../platform/text.ts';
import { ROUTE } from '../network.ts';
import type { AwsOptions } from './options.ts';

/** What a call was about, for messages. */
export interface Subject {
  readonly provider: string;
  /** As in `the secret "prod/litellm"`. */
  readonly secret: string;
  /** Its name or ARN, as configured. */
  readonly id: string;
  readonly options: AwsOptions;
}

/** An error of the SDK as far as it can be told from outside; any part may be missing. */
export interface AwsError {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}

interface ServiceRow {
  readonly name: RegExp;
  /** In the service's own message, where the name says too little. */
  readonly message?: RegExp;
  readonly kind: FailureKind;
  what(subject: Subject, message: string): string;
  remedy(subject: Subject, message: string): string;
}

const place = ({ options, provider }: Subject) =>
  `region${options.region === undefined ? '' : ` (${options.region})`}, account and name in [providers.${provider}] and the credential`;

const WRONG_CLOCK = {
  kind: 'transient',
  what: () => 'AWS finds that the clock of this machine is wrong',
  remedy: () => 'set the clock (timedatectl set-ntp true)',
} as const;

/** The API references of Secrets Manager and SSM, "Errors" and "Common Errors"; the first row that fits. */
const SERVICE_ROWS: readonly ServiceRow[] = [
  {
    name: /^AccessDenied|^KMSAccessDenied|^NotAuthorized/,
    message: /kms/i,
    kind: 'denied',
    what: ({ secret }) => `AWS refuses to decrypt ${secret}`,
    remedy: (_, message) => `allow ${identityIn(message)} kms:Decrypt on the key that encrypts it`,
  },
  {
    name: /^AccessDenied|^NotAuthorized|^OptInRequired/,
    kind: 'denied',
    what: ({ secret }, message) => `AWS refuses ${identityIn(message)} to read ${secret}`,
    remedy: (_, message) => `allow it ${actionIn(message)} in its policy (and in the secret's own, across accounts)`,
  },
  {
    // The label of every value there is: only a secret without one lacks it.
    name: /^ResourceNotFound/,
    message: /staging label: AWSCURRENT\b/,
    kind: 'misconfigured',
    what: ({ secret }) => `${secret} has no value yet`,
    remedy: () => 'store a value in it with: aws secretsmanager put-secret-value',
  },
  {
    name: /^ResourceNotFound|^ParameterVersionNotFound/,
    message: /version|stag(e|ing)/i,
    kind: 'gone',
    what: ({ secret }) => `${secret} exists, but not the version that the credential names`,
    remedy: () => 'correct or remove version_id, version_stage or the :version after the name',
  },
  {
    name: /^ResourceNotFound|^ParameterNotFound/,
    kind: 'gone',
    what: ({ secret }) => `${secret} does not exist in this AWS account and region`,
    remedy: (subject) => `check ${place(subject)}`,
  },
  {
    name: /^InvalidRequest/,
    message: /deletion|deleted/i,
    kind: 'gone',
    what: ({ secret }) => `${secret} is marked for deletion`,
    remedy: () => 'run: aws secretsmanager restore-secret --secret-id NAME, or name another secret',
  },
  {
    name: /^DecryptionFailure|^InvalidKeyId|^KMS|^EncryptionFailure/,
    kind: 'misconfigured',
    what: ({ secret }) => `AWS cannot decrypt ${secret} with the KMS key it is encrypted with`,
    remedy: () => 'have the owner of the KMS key enable it, or encrypt the secret with another key',
  },
  {
    name: /^InvalidSignature|^SignatureDoesNotMatch/,
    message: /expired|not yet current/i,
    ...WRONG_CLOCK,
  },
  {
    name: /^RequestExpired|^RequestTimeTooSkewed|^RequestInTheFuture/,
    ...WRONG_CLOCK,
  },
  {
    name: /^InvalidParameter|^InvalidRequest|^Validation|^InvalidResource|^ParameterPattern/,
    kind: 'misconfigured',
    what: ({ secret }, message) => `AWS does not accept the way in which ${secret} is named${hintIn(message)}`,
    remedy: () => 'write the name or ARN as the AWS console shows it, and check version_id and version_stage',
  },
  {
    name: /^EndpointError|^UnknownOperation|^ERR_INVALID_URL|^UnknownEndpoint/,
    kind: 'misconfigured',
    what: ({ secret }) => `the service asked for ${secret} is not the one that keeps it`,
    remedy: ({ provider }) => `correct endpoint or region in [providers.${provider}]`,
  },
];

const LOGIN_NAMES =
  /ExpiredToken|UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|InvalidSignature|SignatureDoesNotMatch|MissingAuthentication|IncompleteSignature|AuthFailure/;

/** What the service itself answered. */
export function serviceFailure(error: AwsError, subject: Subject): ProviderError {
  const row = SERVICE_ROWS.find((each) => each.name.test(error.name) && (each.message?.test(error.message) ?? true));
  if (row !== undefined) {
    return new ProviderError(row.kind, row.what(subject, error.message), {
      remedy: row.remedy(subject, error.message),
    });
  }
  if (LOGIN_NAMES.test(error.name) && subject.options.role_arn !== undefined) return sessionOver(subject);
  if (LOGIN_NAMES.test(error.name)) return loginFailure(error, subject);
  return unknown(error, subject);
}

/** A refusal drops the key, so only AWS's own name for it counts; what has no known name is left to time and people. */
function unknown({ name, status }: AwsError, { secret, provider }: Subject): ProviderError {
  const said = `${safeName(name)}${status === undefined ? '' : `, status ${status}`}`;
  const kind = status !== undefined && status >= 300 && status < 500 ? 'misconfigured' : 'transient';
  return new ProviderError(kind, `reading ${secret} failed (${said})`, {
    remedy: `check endpoint, region and login in [providers.${provider}] with the aws command`,
  });
}

/** ARNs are names, not secrets; they are taken out of the message only if they look like one. */
function identityIn(message: string): string {
  return /\barn:[\w-]+:(?:iam|sts)::\d{12}:[\w+=,.@/-]{1,160}/.exec(message)?.[0] ?? 'this login';
}

function actionIn(message: string): string {
  return /\b(?:secretsmanager|ssm|kms|sts):[A-Za-z]{3,40}\b/.exec(message)?.[0] ?? 'to read the secret';
}

function hintIn(message: string): string {
  return /invalid name/i.test(message) ? ' (invalid name)' : '';
}

interface LoginRow {
  readonly when: RegExp;
  readonly kind: FailureKind;
  message(subject: Subject): string;
  remedy(subject: Subject): string;
}

const who = ({ options }: Subject) =>
  options.profile === undefined ? 'the AWS login' : `profile "${options.profile}"`;
const flag = ({ options }: Subject) => (options.profile === undefined ? '' : ` --profile ${options.profile}`);
const check = (subject: Subject) => `run: aws sts get-caller-identity${flag(subject)}`;

function notComplete(subject: Subject): string {
  return `${who(subject)} is not complete in the AWS configuration`;
}

/**
 * How logging in fails: by the SDK's own words if one of its credential providers gave up, else by the error's name,
 * since the words of a service may hold anything (the ARN of an SSO role, say). The first row that fits. A login that is missing
 * counts as expired, because a person fixes both in the same way and the present key is good meanwhile; on a machine in the
 * cloud it is also what an instance role looks like while the metadata service is away.
 */
const LOGIN_ROWS: readonly LoginRow[] = [
  {
    when: /ECONN|ENOTFOUND|EAI_AGAIN|TimeoutError|ETIMEDOUT|IDPCommunication|socket hang up/,
    kind: 'transient',
    message: (subject) => `${who(subject)} could not log in: the login service cannot be reached`,
    remedy: () => ROUTE,
  },
  {
    when: /credential_process returned expired credentials/,
    kind: 'transient',
    message: (subject) => `the credential_process of ${who(subject)} printed keys that have expired`,
    remedy: (subject) => `run it in a shell and see why it does not renew them; or ${check(subject)}`,
  },
  {
    when: /credential_process (?:returned invalid|did not return)/,
    kind: 'login-expired',
    message: (subject) => `the credential_process of ${who(subject)} did not print keys as AWS asks for them`,
    remedy: (subject) => `let it print JSON with Version 1, AccessKeyId and SecretAccessKey; then ${check(subject)}`,
  },
  {
    // A TypeError is the SDK's for a section that another names and that is not there.
    when: /invalid SSO credentials|Conflicting SSO|^TypeError$/,
    kind: 'misconfigured',
    message: notComplete,
    remedy: (subject) => `run: aws configure sso${flag(subject)}`,
  },
  {
    when: /^(?:ENOENT|EACCES|EISDIR|EPERM|ENOTDIR)$/,
    kind: 'login-expired',
    message: (subject) => `the web_identity_token_file of ${who(subject)} cannot be read`,
    remedy: (subject) => `see whether that file is there and yours to read; then ${check(subject)}`,
  },
  {
    when: /ForbiddenException/,
    kind: 'denied',
    message: (subject) => `SSO refuses ${who(subject)} the role that its profile names`,
    remedy: () => 'ask the administrator of IAM Identity Center to assign you this account and permission set',
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
    // The rest of it is the command and what it said, which may hold anything.
    when: /^Command failed/,
    kind: 'login-expired',
    message: (subject) => `the credential_process of ${who(subject)} failed`,
    remedy: check,
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
    message: notComplete,
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
  const row = LOGIN_ROWS.find(({ when }) => when.test(text));
  const concerns = 'login';
  if (row !== undefined) {
    return new ProviderError(row.kind, row.message(subject), { remedy: row.remedy(subject), concerns });
  }
  // The SDK's own words say what is wrong with a profile; those of a service may hold anything.
  const reason = /ProviderError$/.test(name) ? firstLine(message, [], 120) : safeName(name);
  return new ProviderError('login-expired', `${who(subject)} could not log in to AWS (${reason})`, {
    remedy: check(subject),
    concerns,
  });
}

/** The role was assumed a moment ago, and yet: not the login is at fault that assumed it. */
function sessionOver({ options }: Subject): ProviderError {
  return new ProviderError('login-expired', `AWS does not accept the session of ${options.role_arn}`, {
    remedy: "see in IAM whether the role's sessions were revoked, and check this machine's clock",
    concerns: 'login',
  });
}

/** An SDK error's name is a word; anything else could be foreign text. */
export function safeName(name: string): string {
  return /^[A-Za-z][A-Za-z0-9.]{0,60}$/.test(name) ? name : 'unknown error';
}
