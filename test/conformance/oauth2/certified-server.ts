import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import Provider from 'oidc-provider';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from '../../fakes/loopback.ts';

/** What its clients show themselves with. */
export const CLIENT_SECRET = 'canary-client-secret-0123456789-0123456789';

/** oidc-provider, a certified OpenID provider, with a client for each way to get a token. Its pages let in whoever opens them. */
export class CertifiedServer {
  readonly signingKey = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  /** Errors that it told, oldest first. */
  readonly errors: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start({ accessSeconds = 60 } = {}): Promise<CertifiedServer> {
    let callback: ReturnType<Provider['callback']> | undefined;
    const server = createServer((request, response) => callback?.(request, response));
    await listenOnLoopback(server);
    const started = new CertifiedServer(server);
    const provider = new Provider(started.issuer, started.#configuration(accessSeconds));
    for (const event of ['grant.error', 'authorization.error', 'server_error', 'device_authorization.error']) {
      provider.on(event, (...parts) => {
        const error = parts.find((part) => part instanceof Error);
        started.errors.push(`${event}: ${error?.message}`);
      });
    }
    callback = provider.callback();
    return started;
  }

  get issuer(): string {
    return loopbackAddress(this.#server);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }

  #configuration(accessSeconds: number): object {
    const person = { application_type: 'native', response_types: [], token_endpoint_auth_method: 'none' };
    const publicKey = createPublicKey(this.signingKey.publicKey).export({ format: 'jwk' });
    return {
      clients: [
        machine('machine', { client_secret: CLIENT_SECRET, scope: 'api' }),
        machine('machine-post', { client_secret: CLIENT_SECRET, token_endpoint_auth_method: 'client_secret_post' }),
        machine('signer', {
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: 'ES256',
          jwks: { keys: [{ ...publicKey, use: 'sig', alg: 'ES256' }] },
        }),
        {
          ...person,
          client_id: 'device',
          grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
          redirect_uris: [],
        },
        {
          ...person,
          client_id: 'browser',
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          redirect_uris: ['http://localhost/oidc/callback'],
        },
      ],
      scopes: ['openid', 'offline_access', 'api'],
      features: {
        clientCredentials: { enabled: true },
        deviceFlow: { enabled: true },
        devInteractions: { enabled: true },
      },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      cookies: { keys: ['a key for tests'] },
      ttl: {
        AccessToken: accessSeconds,
        ClientCredentials: accessSeconds,
        IdToken: accessSeconds,
        RefreshToken: 86_400,
      },
      findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    };
  }
}

function machine(id: string, more: object): object {
  return { client_id: id, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], ...more };
}
