import { z } from 'zod';
import {
  duration,
  filePath,
  once,
  optionalFile,
  optionalText,
  refuse,
  riskOfAddress,
  type SourceConflict,
  secretText,
  text,
} from '../../config/schema.ts';
import { awsRegion } from '../aws/options.ts';
import type { ProviderDefinition, SessionWords } from '../provider.ts';
import { proxyOption, proxyRule } from '../proxies.ts';

const mountPath = once(() =>
  text()
    .regex(/^[\w./-]+$/, 'a mount is a path like team/approle')
    .transform((path) => path.replace(/^\/*(?:auth\/)?|\/+$/g, '')),
);

function mount(standard: string) {
  return mountPath()
    .prefault(standard)
    .describe(`Where the auth method is mounted, without auth/. Default ${standard}.`);
}

const role = (what: string) => text().describe(what);

/** At most, or exactly, one of the named keys. */
function oneOf(keys: readonly string[], needed: boolean) {
  return (options: object, context: z.core.$RefinementCtx) => {
    const given = keys.filter((key) => (options as Record<string, unknown>)[key] !== undefined);
    if (given.length > 1)
      refuse(context, `${given.join(' and ')} exclude each other`, `keep one of ${keys.join(', ')}`);
    if (needed && given.length === 0) refuse(context, `${keys.join(' or ')} is missing`, `add ${keys.join(' or ')}`);
  };
}

const tokenAuth = once(() =>
  z
    .strictObject({
      method: z.literal('token'),
      token: secretText().optional().describe('The token itself. Better in a file.'),
      token_file: optionalFile().describe(
        'File with the token. Default without token and token_file: VAULT_TOKEN, else ~/.vault-token.',
      ),
    })
    .superRefine(oneOf(['token', 'token_file'], false)),
);

const appRoleAuth = once(() =>
  z
    .strictObject({
      method: z.literal('approle'),
      role_id: optionalText().meta({ secret: false }).describe('The role-id itself.'),
      role_id_file: optionalFile().describe('File with the role-id.'),
      secret_id_file: optionalFile().describe(
        'File with the secret-id, or with its wrapping token. Default: none, for roles with bind_secret_id=false.',
      ),
      secret_id_wrapped: z
        .boolean()
        .prefault(false)
        .describe(
          'Boolean. Whether secret_id_file holds a response-wrapping token that is unwrapped once. Default false.',
        ),
      remove_secret_id_file: z
        .boolean()
        .prefault(false)
        .describe('Boolean. Whether secret_id_file is deleted once it was read. Default false.'),
      mount: mount('approle'),
    })
    .superRefine(oneOf(['role_id', 'role_id_file'], true)),
);

function passwordAuth<Method extends 'userpass' | 'ldap'>(method: Method) {
  return z
    .strictObject({
      method: z.literal(method),
      username: text().describe('Name to log in with.'),
      password: secretText().optional().describe('The password itself. Better in a file.'),
      password_file: optionalFile().describe(
        'File with the password. Default without password and password_file: asked by broker login.',
      ),
      mount: mount(method),
    })
    .superRefine(oneOf(['password', 'password_file'], false));
}

const jwtAuth = once(() =>
  z.strictObject({
    method: z.literal('jwt'),
    role: role("Role to log in to. Default: the mount's default_role.").optional(),
    jwt_file: filePath().describe(
      'File with the JWT, read again for every login: a CI or projected service-account token.',
    ),
    mount: mount('jwt'),
  }),
);

const kubernetesAuth = once(() =>
  z.strictObject({
    method: z.literal('kubernetes'),
    role: role('Role to log in to.'),
    jwt_file: filePath()
      .prefault('/var/run/secrets/kubernetes.io/serviceaccount/token')
      .describe('File with the service-account token. Default /var/run/secrets/kubernetes.io/serviceaccount/token.'),
    mount: mount('kubernetes'),
  }),
);

const certAuth = once(() =>
  z.strictObject({
    method: z.literal('cert'),
    name: role('Certificate role to log in to. Default: any that matches client_cert_file.').optional(),
    mount: mount('cert'),
  }),
);

const oidcAuth = once(() =>
  z.strictObject({
    method: z.literal('oidc'),
    role: role("Role to log in to. Default: the mount's default_role.").optional(),
    callback_port: z
      .int()
      .min(1)
      .max(65_535)
      .prefault(8250)
      .meta({
        description:
          "Number. Port on this machine that the browser comes back to; http://localhost:PORT/oidc/callback has to be among the role's allowed_redirect_uris. Default 8250, from 1 to 65535.",
        examples: [8250],
      }),
    redirect_uri: z
      .url({ protocol: /^https?$/ })
      .optional()
      .meta({
        description:
          "OpenBao's own callback as browsers reach it, for roles with callback_mode direct. Default: address/v1/auth/MOUNT/oidc/callback, with the namespace after /v1/.",
        examples: ['https://bao.example.com/v1/auth/oidc/oidc/callback'],
      }),
    mount: mount('oidc'),
  }),
);

const awsAuth = once(() =>
  z.strictObject({
    method: z.literal('aws'),
    role: role('Role to log in to. Default: the one named like the IAM role or user.').optional(),
    profile: optionalText().describe(
      "Profile in ~/.aws/config to sign with. Default: the SDK's chain (variables, SSO, container, instance).",
    ),
    region: awsRegion()
      .prefault('us-east-1')
      .describe('Region of the STS endpoint that Vault asks. Default us-east-1.'),
    sts_endpoint: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        "STS endpoint as the mount's sts_endpoint has it. Default: the global one for us-east-1, else the region's.",
      ),
    server_id: optionalText().meta({
      description:
        'Value of X-Vault-AWS-IAM-Server-ID, where the mount asks for one (iam_server_id_header_value). Default: none.',
      examples: ['vault.example.com'],
      secret: false,
    }),
    mount: mount('aws'),
  }),
);

export const authSchema = once(() =>
  z
    .discriminatedUnion('method', [
      tokenAuth(),
      appRoleAuth(),
      passwordAuth('userpass'),
      passwordAuth('ldap'),
      jwtAuth(),
      kubernetesAuth(),
      certAuth(),
      oidcAuth(),
      awsAuth(),
    ])
    .prefault({ method: 'token' })
    .describe('How to log in. Default: method token.'),
);

export type VaultAuth = z.output<ReturnType<typeof authSchema>>;
export type AuthOf<Method extends VaultAuth['method']> = Extract<VaultAuth, { method: Method }>;
export type PasswordAuth = AuthOf<'userpass'> | AuthOf<'ldap'>;

/** Only a person can log in: through a browser, or with a password that is kept nowhere. */
export function isInteractive(auth: VaultAuth): boolean {
  return mayBeMadeByAPerson(auth) && !hasPassword(auth);
}

/** `broker login` can make it. With a password in the configuration that is needed only where Vault wants a second factor. */
export function mayBeMadeByAPerson(auth: VaultAuth): auth is AuthOf<'oidc'> | PasswordAuth {
  return auth.method === 'oidc' || auth.method === 'userpass' || auth.method === 'ldap';
}

export function hasPassword(auth: AuthOf<'oidc'> | PasswordAuth): boolean {
  return auth.method !== 'oidc' && (auth.password !== undefined || auth.password_file !== undefined);
}

const HEADER_SAFE = /^[\x21-\x7e]+$/;

/** `https://host:8200`, a path in front of `/v1/` included, or `unix:///path/of/socket`. */
const addressSchema = once(() =>
  text()
    .superRefine((address, context) => {
      const url = URL.parse(address);
      if (url === null || !['http:', 'https:', 'unix:'].includes(url.protocol)) {
        refuse(
          context,
          'the address is not a URL',
          'write it like https://vault.example.com:8200 or unix:///run/vault.sock',
        );
      } else if (url.username !== '' || url.password !== '') {
        refuse(context, 'the address holds a password', 'move the login to the auth table');
      } else if (url.search !== '' || url.hash !== '') {
        refuse(context, 'the address has a query or fragment', 'write only scheme, host, port and path');
      }
    })
    .transform((address) => address.replace(/\/+$/, '').replace(/\/v1$/, ''))
    .meta({
      description: 'URL of Vault or OpenBao: https, http, or unix:///path of a socket. Default: VAULT_ADDR.',
      examples: ['https://vault.example.com:8200'],
    }),
);

const namespaceSchema = once(() =>
  text()
    .regex(HEADER_SAFE, 'a namespace holds no spaces')
    .transform((namespace) => namespace.replace(/^\/+|\/+$/g, '')),
);

const skipVerifySchema = once(() =>
  z
    .boolean()
    .prefault(false)
    .meta({
      description:
        'Boolean. Whether any certificate is accepted: anybody in between can read every key. Default false, or VAULT_SKIP_VERIFY.',
      examples: [false],
    }),
);

export const vaultProviderSchema = once(() =>
  z
    .strictObject({
      address: addressSchema(),
      namespace: namespaceSchema()
        .optional()
        .meta({
          description:
            'Namespace (Vault Enterprise, OpenBao) of login and secrets. Default: VAULT_NAMESPACE, else the root.',
          examples: ['team-a'],
        }),
      ca_file: optionalFile().meta({
        description:
          "PEM file with certificate authorities to trust besides Node's and the system's. Default: VAULT_CACERT.",
        examples: ['~/certs/corp.pem'],
      }),
      tls_server_name: optionalText().describe(
        "Name that the server's certificate must carry, sent as SNI. Default: VAULT_TLS_SERVER_NAME, else the address's host.",
      ),
      client_cert_file: optionalFile().describe(
        'PEM file with a client certificate, for auth method cert and for proxies that want one. Default: VAULT_CLIENT_CERT.',
      ),
      client_key_file: optionalFile().describe('PEM file with the key of client_cert_file. Default: VAULT_CLIENT_KEY.'),
      skip_verify: skipVerifySchema(),
      proxy: proxyOption(),
      timeout: duration({ minMs: 100, maxMs: 300_000 })
        .prefault('30s')
        .describe(
          'Duration. How long one operation may take, connecting and logging in included. Default 30s, from 100ms to 5m.',
        ),
      auth: authSchema(),
    })
    .superRefine((options, context) => {
      if ((options.client_cert_file === undefined) !== (options.client_key_file === undefined)) {
        refuse(context, 'client_cert_file and client_key_file go together', 'give both or neither');
      }
      if (options.auth.method === 'cert' && options.client_cert_file === undefined) {
        refuse(context, 'auth method cert needs a client certificate', 'add client_cert_file and client_key_file');
      }
    }),
);

export const vaultCredentialSchema = once(() =>
  z.strictObject({
    path: text()
      .transform((path) => path.replace(/^\/*(?:v1\/)?/, ''))
      .superRefine((path, context) => {
        if (URL.canParse(path)) {
          const inside =
            new URL(path).pathname.replace(/^\/(?:.*\/)?v1\/|^\/(?:ui\/vault\/secrets\/)?/, '') || 'secret/data/claude';
          refuse(context, 'this is an address, not a path in it', `write what stands after /v1/: path = "${inside}"`);
        } else if (path === '' || path.split('/').some((part) => part === '..' || part === '.')) {
          refuse(context, 'this is not a path in Vault', 'write it as the HTTP API spells it, like secret/data/claude');
        } else if (/[?#\s]/.test(path)) {
          refuse(context, 'the path has a query or spaces in it', 'write parameters as params = { name = "value" }');
        }
      })
      .meta({
        description:
          'Path as the HTTP API spells it, without /v1/: KV v1 kv/NAME, KV v2 secret/data/NAME, or any engine.',
        examples: ['secret/data/claude', 'database/creds/readonly'],
        secret: false,
      }),
    method: z
      .enum(['GET', 'POST'])
      .prefault('GET')
      .meta({ description: 'HTTP method; POST for engines that issue on a write. Default GET.', examples: ['POST'] }),
    params: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]))
      .prefault({})
      .meta({
        description:
          'Parameters of the request: query of a GET (a KV v2 version, say), JSON body of a POST. With scope = "session", {client} and {session} in them stand for pid, and pid and start time, of the client. Default: none.',
        examples: [{ version: 3 }, { ttl: '1h' }],
      }),
    namespace: namespaceSchema()
      .optional()
      .describe("Namespace of this secret if it is not the provider's. Default: the provider's."),
    wrap_ttl: duration({ minMs: 1000, maxMs: 3_600_000 })
      .optional()
      .meta({
        description:
          'Duration. Asks for a wrapped answer and unwraps it, where a policy demands that. Default: not; from 1s to 1h.',
        examples: ['60s'],
      }),
    expires_metadata: optionalText().meta({
      description:
        'KV v2: the custom_metadata that says when the key dies, as RFC 3339 or seconds since the epoch. Default: only deletion_time does.',
      examples: ['expires_at'],
      secret: false,
    }),
  }),
);

export type VaultOptions = z.output<ReturnType<typeof vaultProviderSchema>>;
export type VaultSource = z.output<ReturnType<typeof vaultCredentialSchema>>;

/** A token that is handed in belongs to nobody who could be locked out, and a login in a browser is a person's own. */
function accountOf({ address, namespace, auth }: VaultOptions): string | undefined {
  if (auth.method === 'token' || auth.method === 'oidc') return undefined;
  const who = { role_id: null, role_id_file: null, username: null, role: null, name: null, ...auth };
  const names = [who.role_id, who.role_id_file, who.username, who.role, who.name];
  return JSON.stringify([address, namespace ?? null, auth.method, auth.mount, names]);
}

function risksOf({ address, skip_verify }: VaultOptions): SourceConflict[] {
  const clear = riskOfAddress('address', address);
  if (!skip_verify) return clear;
  const message = 'any certificate is accepted: anybody in between can read every login and key';
  const remedy = 'remove skip_verify, and name the certificate of your authority with ca_file';
  return [...clear, { key: 'skip_verify', message, remedy }];
}

/** `{client}` and `{session}` in parameters that are texts. */
function withWords(params: VaultSource['params'], { client, session }: SessionWords): VaultSource['params'] {
  const put = (text: string) => text.replaceAll('{client}', client).replaceAll('{session}', session);
  const entries = Object.entries(params).map(([name, value]) => [
    name,
    typeof value === 'string' ? put(value) : Array.isArray(value) ? value.map(put) : value,
  ]);
  return Object.fromEntries(entries);
}

/** HashiCorp Vault and OpenBao. docs/providers/vault.md tells every key. */
export const vaultDefinition: ProviderDefinition<VaultOptions, VaultSource> = {
  type: 'vault',
  nicknames: { hashicorp: '', hashicorpvault: '', openbao: '', bao: '', hcp: '', hcpvault: '' },
  summary: 'HashiCorp Vault or OpenBao: KV, dynamic engines with leases, OIDC tokens',
  get providerSchema() {
    return vaultProviderSchema();
  },
  get credentialSchema() {
    return vaultCredentialSchema();
  },
  environmentDefaults: {
    address: ['VAULT_ADDR', 'BAO_ADDR'],
    namespace: ['VAULT_NAMESPACE', 'BAO_NAMESPACE'],
    ca_file: ['VAULT_CACERT', 'BAO_CACERT'],
    tls_server_name: ['VAULT_TLS_SERVER_NAME', 'BAO_TLS_SERVER_NAME'],
    client_cert_file: ['VAULT_CLIENT_CERT', 'BAO_CLIENT_CERT'],
    client_key_file: ['VAULT_CLIENT_KEY', 'BAO_CLIENT_KEY'],
    skip_verify: ['VAULT_SKIP_VERIFY', 'BAO_SKIP_VERIFY'],
    proxy: proxyRule(({ address }) => (typeof address === 'string' ? address : undefined)),
  },
  identify: ({ path, method, params, namespace, wrap_ttl, expires_metadata }) => {
    const sorted = Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1));
    // What came later is there only where it is used: else an upgrade would lose every key to a new identity.
    const later = expires_metadata === undefined ? [] : [expires_metadata];
    return JSON.stringify([namespace ?? null, method, path, sorted, wrap_ttl ?? null, ...later]);
  },
  withWords: (source, words) => ({ ...source, params: withWords(source.params, words) }),
  describe: ({ path }) => path,
  account: accountOf,
  risksOf: (options, source) => (source === undefined ? risksOf(options) : []),
  interactive: {
    isNeeded: ({ auth }) => isInteractive(auth),
    async load() {
      const { logInInteractively } = await import('./logins/interactive.ts');
      return logInInteractively;
    },
  },
  async load() {
    const { VaultProvider } = await import('./provider.ts');
    return (options, host) => new VaultProvider(options, host);
  },
};
