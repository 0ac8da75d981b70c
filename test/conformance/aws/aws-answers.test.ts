import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ProviderError } from '../../../src/errors.ts';
import { awsSecretsManagerDefinition, awsSsmDefinition } from '../../../src/providers/aws/options.ts';
import { AwsJsonServer, type Behaviour, page, refuse, reply } from '../../fakes/aws-json-server.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { MemoryLoginStore } from '../../fakes/memory-login-store.ts';
import { AwsHome, PROFILE } from './aws-home.ts';

const server = new AwsJsonServer();
const home = new AwsHome();
const parts = { log: new CollectingLog(), logins: new MemoryLoginStore() };

beforeAll(async () => {
  await server.start();
  await home.create('AKIDEXAMPLE', 'wJalrXUtnFEMI');
});
afterAll(async () => {
  await server.stop();
  await home.remove();
});

async function secret(options: object = {}) {
  const create = await awsSecretsManagerDefinition.load();
  const parsed = awsSecretsManagerDefinition.providerSchema.parse({
    profile: PROFILE,
    endpoint: server.url,
    ...options,
  });
  const provider = create(parsed, home.host(parts));
  const source = awsSecretsManagerDefinition.credentialSchema.parse({ secret_id: 'prod/litellm' });
  return await provider.issue({ source, wantedLifeMs: 0 }, { signal: new AbortController().signal });
}

async function parameter() {
  const create = await awsSsmDefinition.load();
  const parsed = awsSsmDefinition.providerSchema.parse({ profile: PROFILE, endpoint: server.url });
  const source = awsSsmDefinition.credentialSchema.parse({ parameter: '/prod/litellm' });
  return await create(parsed, home.host(parts)).issue(
    { source, wantedLifeMs: 0 },
    { signal: new AbortController().signal },
  );
}

/** What a person sees: kind, exit code, sentence, and what to do. */
async function shown(work: Promise<unknown>) {
  const error = await work.then(
    () => expect.fail('it resolved'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProviderError)) throw error;
  expect(error.cause).toBeUndefined();
  return `${error.kind} ${error.exitCode}: ${error.message} → ${error.remedy}`;
}

const answer =
  (status: number, type: string, message = ''): Behaviour =>
  ({ response }) =>
    refuse(response, status, type, message);

const ARN = 'arn:aws:sts::123456789012:assumed-role/dev/me';
const DENIED = `User: ${ARN} is not authorized to perform: secretsmanager:GetSecretValue on resource: prod/litellm because no identity-based policy allows the action`;

/** From the API reference of GetSecretValue, its common errors, and what users of the SDK report. */
test.each<[string, Behaviour, string]>([
  [
    'denied',
    answer(400, 'AccessDeniedException', DENIED),
    `denied 77: AWS refuses ${ARN} to read the secret "prod/litellm" → allow it secretsmanager:GetSecretValue in its policy (and in the secret's own, across accounts)`,
  ],
  [
    'denied by KMS',
    answer(400, 'AccessDeniedException', 'Access to KMS is not allowed'),
    'denied 77: AWS refuses to decrypt the secret "prod/litellm" → allow this login kms:Decrypt on the key that encrypts it',
  ],
  [
    'denied without a type',
    answer(403, 'AccessDenied'),
    'denied 77: AWS refuses this login to read the secret "prod/litellm" → allow it to read the secret in its policy (and in the secret\'s own, across accounts)',
  ],
  [
    'gone',
    answer(400, 'ResourceNotFoundException', "Secrets Manager can't find the specified secret."),
    'gone 77: the secret "prod/litellm" does not exist in this AWS account and region → check region, account and name in [providers.under-test] and the credential',
  ],
  [
    'no such label',
    answer(
      400,
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
    ),
    'gone 77: the secret "prod/litellm" exists, but not the version that the credential names → correct or remove version_id, version_stage or the :version after the name',
  ],
  [
    'no such version',
    answer(
      400,
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret value for VersionId: 5e8b",
    ),
    'gone 77: the secret "prod/litellm" exists, but not the version that the credential names → correct or remove version_id, version_stage or the :version after the name',
  ],
  [
    'marked for deletion',
    answer(
      400,
      'InvalidRequestException',
      "You can't perform this operation on the secret because it was marked for deletion.",
    ),
    'gone 77: the secret "prod/litellm" is marked for deletion → run: aws secretsmanager restore-secret --secret-id NAME, or name another secret',
  ],
  [
    'other invalid request',
    answer(400, 'InvalidRequestException', 'You provided a parameter value that is not valid for the current state'),
    'misconfigured 78: AWS does not accept the way in which the secret "prod/litellm" is named → write the name or ARN as the AWS console shows it, and check version_id and version_stage',
  ],
  [
    'invalid name',
    answer(400, 'ValidationException', 'Invalid name. Must be a valid name containing alphanumeric characters'),
    'misconfigured 78: AWS does not accept the way in which the secret "prod/litellm" is named (invalid name) → write the name or ARN as the AWS console shows it, and check version_id and version_stage',
  ],
  [
    'invalid parameter',
    answer(400, 'InvalidParameterException', 'x'),
    'misconfigured 78: AWS does not accept the way in which the secret "prod/litellm" is named → write the name or ARN as the AWS console shows it, and check version_id and version_stage',
  ],
  [
    'decryption',
    answer(400, 'DecryptionFailure', 'x'),
    'misconfigured 78: AWS cannot decrypt the secret "prod/litellm" with the KMS key it is encrypted with → whoever owns the KMS key has to enable it, or to encrypt the secret with another one',
  ],
  [
    'internal error',
    answer(500, 'InternalServiceError', 'x'),
    'transient 69: AWS is out of order (status 500) → wait, and see https://health.aws.amazon.com if this stays',
  ],
  [
    'unavailable',
    answer(503, 'ServiceUnavailable', 'x'),
    'transient 69: AWS is out of order (status 503) → wait, and see https://health.aws.amazon.com if this stays',
  ],
  [
    'throttled',
    answer(400, 'ThrottlingException', 'Rate exceeded'),
    'transient 69: AWS was asked too often and did not answer about the secret "prod/litellm" → wait; if this stays, raise ttl, or ask for a higher quota of the account',
  ],
  [
    'too many requests',
    answer(429, 'TooManyRequestsException'),
    'transient 69: AWS was asked too often and did not answer about the secret "prod/litellm" → wait; if this stays, raise ttl, or ask for a higher quota of the account',
  ],
  [
    'expired token',
    answer(400, 'ExpiredTokenException', 'The security token included in the request is expired'),
    'login-expired 77: the token that profile "conformance" logs in with has expired or is not accepted → log in again (aws sso login --profile conformance, or whatever writes your credentials)',
  ],
  [
    'unknown access key',
    answer(400, 'UnrecognizedClientException', 'The security token included in the request is invalid.'),
    'login-expired 77: AWS does not accept the access key of profile "conformance" → log in again, or replace the access key; then run: aws sts get-caller-identity --profile conformance',
  ],
  [
    'wrong secret access key',
    answer(
      400,
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided.',
    ),
    'login-expired 77: AWS does not accept the access key of profile "conformance" → log in again, or replace the access key; then run: aws sts get-caller-identity --profile conformance',
  ],
  [
    'wrong clock',
    answer(
      400,
      'InvalidSignatureException',
      'Signature expired: 20261122T000000Z is now earlier than 20261122T010000Z',
    ),
    'transient 69: AWS finds that the clock of this machine is wrong → set the clock (timedatectl set-ntp true)',
  ],
  [
    'another service',
    answer(400, 'UnknownOperationException'),
    'misconfigured 78: the service asked for the secret "prod/litellm" is not the one that keeps it → correct endpoint or region in [providers.under-test]',
  ],
  [
    'unheard-of error',
    answer(418, 'TeapotException', 'short and stout'),
    'misconfigured 78: reading the secret "prod/litellm" failed (TeapotException, status 418) → check endpoint, region and login in [providers.under-test] with the aws command',
  ],
  [
    'page behind a 502',
    ({ response }) => page(response, 502, '<html>Bad Gateway</html>'),
    'transient 69: something that is not AWS answered about the secret "prod/litellm" (status 502) → check the proxy, the network or endpoint: it sent a page of its own',
  ],
  [
    "a proxy's 403",
    ({ response }) => page(response, 403, '<html>Blocked</html>'),
    'transient 69: something that is not AWS answered about the secret "prod/litellm" (status 403) → check the proxy, the network or endpoint: it sent a page of its own',
  ],
  [
    'login page of a hotel',
    ({ response }) => page(response, 200, '<html>Welcome</html>'),
    'transient 69: something that is not AWS answered about the secret "prod/litellm" (status 200) → check the proxy, the network or endpoint: it sent a page of its own',
  ],
  [
    'reset',
    ({ response }) => void response.socket?.resetAndDestroy(),
    'transient 69: AWS cannot be reached: the connection was reset (ECONNRESET) → check the network, the VPN, and HTTPS_PROXY and NO_PROXY as the daemon has them',
  ],
  [
    'no value yet',
    ({ response }) => reply(response, 200, { Name: 'prod/litellm' }),
    'misconfigured 78: the secret "prod/litellm" has no value yet → store a value in it with: aws secretsmanager put-secret-value',
  ],
])('secret: %s', async (_, behaviour, expected) => {
  server.behaviour = behaviour;
  expect(await shown(secret())).toBe(expected);
  server.behaviour = undefined;
});

test.each<[string, Behaviour, string]>([
  [
    'gone',
    answer(400, 'ParameterNotFound'),
    'gone 77: the parameter "/prod/litellm" does not exist in this AWS account and region → check region, account and name in [providers.under-test] and the credential',
  ],
  [
    'no such version',
    answer(400, 'ParameterVersionNotFound', 'Systems Manager could not find version 7'),
    'gone 77: the parameter "/prod/litellm" exists, but not the version that the credential names → correct or remove version_id, version_stage or the :version after the name',
  ],
  [
    'key',
    answer(400, 'InvalidKeyId', 'x'),
    'misconfigured 78: AWS cannot decrypt the parameter "/prod/litellm" with the KMS key it is encrypted with → whoever owns the KMS key has to enable it, or to encrypt the secret with another one',
  ],
  [
    'no value',
    ({ response }) => reply(response, 200, {}),
    'misconfigured 78: the parameter "/prod/litellm" has no value → store one with: aws ssm put-parameter --type SecureString --overwrite',
  ],
])('parameter: %s', async (_, behaviour, expected) => {
  server.behaviour = behaviour;
  expect(await shown(parameter())).toBe(expected);
  server.behaviour = undefined;
});

test('a name that DNS does not know', async () => {
  expect(await shown(secret({ endpoint: 'http://secrets.invalid' }))).toMatch(
    /^transient 69: AWS cannot be reached: (its name does not exist in DNS \(ENOTFOUND\)|DNS does not answer \(EAI_AGAIN\)) → /,
  );
});

test('TLS spoken to something that speaks none', async () => {
  const plain = createServer((socket) => socket.on('error', () => {}).end('hello\r\n\r\n')).listen(0, '127.0.0.1');
  await new Promise((resolve) => plain.once('listening', resolve));
  const { port } = plain.address() as { port: number };
  const text = await shown(secret({ endpoint: `https://127.0.0.1:${port}` }));
  plain.close();
  expect(text).toBe(
    'transient 69: AWS cannot be reached: it does not speak TLS as expected (EPROTO) → ' +
      'correct the address in the configuration: scheme (http or https), host and port',
  );
});

test('a ca_file that is not there, or is none', async () => {
  expect(await shown(secret({ ca_file: '/no/such.pem' }))).toBe(
    'misconfigured 78: the ca_file /no/such.pem of provider "under-test" cannot be read (ENOENT) → ' +
      'correct ca_file in [providers.under-test], or make the file readable for you',
  );
  expect(await shown(secret({ ca_file: '/etc/hostname' }))).toMatch(
    /^misconfigured 78: .* holds no PEM certificate → convert/,
  );
});
