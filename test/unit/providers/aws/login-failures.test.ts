import { expect, test } from 'vitest';
import { loginFailure } from '../../../../src/providers/aws/failure-tables.ts';

const subject = { provider: 'aws-dev', secret: 'the secret "x"', id: 'x', options: { profile: 'dev' } };
const CHAIN = 'CredentialsProviderError';

/** The SDK's own words, as its credential providers write them. */
test.each([
  [
    CHAIN,
    'The SSO session associated with this profile has expired. To refresh this SSO session run aws sso login with the corresponding profile.',
    'login-expired',
    'run: aws sso login --profile dev',
  ],
  [
    'TokenProviderError',
    "Token is expired. To refresh this SSO session run 'aws sso login' with the corresponding profile.",
    'login-expired',
    'run: aws sso login --profile dev',
  ],
  [
    CHAIN,
    'UnauthorizedException: Session token not found or invalid',
    'login-expired',
    'run: aws sso login --profile dev',
  ],
  [
    CHAIN,
    'ForbiddenException: No access',
    'denied',
    'ask the administrator of IAM Identity Center to assign you this account and permission set',
  ],
  [
    CHAIN,
    'Error: getaddrinfo ENOTFOUND portal.sso.eu-west-1.amazonaws.com',
    'transient',
    'check the network, the VPN, and HTTPS_PROXY and NO_PROXY as the daemon has them',
  ],
  [
    CHAIN,
    'Failed to load a token for session arn, please re-authenticate using aws login',
    'login-expired',
    'run: aws login --profile dev',
  ],
  [
    'AccessDenied',
    'User: arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Dev/me is not authorized to perform: sts:AssumeRole',
    'denied',
    "let the role's trust policy name this login (and set external_id if it asks for one); the login itself needs sts:AssumeRole",
  ],
  [
    'IDPCommunicationError',
    '',
    'transient',
    'check the network, the VPN, and HTTPS_PROXY and NO_PROXY as the daemon has them',
  ],
  [
    'InvalidIdentityToken',
    'No OpenIDConnect provider found in your account',
    'login-expired',
    'log in again (aws sso login --profile dev, or whatever writes your credentials)',
  ],
  [
    'InvalidClientTokenId',
    '',
    'login-expired',
    'log in again, or replace the access key; then run: aws sts get-caller-identity --profile dev',
  ],
  [
    CHAIN,
    'Profile dev credential_process returned expired credentials.',
    'transient',
    'run it in a shell and see why it does not renew them; or run: aws sts get-caller-identity --profile dev',
  ],
  [
    CHAIN,
    'Profile dev credential_process returned invalid JSON.',
    'login-expired',
    'let it print JSON with Version 1, AccessKeyId and SecretAccessKey; then run: aws sts get-caller-identity --profile dev',
  ],
  [
    CHAIN,
    'Command failed: /opt/keys --pin sk-secret\nsk-secret',
    'login-expired',
    'run: aws sts get-caller-identity --profile dev',
  ],
  ['Er ror: sk-secret', '', 'login-expired', 'run: aws sts get-caller-identity --profile dev'],
])('%s: %s', (name, message, kind, remedy) => {
  const failure = loginFailure({ name, message, status: undefined }, subject);
  expect({ kind: failure.kind, remedy: failure.remedy }).toEqual({ kind, remedy });
  expect(failure.message).not.toContain('sk-secret');
  expect(failure.concerns).toBe('login');
});

test("what the SDK says of a profile is told, where its error's name says nothing", () => {
  const said = 'Unsupported thing in profile dev. Got x; token eyJhbGciOiJIUzI1NiJ9.secret';
  expect(loginFailure({ name: CHAIN, message: said, status: undefined }, subject).message).toBe(
    'profile "dev" could not log in to AWS (Unsupported thing in profile dev. Got x; token [redacted])',
  );
});
