import { type FailureKind, ProviderError } from '../../errors.ts';
import { type AwsError, loginFailure, type Subject, safeName } from './failures.ts';

interface Row {
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
const ROWS: readonly Row[] = [
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
    remedy: () => 'whoever owns the KMS key has to enable it, or to encrypt the secret with another one',
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

const LOGIN =
  /ExpiredToken|UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|InvalidSignature|SignatureDoesNotMatch|MissingAuthentication|IncompleteSignature|AuthFailure/;

/** What the service itself answered. */
export function serviceFailure(error: AwsError, subject: Subject): ProviderError {
  const row = ROWS.find((each) => each.name.test(error.name) && (each.message?.test(error.message) ?? true));
  if (row !== undefined) {
    return new ProviderError(row.kind, row.what(subject, error.message), {
      remedy: row.remedy(subject, error.message),
    });
  }
  if (LOGIN.test(error.name)) return loginFailure(error, subject);
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
