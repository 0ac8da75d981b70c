import { ACCOUNT, IdentityIssuer, ORGANIZATION, RULE } from '../../fakes/token-exchange.ts';
import type { Answer, AnswerStage, Verdict } from './answer.ts';

const issuer = new IdentityIssuer();

interface Row {
  /** Of the identity token. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** In place of one. */
  readonly token?: string;
  /** What is answered; default: what the endpoint makes of it. */
  readonly answer?: readonly [status: number, body: unknown, headers?: Readonly<Record<string, string>>];
  readonly rule?: string;
  readonly account?: string;
  readonly identity?: (stage: AnswerStage) => string;
}

function federation(name: string, verdict: Verdict, row: Row = {}): Answer {
  return {
    name: `federation: ${name}`,
    verdict,
    arrange(stage, id) {
      const workspace = `wrkspc_${id.replace('-', '_')}`;
      const { claims, token = issuer.token(claims), answer, rule = RULE, account = ACCOUNT } = row;
      if (answer !== undefined) {
        const [status, body, headers = {}] = answer;
        stage.federation.exchange.faults.set(workspace, (_request, response) => {
          response.writeHead(status, { 'content-type': 'application/json', ...headers });
          response.end(typeof body === 'string' ? body : JSON.stringify(body));
        });
      }
      const identity = row.identity?.(stage) ?? `{ file = "${stage.file(`${id}-token`, token)}" }`;
      const ids = `federation_rule_id = "${rule}"\norganization_id = "${ORGANIZATION}"\nservice_account_id = "${account}"`;
      const provider = `type = "anthropic-wif"\n${ids}\nbase_url = "${stage.federation.url}"\nidentity = ${identity}`;
      return { provider, credential: `workspace_id = "${workspace}"` };
    },
  };
}

const said = (type: string, message: string) => ({ type: 'error', error: { type, message } });

export const wifAnswers: readonly Answer[] = [
  federation('a token', 'served'),
  federation('a token that ends after any calendar', 'served', {
    answer: [200, { access_token: 'sk-ant-oat01-fit', token_type: 'Bearer', expires_in: 1e30 }],
  }),
  federation('the identity token has expired', 'login-expired', { claims: { exp: 1_700_000_000 } }),
  federation('the identity token is not valid yet', 'transient', {
    claims: { nbf: 4_000_000_000, exp: 4_000_000_100 },
  }),
  federation('the identity token does not match the rule', 'login-expired', {
    claims: { iss: 'https://other.example.com' },
  }),
  federation('no such rule', 'misconfigured', { rule: 'fdrl_02Other' }),
  federation('not for this service account', 'denied', { account: 'svac_02Other' }),
  federation('invalid_grant', 'login-expired', {
    answer: [400, { error: 'invalid_grant', error_description: 'signature of the assertion is invalid' }],
  }),
  federation('a workspace has to be named', 'misconfigured', {
    answer: [400, said('invalid_request_error', 'workspace_id is required: the rule covers several')],
  }),
  federation('429 with Retry-After', 'transient', {
    answer: [429, said('rate_limit_error', 'too many requests'), { 'retry-after': '30' }],
  }),
  federation('529', 'transient', { answer: [529, said('overloaded_error', 'Overloaded')] }),
  federation("a gateway's 403", 'transient', { answer: [403, { message: 'Forbidden' }] }),
  federation('a sign-in page with 200', 'transient', { answer: [200, '<html>sign in, canary</html>'] }),
  federation('a redirect', 'transient', { answer: [302, '', { location: 'https://login.corp.example/saml' }] }),
  federation('the identity token is not a JWT', 'misconfigured', { token: 'canary' }),
  federation('the identity token is too long', 'misconfigured', { claims: { padding: 'x'.repeat(17_000) } }),
  federation('there is no identity token', 'login-expired', {
    identity: (stage) => `{ file = "${stage.file('placeholder', 'x').replace('placeholder', 'no-identity')}" }`,
  }),
];
