import { z } from 'zod';
import { duration, filePath, refuse, text } from '../../config/value-types.ts';
import { proxyOption } from '../proxies.ts';
import { authSchema } from './auth-schema.ts';

const HEADER_SAFE = /^[\x21-\x7e]+$/;

/** `https://host:8200`, a path in front of `/v1/` included, or `unix:///path/of/socket`. */
const addressSchema = text()
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
  .describe('URL of Vault or OpenBao: https, http, or unix:///path of a socket. Default: VAULT_ADDR.')
  .meta({ examples: ['https://vault.example.com:8200'] });

const namespaceSchema = text()
  .regex(HEADER_SAFE, 'a namespace holds no spaces')
  .transform((namespace) => namespace.replace(/^\/+|\/+$/g, ''));

const skipVerifySchema = z
  .boolean()
  .prefault(false)
  .describe(
    'Boolean. Whether any certificate is accepted: whoever sits between can read every key. Default false, or VAULT_SKIP_VERIFY.',
  )
  .meta({ examples: [false] });

export const vaultProviderSchema = z
  .strictObject({
    address: addressSchema,
    namespace: namespaceSchema
      .optional()
      .describe('Namespace (Vault Enterprise, OpenBao) of login and secrets. Default: VAULT_NAMESPACE, else the root.')
      .meta({ examples: ['team-a'] }),
    ca_file: filePath()
      .optional()
      .describe(
        "PEM file with certificate authorities to trust besides Node's and the system's. Default: VAULT_CACERT.",
      )
      .meta({ examples: ['~/certs/corp.pem'] }),
    tls_server_name: text()
      .optional()
      .describe(
        "Name that the server's certificate must carry, sent as SNI. Default: VAULT_TLS_SERVER_NAME, else the address's host.",
      ),
    client_cert_file: filePath()
      .optional()
      .describe(
        'PEM file with a client certificate, for auth method cert and for proxies that want one. Default: VAULT_CLIENT_CERT.',
      ),
    client_key_file: filePath()
      .optional()
      .describe('PEM file with the key of client_cert_file. Default: VAULT_CLIENT_KEY.'),
    skip_verify: skipVerifySchema,
    proxy: proxyOption(),
    timeout: duration({ minMs: 100, maxMs: 300_000 })
      .prefault('30s')
      .describe(
        'Duration. How long one operation may take, connecting and logging in included. Default 30s, from 100ms to 5m.',
      ),
    auth: authSchema,
  })
  .superRefine((options, context) => {
    if ((options.client_cert_file === undefined) !== (options.client_key_file === undefined)) {
      refuse(context, 'client_cert_file and client_key_file go together', 'give both or neither');
    }
    if (options.auth.method === 'cert' && options.client_cert_file === undefined) {
      refuse(context, 'auth method cert needs a client certificate', 'add client_cert_file and client_key_file');
    }
  });

export const vaultCredentialSchema = z.strictObject({
  path: text()
    .transform((path) => path.replace(/^\/*(?:v1\/)?/, ''))
    .superRefine((path, context) => {
      if (path === '' || path.split('/').some((part) => part === '..' || part === '.')) {
        refuse(context, 'this is not a path in Vault', 'write it as the HTTP API spells it, like secret/data/claude');
      } else if (/[?#\s]/.test(path)) {
        refuse(context, 'the path has a query or spaces in it', 'write parameters as params = { name = "value" }');
      }
    })
    .describe('Path as the HTTP API spells it, without /v1/: KV v1 kv/NAME, KV v2 secret/data/NAME, or any engine.')
    .meta({ examples: ['secret/data/claude', 'database/creds/readonly'], secret: false }),
  method: z
    .enum(['GET', 'POST'])
    .prefault('GET')
    .describe('HTTP method; POST for engines that issue on a write. Default GET.')
    .meta({ examples: ['POST'] }),
  params: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]))
    .prefault({})
    .describe('Parameters of the request: query of a GET (a KV v2 version, say), JSON body of a POST. Default: none.')
    .meta({ examples: [{ version: 3 }, { ttl: '1h' }] }),
  namespace: namespaceSchema
    .optional()
    .describe("Namespace of this secret if it is not the provider's. Default: the provider's."),
  wrap_ttl: duration({ minMs: 1000, maxMs: 3_600_000 })
    .optional()
    .describe(
      'Duration. Asks for a wrapped answer and unwraps it, where a policy demands that. Default: not; from 1s to 1h.',
    )
    .meta({ examples: ['60s'] }),
  expires_metadata: text()
    .optional()
    .describe(
      'KV v2: the custom_metadata that says when the key dies, as RFC 3339 or seconds since the epoch. Default: only deletion_time does.',
    )
    .meta({ examples: ['expires_at'], secret: false }),
});

export type VaultOptions = z.output<typeof vaultProviderSchema>;
export type VaultSource = z.output<typeof vaultCredentialSchema>;
