import * as oidc from 'openid-client';
import type { Login } from '../../credential/life.ts';
import { SecretBytes } from '../../credential/secret.ts';
import { BrokerError, ProviderError } from '../../errors.ts';
import type { TimeLimit } from '../../platform/waiting.ts';
import { CallScope } from '../call-scope.ts';
import { readLoginInput } from '../login-input-reader.ts';
import { inputsOf, type LoginInput } from '../login-inputs.ts';
import type { Call, IssuedSecret, IssueRequest, Provider, ProviderHost } from '../provider.ts';
import { askOf, type GrantedTokens, OAuthClient, parametersOf, type TokenAsk } from './client.ts';
import { isInteractive, type OAuth2Options, type OAuth2Source } from './options.ts';
import { PersonSession, type RefreshTokenUse } from './session.ts';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:';

/** OAuth 2.0 and OpenID Connect, through openid-client. Opens no connection and reads no file before it is asked for something. */
export class OAuth2Provider implements Provider {
  readonly callLimitMs: number;
  readonly #options: OAuth2Options;
  readonly #host: ProviderHost;
  readonly #calls: CallScope;
  readonly #client: OAuthClient;
  readonly #limit: TimeLimit;
  readonly #session: PersonSession;

  constructor(options: OAuth2Options, host: ProviderHost) {
    this.callLimitMs = options.timeout;
    this.#options = options;
    this.#host = host;
    this.#calls = new CallScope(host.name);
    this.#client = new OAuthClient(options, host);
    this.#limit = { clock: host.clock, limitMs: options.timeout, late: () => tooSlow(options, host.name) };
    this.#session = new PersonSession(host, this.#limit, this.#client.courier);
  }

  issue(request: IssueRequest, call: Call): Promise<IssuedSecret> {
    const source = request.source as OAuth2Source;
    const ask = askOf(this.#options, source);
    return this.#calls.run(call, this.#limit, async (signal) => {
      const tokens = await (isInteractive(this.#options)
        ? this.#session.tokens((token, own, errand) => this.#refresh(token, ask, own, errand), signal)
        : this.#unattended(ask, signal));
      return this.#issued(tokens, source.token ?? this.#options.token ?? 'access_token');
    });
  }

  takeLogin(token: SecretBytes, call: Call): Promise<Login> {
    return this.#calls.run(call, this.#limit, async (signal) => {
      if (!isInteractive(this.#options)) throw logsInUnattended(this.#host.name, this.#options);
      const ask = askOf(this.#options);
      const use: RefreshTokenUse = (refreshToken, own, errand) => this.#refresh(refreshToken, ask, own, errand);
      return await this.#session.adopt(token, use, signal);
    });
  }

  dropLogin(call: Call): Promise<void> {
    return this.#calls.run(call, this.#limit, async (signal) => {
      if (!isInteractive(this.#options)) throw logsInUnattended(this.#host.name, this.#options);
      await this.#session.end((refreshToken, own) => this.#client.revoke(refreshToken, own), signal);
    });
  }

  loginInputs(): readonly string[] {
    const { ca_file, client_cert_file, client_key_file, private_key_file, private_key_cert_file } = this.#options;
    const { client_secret, client_assertion, assertion } = this.#options;
    const files = [ca_file, client_cert_file, client_key_file, private_key_file, private_key_cert_file];
    const inputs = [client_secret, client_assertion, assertion].flatMap((input) =>
      isInput(input) ? inputsOf(input) : [],
    );
    return [...files.filter((file) => file !== undefined), ...inputs];
  }

  forgetLogin(): void {
    this.#host.logins.attempts.allow();
    this.#client.reconnect();
  }

  /** A refresh token that is on its way is not cut off: its answer waits for the next provider. */
  close(): void {
    this.#calls.close();
    this.#client.close();
    this.#session.close();
  }

  #refresh(
    refreshToken: string,
    ask: TokenAsk,
    signal: AbortSignal,
    errand: Parameters<RefreshTokenUse>[2],
  ): Promise<GrantedTokens> {
    const handedIn = { origin: 'broker login', ...errand };
    const parameters = parametersOf(ask);
    return this.#client.tokens((to) => oidc.refreshTokenGrant(to, refreshToken, parameters), signal, handedIn);
  }

  /** A login that was refused is not tried again with the same inputs, whoever needs it. */
  async #unattended(ask: TokenAsk, signal: AbortSignal): Promise<GrantedTokens> {
    const { attempts } = this.#host.logins;
    attempts.check();
    try {
      const tokens = await this.#byGrant(ask, signal);
      attempts.accepted();
      return tokens;
    } catch (error) {
      if (error instanceof ProviderError && error.isRefusedLogin) attempts.refused(error);
      throw error;
    }
  }

  async #byGrant(ask: TokenAsk, signal: AbortSignal): Promise<GrantedTokens> {
    const parameters = parametersOf(ask);
    const { assertion, grant } = this.#options;
    if (assertion === undefined) {
      return await this.#client.tokens((to) => oidc.clientCredentialsGrant(to, parameters), signal);
    }
    return await this.#exchange(
      assertion,
      grant === 'jwt_bearer' ? 'jwt_bearer' : 'token_exchange',
      parameters,
      signal,
    );
  }

  /** RFC 7523 and RFC 8693. An assertion of another credential that is refused is had again once. */
  async #exchange(
    input: LoginInput,
    grant: 'jwt_bearer' | 'token_exchange',
    parameters: URLSearchParams,
    signal: AbortSignal,
    refused?: string,
  ): Promise<GrantedTokens> {
    const { secret, origin, version } = await readLoginInput(input, 'assertion', this.#host, signal, refused);
    using assertion = secret;
    const token = assertion.reveal();
    if (grant === 'jwt_bearer') parameters.set('assertion', token);
    else {
      const type = this.#options.subject_token_type;
      parameters.set('subject_token', token);
      if (!parameters.has('subject_token_type')) parameters.set('subject_token_type', `${TOKEN_TYPE}${type}`);
    }
    const urn = grant === 'jwt_bearer' ? JWT_BEARER : TOKEN_EXCHANGE;
    try {
      return await this.#client.tokens((to) => oidc.genericGrantRequest(to, urn, parameters), signal, { origin });
    } catch (error) {
      const mayBeOld = version !== undefined && refused === undefined;
      if (!mayBeOld || !(error instanceof ProviderError) || !error.isRefusedLogin) throw error;
      return await this.#exchange(input, grant, parameters, signal, version);
    }
  }

  #issued(
    { accessToken, idToken, expiresAtServerMs, serverTimeMs }: GrantedTokens,
    kind: 'access_token' | 'id_token',
  ): IssuedSecret {
    const token = kind === 'id_token' ? idToken : accessToken;
    if (token === undefined) throw noIdToken(this.#host.name, this.#options);
    return {
      content: { kind: 'text', text: SecretBytes.fromString(token) },
      version: undefined,
      lease: undefined,
      ttlHintMs: undefined,
      // `expires_in` is of the access token; an ID token says itself when it ends.
      expiresAtServerMs: kind === 'id_token' ? undefined : expiresAtServerMs,
      serverTimeMs,
    };
  }
}

function isInput(input: unknown): input is LoginInput {
  return typeof input === 'object' && input !== null;
}

function tooSlow({ issuer, token_endpoint, timeout }: OAuth2Options, provider: string): ProviderError {
  const message = `the identity provider of "${provider}" at ${new URL(token_endpoint ?? issuer ?? '').origin} did not answer within ${timeout / 1000} s`;
  return new ProviderError('transient', message, {
    remedy: `see whether it is up and reachable; timeout in [providers.${provider}] sets the limit`,
    concerns: 'address',
    waitedMs: timeout,
  });
}

function noIdToken(provider: string, { issuer }: OAuth2Options): ProviderError {
  const remedy =
    issuer === undefined
      ? `name issuer in [providers.${provider}]: without it an ID token cannot be told from another's`
      : `add openid to scope in [providers.${provider}]; grant client_credentials gives none`;
  return new ProviderError('misconfigured', `the identity provider of "${provider}" gave no ID token`, { remedy });
}

export function logsInUnattended(provider: string, { grant }: OAuth2Options): BrokerError {
  return new BrokerError('ERR_USAGE', `provider "${provider}" logs in automatically, with grant ${grant}`, {
    remedy: 'there is nothing to do; see: broker status',
  });
}
