import { page } from '../../fakes/aws-json-server.ts';
import { answerJson, refuseToken, type TokenBehaviour } from '../../fakes/token-server.ts';
import type { Answer, AnswerStage, Verdict } from './answer.ts';

interface Row {
  /** Of `[providers.NAME]`, in place of a client with a secret. */
  readonly options?: (stage: AnswerStage, name: string) => string;
  readonly credential?: string;
}

const machine = (_: AnswerStage, name: string) =>
  `client_id = "${name}"\nclient_secret = "canary-secret-of-the-client"\nclient_auth = "post"`;
const exchanging = (stage: AnswerStage, name: string) =>
  `client_id = "${name}"\ngrant = "jwt_bearer"\nassertion = { file = "${stage.file(`${name}-assertion`, 'canary-assertion')}" }`;

function identity(
  name: string,
  verdict: Verdict,
  behaviour: TokenBehaviour,
  { options = machine, credential = '' }: Row = {},
): Answer {
  return {
    name: `identity provider: ${name}`,
    verdict,
    arrange(stage, id) {
      stage.tokenAnswers.set(id, behaviour);
      const server = `type = "oauth2"\ntoken_endpoint = "${stage.tokenServer.url}/token"\ntimeout = "2s"`;
      return { provider: `${server}\n${options(stage, id)}`, credential };
    },
  };
}

const refusal =
  (status: number, error: string, description = '', headers = {}): TokenBehaviour =>
  ({ response }) =>
    refuseToken(response, status, error, description, headers);
const never: TokenBehaviour = ({ response }) => page(response, 200, 'nobody asks here');

const AADSTS =
  'AADSTS7000222: The provided client secret keys for app are expired. Visit the Azure portal to create new keys.\r\n' +
  'Trace ID: 6d8e7a1c-1111-4222-8333-944455556666 Correlation ID: 6d8e7a1c-1111-4222-8333-944455556667';

export const oauth2Answers: readonly Answer[] = [
  identity('a token', 'served', ({ response }) =>
    answerJson(response, 200, { access_token: 'canary-free-token', token_type: 'Bearer', expires_in: 3600 }),
  ),
  identity('invalid_client', 'login-expired', refusal(401, 'invalid_client', 'wrong canary-secret-of-the-client')),
  identity('invalid_client, as Entra ID says it', 'login-expired', refusal(401, 'invalid_client', AADSTS)),
  identity('invalid_client without a secret', 'login-expired', refusal(401, 'invalid_client'), { options: exchanging }),
  identity('invalid_grant to an assertion', 'login-expired', refusal(400, 'invalid_grant', 'assertion expired'), {
    options: exchanging,
  }),
  identity('unauthorized_client', 'misconfigured', refusal(400, 'unauthorized_client', 'grant not allowed')),
  identity('unsupported_grant_type', 'misconfigured', refusal(400, 'unsupported_grant_type')),
  identity('invalid_scope', 'misconfigured', refusal(400, 'invalid_scope', 'unknown scope gateway.read')),
  identity(
    'not_allowed, as Keycloak says it',
    'misconfigured',
    refusal(400, 'not_allowed', 'Offline tokens not allowed for the user or client'),
  ),
  identity('invalid_target', 'misconfigured', refusal(400, 'invalid_target')),
  identity('invalid_request', 'misconfigured', refusal(400, 'invalid_request', 'resource is missing')),
  identity('access_denied', 'denied', refusal(403, 'access_denied', 'policy')),
  identity('interaction_required of a machine', 'misconfigured', refusal(400, 'interaction_required', 'consent first')),
  identity('slow_down', 'transient', refusal(400, 'slow_down')),
  identity('429 with Retry-After', 'transient', refusal(429, 'too_many_requests', '', { 'retry-after': '30' })),
  identity('temporarily_unavailable', 'transient', refusal(503, 'temporarily_unavailable')),
  identity('server_error', 'transient', refusal(500, 'server_error', 'database')),
  identity('a word that nobody knows', 'transient', refusal(400, 'quota_of_the_moon')),
  identity('502 with a page', 'transient', ({ response }) => page(response, 502, '<html>canary</html>')),
  identity('200 with a page', 'transient', ({ response }) => page(response, 200, '<html>sign in, canary</html>')),
  identity('200 with {}', 'transient', ({ response }) => answerJson(response, 200, {})),
  identity("a gateway's 403", 'transient', ({ response }) => answerJson(response, 403, { message: 'Forbidden' })),
  identity(
    'a redirect',
    'transient',
    ({ response }) => void response.writeHead(302, { location: 'https://login.corp.example/saml' }).end(),
  ),
  identity('no answer', 'transient', () => undefined),
  identity(
    'no ID token',
    'misconfigured',
    ({ response }) => answerJson(response, 200, { access_token: 'canary-access', token_type: 'Bearer' }),
    { credential: 'token = "id_token"' },
  ),
  identity('nobody is logged in', 'login-expired', never, {
    options: (_, name) =>
      `client_id = "${name}"\ngrant = "device_code"\ndevice_authorization_endpoint = "http://127.0.0.1:1/device"`,
  }),
  identity('no file with the assertion', 'login-expired', never, {
    options: (stage, name) =>
      `client_id = "${name}"\ngrant = "token_exchange"\nassertion = { file = "${stage.file('placeholder', 'x').replace('placeholder', 'no-assertion')}" }`,
  }),
  identity('no such variable', 'login-expired', never, {
    options: (_, name) => `client_id = "${name}"\nclient_secret = { env = "CLIENT_SECRET_OF_NOBODY" }`,
  }),
  identity('a command that prints no assertion', 'misconfigured', never, {
    options: (_, name) => `client_id = "${name}"\ngrant = "jwt_bearer"\nassertion = { command = ["/bin/true"] }`,
  }),
];
