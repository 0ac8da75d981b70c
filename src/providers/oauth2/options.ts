import { z } from 'zod';
import {
  duration,
  isInTheClear,
  once,
  optionalFile,
  optionalText,
  refuse,
  secretText,
  text,
} from '../../config/schema.ts';
import { borrowedIn, loginInput } from '../login-inputs.ts';
import type { ProviderDefinition } from '../provider.ts';
import { proxyOption, proxyRule } from '../proxies.ts';

export const GRANTS = [
  'client_credentials',
  'device_code',
  'authorization_code',
  'token_exchange',
  'jwt_bearer',
] as const;
type Grant = (typeof GRANTS)[number];

export const CLIENT_AUTHS = ['basic', 'post', 'private_key_jwt', 'assertion', 'tls', 'none'] as const;

/** Secrets and tokens go there: nowhere in the clear but on this machine. */
const endpointUrl = once(() =>
  text()
    .superRefine((value, context) => {
      const url = URL.parse(value);
      if (url === null || !/^https?:$/.test(url.protocol)) {
        refuse(context, 'this is not a web address', 'write it in full, like https://login.example.com/oauth2/token');
      } else if (url.username !== '' || url.password !== '') {
        refuse(context, 'there is a user name or a password in the address', 'remove it; client_id says who asks');
      } else if (url.hash !== '') {
        refuse(context, 'the address has a fragment', 'remove the # and what follows');
      } else if (isInTheClear(url)) {
        const remedy = 'write https:// (http:// is for this machine only)';
        refuse(context, 'secrets would go over the network in the clear', remedy);
      }
    })
    .optional(),
);

const endpoint = (what: string) => endpointUrl().describe(what);

/** A server that takes several audiences or resources takes the parameter several times (RFC 8693, RFC 8707). */
const texts = once(() =>
  z
    .union([text(), z.array(text()).min(1)])
    .transform((value) => (typeof value === 'string' ? [value] : value))
    .optional(),
);

const oneOrMore = (what: string) => texts().describe(what);

/** Parameters that the broker itself sends: what the configuration says of them is said by other keys. */
const OWN = new Set([
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'refresh_token',
  'code',
  'code_verifier',
  'code_challenge',
  'device_code',
  'redirect_uri',
  'state',
  'scope',
  'audience',
  'resource',
  'assertion',
  'subject_token',
]);

const params = () =>
  z
    .record(z.string().regex(/^[\w.:-]{1,100}$/, 'not the name of a parameter'), text())
    .superRefine((value, context) => {
      const own = Object.keys(value).filter((name) => OWN.has(name));
      if (own.length > 0) refuse(context, `${own.join(' and ')} cannot be set here`, 'use the key of its own');
    })
    .optional();

const tokenKind = () => z.enum(['access_token', 'id_token']).optional();

const keysOfTheAsk = {
  audience: oneOrMore('Parameter `audience` of the requests for tokens, or several. Default: none.'),
  resource: oneOrMore('Parameter `resource` of the requests for tokens (RFC 8707), or several. Default: none.'),
};

const secret = (what: string) => z.union([secretText(), loginInput(what)]);

const oauth2ProviderSchema = once(() =>
  z
    .strictObject({
      issuer: endpoint(
        'URL of the identity provider, where /.well-known/openid-configuration or oauth-authorization-server tells its endpoints. Default: none, then token_endpoint is needed.',
      ).meta({ examples: ['https://login.example.com/realms/corp'] }),
      token_endpoint: endpoint('URL that tokens are asked for at. Default: as the issuer tells.'),
      device_authorization_endpoint: endpoint('URL where a device login begins. Default: as the issuer tells.'),
      authorization_endpoint: endpoint('URL of the login page. Default: as the issuer tells.'),
      grant: z
        .enum(GRANTS)
        .prefault('client_credentials')
        .describe(
          `One of ${GRANTS.join(', ')}. How tokens are had; device_code and authorization_code: a person logs in with broker login. Default client_credentials.`,
        ),
      client_id: optionalText().meta({
        description:
          'Name under which the broker is registered there. Needed but for exchanges without one. Default: none.',
        examples: ['broker'],
        secret: false,
      }),
      client_secret: secret('the client secret')
        .optional()
        .meta({
          description:
            'The client secret: { file }, { env }, { credential }, { command }, or the text itself. Default: none.',
          examples: [{ file: '~/.config/broker/client-secret' }],
        }),
      client_secret_file: optionalFile().describe('Short for client_secret = { file = "…" }.'),
      private_key_file: optionalFile().describe(
        'PEM file with the private key that the broker signs its assertions with (private_key_jwt).',
      ),
      private_key_id: optionalText().meta({
        description: 'Name of that key (kid) as it is registered there. Default: none.',
        secret: false,
      }),
      private_key_cert_file: optionalFile().describe(
        'PEM file with the certificate of that key, for servers that want its thumbprint (Entra ID). Default: none.',
      ),
      private_key_algorithm: z
        .enum(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'])
        .optional()
        .describe('How it signs. Default: RS256 with an RSA key, else what the key is for.'),
      client_assertion: loginInput('the JWT that says who the broker is')
        .optional()
        .describe('A JWT of another system in place of a client secret (workload identity federation). Default: none.'),
      client_auth: z
        .enum(CLIENT_AUTHS)
        .optional()
        .describe(
          `One of ${CLIENT_AUTHS.join(', ')}. How the broker shows who it is. Default: by what is given; of basic and post what the server takes.`,
        ),
      client_assertion_audience: optionalText().meta({
        description:
          '`aud` of the assertions that the broker signs. Default: the issuer, or token_endpoint without one.',
        secret: false,
      }),
      assertion: loginInput('the token that is exchanged for another')
        .optional()
        .describe('The token that grants jwt_bearer and token_exchange hand in. Default: none.'),
      subject_token_type: z
        .enum(['jwt', 'access_token', 'id_token', 'refresh_token', 'saml2'])
        .prefault('jwt')
        .meta({ description: 'Of token_exchange: what the assertion is. Default jwt.', secret: false }),
      scope: optionalText().meta({
        description:
          'Scopes, with spaces between them. Default: none; of a login by a person openid and offline_access.',
        examples: ['openid offline_access'],
      }),
      ...keysOfTheAsk,
      params: params().meta({
        description: 'Further parameters of every request for a token or a login. Default: none.',
        examples: [{ requested_token_use: 'on_behalf_of' }],
        secret: false,
      }),
      login_params: params().meta({
        description: 'Further parameters of the login page or the device login, of nothing else. Default: none.',
        examples: [{ prompt: 'consent' }],
        secret: false,
      }),
      token: tokenKind().meta({
        description: 'Which token is the key: access_token or id_token. Default access_token.',
        secret: false,
      }),
      callback_port: z
        .int()
        .min(1)
        .max(65_535)
        .prefault(8250)
        .meta({
          description:
            'Number. Port on this machine that the browser comes back to; http://localhost:PORT/oidc/callback has to be registered. Default 8250, from 1 to 65535.',
          examples: [8250],
        }),
      ca_file: optionalFile().meta({
        description: "PEM file with certificate authorities to trust besides Node's and the system's. Default: none.",
        examples: ['~/certs/corp.pem'],
      }),
      client_cert_file: optionalFile().describe('PEM file with a client certificate. Default: none.'),
      client_key_file: optionalFile().describe('PEM file with the key of client_cert_file. Default: none.'),
      proxy: proxyOption(),
      timeout: duration({ minMs: 100, maxMs: 300_000 })
        .prefault('30s')
        .describe(
          'Duration. How long one request for a token may take, with all that it needs. Default 30s, from 100ms to 5m.',
        ),
    })
    .superRefine((options, context) => {
      for (const [message, remedy] of conflictsIn(options)) refuse(context, message, remedy);
    })
    .transform(({ client_secret_file, ...options }) =>
      client_secret_file === undefined ? options : { ...options, client_secret: { file: client_secret_file } },
    ),
);

const oauth2CredentialSchema = once(() =>
  z.strictObject({
    // `scope` of a credential is the broker's own word.
    scopes: oneOrMore("The scopes of this token, as a list or with spaces. Default: the provider's scope."),
    ...keysOfTheAsk,
    params: params().meta({
      description: "Further parameters of the request, besides the provider's. Default: none.",
      secret: false,
    }),
    token: tokenKind().meta({
      description: "Which token is the key: access_token or id_token. Default: the provider's.",
      secret: false,
    }),
  }),
);

export type OAuth2Options = z.output<ReturnType<typeof oauth2ProviderSchema>>;
export type OAuth2Source = z.output<ReturnType<typeof oauth2CredentialSchema>>;

/** Only a person can log in. */
export function isInteractive({ grant }: Pick<OAuth2Options, 'grant'>): boolean {
  return grant === 'device_code' || grant === 'authorization_code';
}

interface Checked {
  readonly [key: string]: unknown;
  readonly grant: Grant;
}

/** Each by what is wrong, and what to write instead. */
function* conflictsIn(options: Checked): Generator<readonly [message: string, remedy: string]> {
  const has = (key: string) => options[key] !== undefined;
  const { grant, client_auth: auth } = options;
  if (!has('issuer') && !has('token_endpoint')) {
    yield ['nothing says where tokens are asked for', 'add issuer = "https://…", or token_endpoint'];
  }
  if (grant === 'device_code' && !has('issuer') && !has('device_authorization_endpoint')) {
    yield ['grant device_code needs a place to begin', 'add device_authorization_endpoint, or issuer'];
  }
  if (grant === 'authorization_code' && !has('issuer') && !has('authorization_endpoint')) {
    yield ['grant authorization_code needs a login page', 'add authorization_endpoint, or issuer'];
  }
  const exchanges = grant === 'token_exchange' || grant === 'jwt_bearer';
  if (exchanges && !has('assertion')) {
    yield [
      `grant ${grant} has nothing to hand in`,
      'add assertion = { file = "…" }, { credential = "…" } or { command = […] }',
    ];
  }
  if (!exchanges && has('assertion')) {
    yield [`grant ${grant} hands in no assertion`, 'set grant to token_exchange or jwt_bearer, or remove assertion'];
  }
  if (has('client_cert_file') !== has('client_key_file')) {
    yield ['client_cert_file and client_key_file go together', 'give both or neither'];
  }
  if (has('client_secret') && has('client_secret_file')) {
    yield ['client_secret and client_secret_file exclude each other', 'keep one of them'];
  }
  const given = waysGiven(options);
  if (given.length > 1) {
    yield [`${given.join(' and ')} are each a way to show who the broker is`, 'keep one of them'];
  }
  const shows = given.length > 0 || auth === 'tls' || (auth === undefined && has('client_cert_file'));
  if (grant === 'client_credentials' && !shows) {
    yield [
      'grant client_credentials has no credentials',
      'add client_secret_file, private_key_file or client_assertion',
    ];
  }
  const needed = auth === undefined ? undefined : NEEDED[String(auth)];
  if (needed !== undefined && !needed.some(has))
    yield [`client_auth ${auth} needs ${needed.join(' or ')}`, `add ${needed[0]}`];
  if (!has('client_id') && (!exchanges || given.length > 0)) {
    yield ['client_id is missing', 'add client_id = "…", the name under which the broker is registered there'];
  }
}

function waysGiven(options: Checked): readonly string[] {
  const keys = ['client_secret', 'client_secret_file', 'private_key_file', 'client_assertion'];
  return keys.filter(
    (key) => options[key] !== undefined && !(key === 'client_secret_file' && options['client_secret'] !== undefined),
  );
}

const NEEDED: Readonly<Record<string, readonly string[]>> = {
  basic: ['client_secret_file', 'client_secret'],
  post: ['client_secret_file', 'client_secret'],
  private_key_jwt: ['private_key_file'],
  assertion: ['client_assertion'],
  tls: ['client_cert_file'],
};

/** Wrong client secrets may lock a client for every machine that has it; what a person or another system gives does not. */
function accountOf(options: OAuth2Options): string | undefined {
  const { issuer, token_endpoint, client_id, client_secret } = options;
  return client_secret === undefined ? undefined : JSON.stringify([issuer ?? token_endpoint, client_id]);
}

/** OAuth 2.0 and OpenID Connect. docs/providers/oauth2.md tells every key. */
export const oauth2Definition: ProviderDefinition<OAuth2Options, OAuth2Source> = {
  type: 'oauth2',
  nicknames: { oauth: '', oidc: '', openid: '', openidconnect: '', keycloak: '', okta: '', entra: '' },
  summary: 'Tokens of an identity provider: OAuth 2.0 and OpenID Connect, for machines and for people',
  get providerSchema() {
    return oauth2ProviderSchema();
  },
  get credentialSchema() {
    return oauth2CredentialSchema();
  },
  environmentDefaults: {
    proxy: proxyRule((table) => {
      const url = table['issuer'] ?? table['token_endpoint'];
      return typeof url === 'string' ? url : undefined;
    }),
  },
  identify: ({ scopes, audience, resource, params: more, token }) => {
    const sorted = Object.entries(more ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify([scopes ?? null, audience ?? null, resource ?? null, sorted, token ?? null]);
  },
  describe: ({ scopes, audience, resource }) => {
    const of = scopes ?? audience ?? resource;
    return of === undefined ? 'a token' : `a token for ${of.join(' ')}`;
  },
  account: accountOf,
  borrows: ({ client_secret, client_assertion, assertion }) =>
    borrowedIn({ client_secret, client_assertion, assertion }),
  interactive: {
    isNeeded: isInteractive,
    async load() {
      const { logInInteractively } = await import('./interactive.ts');
      return logInInteractively;
    },
  },
  async load() {
    const { OAuth2Provider } = await import('./provider.ts');
    return (options, host) => new OAuth2Provider(options, host);
  },
};
