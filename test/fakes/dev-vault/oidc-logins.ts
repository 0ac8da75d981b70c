import { randomBytes } from 'node:crypto';
import { type ApiAnswer, envelope, refusal, text } from '../../../src/demo/vault.ts';
import type { DevHandler, DevRequest } from './request.ts';
import type { TokenGrant, TokenStore } from './tokens.ts';

interface OidcRole {
  readonly grant: TokenGrant;
  /**
   * client: the browser comes back to the machine that logs in · direct: to Vault, which is polled · device: nowhere,
   * Vault is polled. Default client.
   */
  readonly mode?: 'client' | 'direct' | 'device';
  readonly allowedRedirectUris?: readonly string[];
  /** What the identity provider makes of everybody. Default: it lets them in. */
  readonly refusal?: string;
}

interface Begun {
  readonly role: OidcRole;
  readonly redirectUri: string;
  readonly clientNonce: string;
  readonly code: string;
  approved: boolean;
}

/**
 * `auth/oidc/oidc/*` with an identity provider behind it that knows no passwords: its page lets in everybody who opens it and sends
 * the browser back at once. The page lies under `/v1/dev/oidc/`.
 */
export class OidcLogins {
  readonly #tokens: TokenStore;
  readonly #secretPrefix: string;
  readonly #address: () => string;
  readonly #roles = new Map<string, OidcRole>();
  readonly #begun = new Map<string, Begun>();

  constructor(tokens: TokenStore, secretPrefix: string, address: () => string) {
    this.#tokens = tokens;
    this.#secretPrefix = secretPrefix;
    this.#address = address;
  }

  /** A role named `default` is the mount's default_role. */
  role(name: string, role: OidcRole): void {
    this.#roles.set(name, role);
  }

  readonly handle: DevHandler = (request) => {
    switch (request.path) {
      case 'auth/oidc/oidc/auth_url':
        return this.#begin(request);
      case 'auth/oidc/oidc/callback':
        return this.#complete(request);
      case 'auth/oidc/oidc/poll':
        return this.#poll(request);
      case 'dev/oidc/page':
        return this.#page(request);
      default:
        return undefined;
    }
  };

  #begin({ body }: DevRequest): ApiAnswer {
    const name = text(body['role']) || 'default';
    const role = this.#roles.get(name);
    if (role === undefined) return refusal(400, `role "${name}" could not be found`);
    const redirectUri = text(body['redirect_uri']);
    const isDevice = role.mode === 'device';
    const clientNonce = text(body['client_nonce']);
    if (clientNonce === '' && (role.mode ?? 'client') !== 'client') return refusal(400, 'missing client_nonce');
    // As Vault does: whoever guesses roles is to learn nothing.
    if (!isDevice && role.allowedRedirectUris?.includes(redirectUri) === false) {
      return envelope({ data: { auth_url: '' } });
    }
    const state = `st_${randomBytes(10).toString('hex')}`;
    const code = `${this.#secretPrefix}${randomBytes(16).toString('hex')}`;
    this.#begun.set(state, { role, redirectUri, clientNonce, code, approved: false });
    const page = `${this.#address()}/v1/dev/oidc/page?${new URLSearchParams({ state, redirect_uri: redirectUri })}`;
    if (role.mode === 'direct') return envelope({ data: { auth_url: page, state, poll_interval: '1' } });
    if (!isDevice) return envelope({ data: { auth_url: page } });
    return envelope({ data: { auth_url: page, state, user_code: 'BROK-ER01', poll_interval: '1' } });
  }

  #page({ query }: DevRequest): ApiAnswer {
    const state = query.get('state') ?? '';
    const begun = this.#begun.get(state);
    if (begun === undefined) return refusal(400, 'unknown state');
    begun.approved = begun.role.mode === 'device';
    if (begun.role.mode === 'device') return { status: 200, body: { page: 'you may close this window' } };
    const back = new URL(begun.redirectUri);
    back.searchParams.set('state', state);
    if (begun.role.refusal === undefined) back.searchParams.set('code', begun.code);
    else back.searchParams.set('error', begun.role.refusal);
    return { status: 302, headers: { location: back.href } };
  }

  #complete({ query }: DevRequest): ApiAnswer {
    const begun = this.#begun.get(query.get('state') ?? '');
    if (begun === undefined) return refusal(400, 'Vault login failed. Expired or missing OAuth state.');
    const isDirect = begun.role.mode === 'direct';
    if (!isDirect && begun.clientNonce !== query.get('client_nonce')) return refusal(400, 'invalid client_nonce');
    if (begun.code !== query.get('code')) return refusal(400, 'Vault login failed. Error exchanging oidc code.');
    if (isDirect) {
      // OpenBao asks whoever came back whether it was they who began this, with a button that repeats the visit.
      if (!query.has('confirmation')) return { status: 200, body: { page: 'confirm', id: 'confirm-button' } };
      begun.approved = true;
      return { status: 200, body: { page: 'you are signed in' } };
    }
    this.#begun.delete(query.get('state') ?? '');
    return this.#granted(begun, 'auth/oidc/oidc/callback');
  }

  #poll({ body }: DevRequest): ApiAnswer {
    const begun = this.#begun.get(text(body['state']));
    if (begun === undefined) return refusal(400, 'Vault login failed. Expired or missing OAuth state.');
    if (begun.clientNonce !== body['client_nonce']) return refusal(400, 'invalid client_nonce');
    if (!begun.approved) return refusal(400, 'authorization_pending');
    this.#begun.delete(text(body['state']));
    if (begun.role.refusal !== undefined) return refusal(400, `authorization failed: ${begun.role.refusal}`);
    return this.#granted(begun, 'auth/oidc/oidc/poll');
  }

  #granted({ role }: Begun, path: string): ApiAnswer {
    return envelope({ auth: this.#tokens.authOf(this.#tokens.create(role.grant, path)) });
  }
}
