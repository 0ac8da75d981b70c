import { expect, test } from 'vitest';
import type { FailureConcern } from '../../../../src/errors.ts';
import { type AwsAnswer, NOTHING_ASKED } from '../../../../src/providers/aws/answer.ts';
import { awsFailure } from '../../../../src/providers/aws/failures.ts';

const subject = { provider: 'aws', id: 'prod/key', secret: 'the secret "prod/key"', options: { profile: 'dev' } };

/** What the SDK throws. */
function thrown(name: string, status: number | undefined, message = ''): Error {
  const error = Object.assign(new Error(message), { name });
  return status === undefined ? error : Object.assign(error, { $metadata: { httpStatusCode: status } });
}

const read: AwsAnswer = { ...NOTHING_ASKED, asked: true, status: 400 };
const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });

test.each<readonly [string, unknown, AwsAnswer, FailureConcern]>([
  ['a secret that is not there', thrown('ResourceNotFoundException', 400), read, 'secret'],
  ['a denial', thrown('AccessDeniedException', 400), read, 'secret'],
  ['a throttled read', thrown('ThrottlingException', 400), read, 'secret'],
  ['an error inside the service', thrown('InternalServiceError', 500), read, 'secret'],
  ['a service that is away', thrown('ServiceUnavailable', 503), read, 'address'],
  ["a gateway's word", thrown('Unknown', 403, 'Forbidden'), read, 'address'],
  ["a proxy's page", thrown('SyntaxError', 403), { ...read, isJson: false }, 'address'],
  ['nobody who listens', refused, read, 'address'],
  ['no answer', thrown('TimeoutError', undefined), read, 'address'],
  ['an access key that is gone', thrown('UnrecognizedClientException', 400), read, 'login'],
  [
    'an SSO session that is over',
    thrown('CredentialsProviderError', undefined, 'aws sso login'),
    NOTHING_ASKED,
    'login',
  ],
  ['a throttled login', thrown('Throttling', 400), NOTHING_ASKED, 'login'],
  ['STS that is away', thrown('ServiceUnavailable', 503), NOTHING_ASKED, 'login'],
])('%s concerns the right one, and is told to nobody else by name', (_, error, answer, concerns) => {
  const failure = awsFailure(error, subject, answer);
  expect(failure.concerns).toBe(concerns);
  if (concerns !== 'secret') expect(failure.message).not.toContain('prod/key');
});
