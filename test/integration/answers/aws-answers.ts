import { type Behaviour, page, refuse, reply } from '../../fakes/aws-json-server.ts';
import type { Answer, Verdict } from './answer.ts';

const USER = 'arn:aws:sts::123456789012:assumed-role/dev/me';

function answers(status: number, type: string, message = ''): Behaviour {
  return ({ response }) => refuse(response, status, type, message);
}

function secret(name: string, verdict: Verdict, behaviour: Behaviour, options = 'profile = "conformance"'): Answer {
  return {
    name: `Secrets Manager: ${name}`,
    verdict,
    arrange({ aws, awsAnswers }, id) {
      awsAnswers.set(`prod/${id}`, behaviour);
      return {
        provider: `type = "aws-secrets-manager"\nregion = "eu-west-1"\nendpoint = "${aws.url}"\n${options}`,
        credential: `secret_id = "prod/${id}"\nfield = "api_key"`,
      };
    },
  };
}

function parameter(name: string, verdict: Verdict, behaviour: Behaviour): Answer {
  return {
    name: `SSM: ${name}`,
    verdict,
    arrange({ aws, awsAnswers }, id) {
      awsAnswers.set(`/prod/${id}`, behaviour);
      return {
        provider: `type = "aws-ssm"\nregion = "eu-west-1"\nendpoint = "${aws.url}"\nprofile = "conformance"`,
        credential: `parameter = "/prod/${id}"`,
      };
    },
  };
}

/** What the request for a role's session meets. */
function role(name: string, behaviour: Behaviour): Answer {
  return {
    name: `Secrets Manager: ${name}`,
    verdict: 'transient',
    arrange(stage, id) {
      const arn = `arn:aws:iam::123456789012:role/${id}`;
      stage.awsAnswers.set(arn, behaviour);
      const login = `profile = "conformance"\nrole_arn = "${arn}"\nsts_endpoint = "AWS"`;
      return secret('', 'transient', behaviour, login).arrange(stage, id);
    },
  };
}

const denied = (action: string, cause: string) =>
  `User: ${USER} is not authorized to perform: ${action} on resource: x because ${cause}`;

export const awsAnswers: readonly Answer[] = [
  secret(
    'denied by policy',
    'denied',
    answers(
      400,
      'AccessDeniedException',
      denied('secretsmanager:GetSecretValue', 'no identity-based policy allows it'),
    ),
  ),
  secret('denied without a reason', 'denied', answers(403, 'AccessDenied')),
  secret('denied by KMS', 'denied', answers(400, 'AccessDeniedException', 'Access to KMS is not allowed')),
  secret(
    'does not exist',
    'gone',
    answers(400, 'ResourceNotFoundException', "Secrets Manager can't find the specified secret."),
  ),
  secret(
    'it has never had a value',
    'misconfigured',
    answers(
      400,
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    ),
  ),
  secret(
    'no such staging label',
    'gone',
    answers(
      400,
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret value for staging label: AWSPENDING",
    ),
  ),
  secret(
    'no such version',
    'gone',
    answers(
      400,
      'ResourceNotFoundException',
      "Secrets Manager can't find the specified secret value for VersionId: 5e8b",
    ),
  ),
  secret(
    'marked for deletion',
    'gone',
    answers(
      400,
      'InvalidRequestException',
      "You can't perform this operation on the secret because it was marked for deletion.",
    ),
  ),
  secret('an invalid name', 'misconfigured', answers(400, 'ValidationException', 'Invalid name. Must be a valid name')),
  secret('an invalid parameter', 'misconfigured', answers(400, 'InvalidParameterException', 'x')),
  secret(
    'another invalid request',
    'misconfigured',
    answers(400, 'InvalidRequestException', 'You provided a parameter value that is not valid for the current state'),
  ),
  secret('its KMS key is disabled', 'misconfigured', answers(400, 'DecryptionFailure', 'x')),
  secret('it has no value yet', 'misconfigured', ({ response }) => reply(response, 200, { Name: 'x' })),
  secret('text where a field is wanted', 'misconfigured', ({ response }) =>
    reply(response, 200, { SecretString: 'sk-canary' }),
  ),
  secret('a long number', 'served', ({ response }) =>
    reply(response, 200, { SecretString: '{"api_key":12345678901234567890}' }),
  ),
  secret('throttled', 'transient', answers(400, 'ThrottlingException', 'Rate exceeded')),
  secret('too many requests', 'transient', answers(429, 'TooManyRequestsException')),
  secret('an internal error', 'transient', answers(500, 'InternalServiceError', 'x')),
  secret('out of service', 'transient', answers(503, 'ServiceUnavailable', 'x')),
  secret('asked of another service', 'misconfigured', answers(400, 'UnknownOperationException')),
  secret('an error of a name that is not known', 'misconfigured', answers(418, 'TeapotException', 'short and stout')),
  secret('the sign-in page of a hotel', 'transient', ({ response }) => page(response, 200, '<html>Welcome</html>')),
  secret('200 with {}', 'transient', ({ response }) => reply(response, 200, {})),
  secret('200 without a body', 'transient', ({ response }) => void response.writeHead(200).end()),
  secret("a gateway's 403", 'transient', ({ response }) => reply(response, 403, { message: 'Forbidden' })),
  secret("a gateway's 403, in its own name", 'transient', ({ response }) =>
    reply(response, 403, { message: 'Forbidden' }, { 'x-amzn-errortype': 'ForbiddenException' }),
  ),
  secret("a gateway's 404", 'transient', ({ response }) => reply(response, 404, { error: 'no such route' })),
  role("a gateway's 403 in the place of STS", ({ response }) => reply(response, 403, { message: 'Forbidden' })),
  role('200 with {} in the place of STS', ({ response }) => reply(response, 200, {})),
  role('200 without a body in the place of STS', ({ response }) => void response.writeHead(200).end()),
  secret("a proxy's 502", 'transient', ({ response }) => page(response, 502, '<html>Bad Gateway</html>')),
  secret("a proxy's 403", 'transient', ({ response }) => page(response, 403, '<html>Blocked</html>')),
  secret('a reset', 'transient', ({ response }) => void response.socket?.resetAndDestroy()),
  secret(
    'an expired session token',
    'login-expired',
    answers(400, 'ExpiredTokenException', 'The security token included in the request is expired'),
  ),
  secret(
    'an access key that was deleted',
    'login-expired',
    answers(400, 'UnrecognizedClientException', 'The security token included in the request is invalid.'),
  ),
  secret(
    'a wrong secret access key',
    'login-expired',
    answers(
      400,
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided.',
    ),
  ),
  secret(
    'a clock that is wrong',
    'transient',
    answers(
      400,
      'InvalidSignatureException',
      'Signature expired: 20261122T000000Z is now earlier than 20261122T010000Z',
    ),
  ),
  secret('a profile that does not exist', 'misconfigured', answers(500, 'never asked'), 'profile = "nobody"'),
  secret(
    'a role that may not be assumed',
    'denied',
    answers(500, 'never asked'),
    'profile = "conformance"\nrole_arn = "arn:aws:iam::123456789012:role/keys"\nsts_endpoint = "AWS"',
  ),
  parameter('does not exist', 'gone', answers(400, 'ParameterNotFound')),
  parameter(
    'denied',
    'denied',
    answers(400, 'AccessDeniedException', denied('ssm:GetParameter', 'no identity-based policy allows it')),
  ),
  parameter(
    'no such version',
    'gone',
    answers(400, 'ParameterVersionNotFound', 'Systems Manager could not find version 7'),
  ),
  parameter('it has no value', 'misconfigured', ({ response }) => reply(response, 200, { Parameter: { Name: 'x' } })),
  parameter('200 with {}', 'transient', ({ response }) => reply(response, 200, {})),
  parameter('200 without a body', 'transient', ({ response }) => void response.writeHead(200).end()),
  parameter("a gateway's 403", 'transient', ({ response }) => reply(response, 403, { message: 'Forbidden' })),
  parameter('its KMS key is invalid', 'misconfigured', answers(400, 'InvalidKeyId', 'x')),
];
