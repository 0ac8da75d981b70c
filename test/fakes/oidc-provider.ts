import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { closeAtOnce, listenOnLoopback, loopbackAddress } from './loopback.ts';

export const CLIENT_ID = 'vault';

/**
 * An OpenID provider that knows no passwords: its pages let in whoever opens them. Discovery, code flow (OpenID Connect
 * Core 3.1) and device flow (RFC 8628), as far as a Vault or OpenBao server asks for them.
 */
export class OidcProvider {
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  /** Of each code what its token repeats. */
  readonly #codes = new Map<string, string>();
  /** Of each device code whether somebody has opened its page. */
  readonly #devices = new Map<string, boolean>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  static async start(): Promise<OidcProvider> {
    const provider = new OidcProvider();
    await listenOnLoopback(provider.#server);
    return provider;
  }

  get address(): string {
    return loopbackAddress(this.#server);
  }

  stop(): Promise<void> {
    return closeAtOnce(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.address);
    const form = new URLSearchParams(request.method === 'POST' ? await text(request) : '');
    const json = (status: number, body: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    switch (pathname) {
      case '/.well-known/openid-configuration':
        return void json(200, this.#discovery());
      case '/jwks':
        return void json(200, {
          keys: [{ ...this.#keys.publicKey.export({ format: 'jwk' }), alg: 'RS256', kid: '1' }],
        });
      case '/authorize': {
        const code = randomBytes(12).toString('hex');
        this.#codes.set(code, searchParams.get('nonce') ?? '');
        const back = new URL(searchParams.get('redirect_uri') ?? '');
        back.searchParams.set('code', code);
        back.searchParams.set('state', searchParams.get('state') ?? '');
        return void response.writeHead(302, { location: back.href }).end();
      }
      case '/device': {
        const code = randomBytes(12).toString('hex');
        this.#devices.set(code, false);
        const page = `${this.address}/page?device=${code}`;
        return void json(200, { device_code: code, user_code: 'BROK-ER01', verification_uri: page, interval: 1 });
      }
      case '/page':
        this.#devices.set(searchParams.get('device') ?? '', true);
        return void response.end('you may close this window');
      case '/token':
        return void json(...this.#token(form));
      default:
        return void json(404, {});
    }
  }

  #discovery() {
    return {
      issuer: this.address,
      authorization_endpoint: `${this.address}/authorize`,
      device_authorization_endpoint: `${this.address}/device`,
      token_endpoint: `${this.address}/token`,
      jwks_uri: `${this.address}/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    };
  }

  #token(form: URLSearchParams): readonly [status: number, body: object] {
    const device = form.get('device_code');
    if (device !== null && this.#devices.get(device) !== true) return [400, { error: 'authorization_pending' }];
    const nonce = device === null ? this.#codes.get(form.get('code') ?? '') : '';
    if (nonce === undefined) return [400, { error: 'invalid_grant' }];
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: this.address, aud: CLIENT_ID, sub: 'ada', iat: now, exp: now + 300 };
    const idToken = this.#sign(nonce === '' ? claims : { ...claims, nonce });
    return [200, { access_token: 'unused', token_type: 'Bearer', expires_in: 300, id_token: idToken }];
  }

  #sign(claims: object): string {
    const head = { alg: 'RS256', typ: 'JWT', kid: '1' };
    const parts = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${parts}.${sign('sha256', Buffer.from(parts), this.#keys.privateKey).toString('base64url')}`;
  }
}
