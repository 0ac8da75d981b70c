import * as oidc from 'openid-client';
import { isInTheClear } from '../../config/schema.ts';
import { parseObject } from '../../credential/secret.ts';
import { ProviderError } from '../../errors.ts';
import { printable } from '../../platform/text.ts';
import { HttpConnection, type JsonAnswer, timeOf } from '../http.ts';
import type { ProviderHost } from '../provider.ts';
import { plainDeviceCode, plainTokens, type RefreshGrant, refreshGrantIn, refreshLastsMs } from './answer.ts';
import { showIdentity } from './client-auth.ts';
import { Courier, type Receipt } from './courier.ts';
import { failureOf, notOAuth, type OAuthAsked, wordIn } from './failures.ts';
import type { OAuth2Options, OAuth2Source } from './options.ts';

/** What a token endpoint gave. */
export interface GrantedTokens {
  readonly accessToken: string;
  readonly idToken: string | undefined;
  readonly refreshToken: string | undefined;
  /** Of the access token, by the server's clock; undefined: it does not say. */
  readonly expiresAtServerMs: number | undefined;
  /** How long the refresh token lives, where the server says so. */
  readonly refreshLastsMs: number | undefined;
  readonly serverTimeMs: number | undefined;
}

/** What a request is for. */
export interface TokenAsk {
  readonly scope: string | undefined;
  readonly audience: readonly string[] | undefined;
  readonly resource: readonly string[] | undefined;
  readonly params: Readonly<Record<string, string>>;
}

/** What a credential asks for, where it is silent what its provider does. */
export function askOf(options: OAuth2Options, source?: OAuth2Source): TokenAsk {
  return {
    scope: source?.scopes?.join(' ') ?? options.scope,
    audience: source?.audience ?? options.audience,
    resource: source?.resource ?? options.resource,
    params: { ...options.params, ...source?.params },
  };
}

export function parametersOf({ scope, audience = [], resource = [], params }: TokenAsk): URLSearchParams {
  const parameters = new URLSearchParams(scope === undefined ? [] : [['scope', scope]]);
  for (const each of audience) parameters.append('audience', each);
  for (const each of resource) parameters.append('resource', each);
  for (const [name, value] of Object.entries(params)) parameters.set(name, value);
  return parameters;
}

/** A token handed in with a request. */
export interface HandedIn {
  /** For messages: `the file /run/token`. */
  readonly origin: string;
  /** It can be handed in once: another process carries it there. */
  readonly receipt?: Receipt | undefined;
  /** Takes what replaces it, before anybody judges the answer that it is in. */
  readonly keep?: ((granted: RefreshGrant) => void) | undefined;
}

interface Exchanged {
  /** What was handed in and must not be shown, should the server repeat it. */
  secrets?: readonly string[];
  reply?: JsonAnswer;
  fault?: unknown;
}

/** How much the local clock may be off for an ID token that is only passed on. */
const CLOCK_TOLERANCE_SECONDS = 600;
/** The clock of a server that sends whole seconds. */
const LEAST_SKEW_SECONDS = 5;

/** One configured identity provider, spoken to through openid-client over our own transport. Opens nothing before it is asked. */
export class OAuthClient {
  readonly #options: OAuth2Options;
  readonly #host: ProviderHost;
  readonly #http: HttpConnection;
  readonly courier: Courier;
  #metadata: oidc.ServerMetadata | undefined;
  /** The server's clock less ours, as it last told. */
  #skewSeconds = 0;

  constructor(options: OAuth2Options, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    const who = `the identity provider of "${host.name}"`;
    this.#http = new HttpConnection(options, host, who);
    this.courier = new Courier(options, host, who, options.timeout);
  }

  /** One request to the token endpoint; a client secret of another credential that is refused is read again once. */
  async tokens(
    work: (configuration: oidc.Configuration) => Promise<oidc.TokenEndpointResponse>,
    signal: AbortSignal,
    handedIn?: HandedIn,
  ): Promise<GrantedTokens> {
    const { value, serverTimeMs } = await this.request('token', work, signal, handedIn);
    const lastsMs = value.expires_in === undefined ? undefined : value.expires_in * 1000;
    const fromMs = serverTimeMs ?? this.#host.clock.wall();
    return {
      accessToken: value.access_token,
      idToken: value.id_token,
      refreshToken: value.refresh_token,
      expiresAtServerMs: lastsMs === undefined ? undefined : fromMs + lastsMs,
      refreshLastsMs: refreshLastsMs(value),
      serverTimeMs,
    };
  }

  /** RFC 7009; where the server has no place for it there is nothing to do. */
  async revoke(refreshToken: string, signal: AbortSignal): Promise<void> {
    const { revocation_endpoint } = await this.#serverMetadata(signal);
    if (revocation_endpoint === undefined) return;
    const revoke = (to: oidc.Configuration) =>
      oidc.tokenRevocation(to, refreshToken, { token_type_hint: 'refresh_token' });
    await this.request('token', revoke, signal, { origin: 'broker login' });
  }

  /** @throws ProviderError what the server refuses with, or that there was no answer. The reason of the signal. */
  async request<T>(
    what: OAuthAsked['what'],
    work: (configuration: oidc.Configuration) => Promise<T>,
    signal: AbortSignal,
    handedIn?: HandedIn,
    refused?: string,
  ): Promise<{ readonly value: T; readonly serverTimeMs: number | undefined }> {
    const metadata = await this.#serverMetadata(signal);
    const taken = metadata.token_endpoint_auth_methods_supported;
    const shown = await showIdentity(this.#options, this.#host, taken, signal, refused);
    const exchanged: Exchanged = {};
    const configuration = this.#configurationFor(metadata, shown.apply, this.#fetch(signal, exchanged, handedIn));
    const where = what === 'device' ? metadata.device_authorization_endpoint : metadata.token_endpoint;
    try {
      const value = await work(configuration);
      return { value, serverTimeMs: exchanged.reply === undefined ? undefined : timeOf(exchanged.reply) };
    } catch (error) {
      signal.throwIfAborted();
      const { reply } = exchanged;
      if (
        reply !== undefined &&
        wordIn(reply) === 'invalid_client' &&
        shown.version !== undefined &&
        refused !== shown.version
      ) {
        return await this.request(what, work, signal, handedIn, shown.version);
      }
      const secrets = [...shown.secrets, ...(exchanged.secrets ?? [])];
      const asked = this.#asked(what, where ?? '', { secrets, shownBy: shown.origin, handedIn: handedIn?.origin });
      const failure = this.#failure(error, exchanged, asked);
      // What does not answer as such a server does may have moved: the issuer tells where to.
      if (failure instanceof ProviderError && failure.concerns === 'address' && !failure.isOverloaded) {
        this.#metadata = undefined;
      }
      throw failure;
    }
  }

  /** The next request reads certificates and the issuer's metadata again. */
  reconnect(): void {
    this.#http.reconnect();
    this.#metadata = undefined;
  }

  close(): void {
    this.#http.close();
  }

  async #serverMetadata(signal: AbortSignal): Promise<oidc.ServerMetadata> {
    this.#metadata ??= await this.#discover(signal);
    return this.#metadata;
  }

  async #discover(signal: AbortSignal): Promise<oidc.ServerMetadata> {
    const { issuer, token_endpoint, device_authorization_endpoint, authorization_endpoint } = this.#options;
    const named = {
      ...(token_endpoint === undefined ? {} : { token_endpoint }),
      ...(device_authorization_endpoint === undefined ? {} : { device_authorization_endpoint }),
      ...(authorization_endpoint === undefined ? {} : { authorization_endpoint }),
    };
    if (issuer === undefined) return { issuer: token_endpoint ?? '', ...named };
    const isWhole =
      token_endpoint !== undefined &&
      this.#options.grant !== 'device_code' &&
      this.#options.grant !== 'authorization_code';
    // With the one endpoint that is needed there is nothing to look up, and one server less that has to be up.
    if (isWhole) return { issuer, ...named };
    const found = (await this.#wellKnown(issuer, 'oidc', signal)) ?? (await this.#wellKnown(issuer, 'oauth2', signal));
    if (found !== undefined) return requireSecrecy({ ...found, ...named }, issuer, this.#host.name);
    throw new ProviderError('misconfigured', `the issuer ${issuer} tells nothing about itself (404)`, {
      remedy: `correct issuer in [providers.${this.#host.name}], or name token_endpoint and the others there`,
      concerns: 'address',
    });
  }

  /** undefined: there is no such page. */
  async #wellKnown(
    issuer: string,
    algorithm: 'oidc' | 'oauth2',
    signal: AbortSignal,
  ): Promise<oidc.ServerMetadata | undefined> {
    const exchanged: Exchanged = {};
    try {
      const configuration = await oidc.discovery(
        new URL(issuer),
        this.#options.client_id ?? NO_CLIENT,
        undefined,
        undefined,
        {
          algorithm,
          timeout: 0,
          [oidc.customFetch]: this.#fetch(signal, exchanged),
          execute: issuer.startsWith('http:') ? [oidc.allowInsecureRequests] : [],
        },
      );
      const { supportsPKCE: _, ...metadata } = configuration.serverMetadata();
      return metadata;
    } catch (error) {
      signal.throwIfAborted();
      if (exchanged.reply?.status === 404) return undefined;
      throw this.#failure(error, exchanged, this.#asked('discovery', issuer, { secrets: [] }));
    }
  }

  #configurationFor(
    metadata: oidc.ServerMetadata,
    apply: oidc.ClientAuth,
    fetchOver: oidc.CustomFetch,
  ): oidc.Configuration {
    const client = {
      [oidc.clockSkew]: this.#skewSeconds,
      [oidc.clockTolerance]: CLOCK_TOLERANCE_SECONDS,
      use_mtls_endpoint_aliases: this.#options.client_cert_file !== undefined,
    };
    const configuration = new oidc.Configuration(metadata, this.#options.client_id ?? NO_CLIENT, client, apply);
    configuration[oidc.customFetch] = fetchOver;
    // A call has one time limit, and that is the provider's.
    configuration.timeout = 0;
    if (Object.values(metadata).some((value) => typeof value === 'string' && value.startsWith('http:'))) {
      oidc.allowInsecureRequests(configuration);
    }
    return configuration;
  }

  /** What openid-client is given in place of `fetch`. The library sees the answer; what came is remembered for messages. */
  #fetch(signal: AbortSignal, exchanged: Exchanged, { receipt, keep }: Partial<HandedIn> = {}): oidc.CustomFetch {
    return async (url, { method, headers, body }) => {
      try {
        const request = { method, headers, body: textOf(body) };
        exchanged.secrets = secretsIn(request.body);
        const answer = await (receipt === undefined
          ? this.#http.send(url, request, signal)
          : this.courier.send(receipt, this.#http, url, request, signal));
        const content = answer.body.toString('utf8');
        answer.body.fill(0);
        const { status } = answer;
        const json = parseObject(content);
        const isSuccess = status >= 200 && status < 300;
        const granted = isSuccess ? refreshGrantIn(json) : undefined;
        if (granted !== undefined) keep?.(granted);
        exchanged.reply = { status, headers: answer.headers, json };
        const serverTimeMs = timeOf(answer);
        const skew = serverTimeMs === undefined ? 0 : Math.round((serverTimeMs - this.#host.clock.wall()) / 1000);
        this.#skewSeconds = Math.abs(skew) < LEAST_SKEW_SECONDS ? 0 : skew;
        // The library knows one success only; frameworks answer a POST with 201, and a revocation with 204.
        const init = { status: isSuccess ? 200 : status, headers: answer.headers };
        return new Response(status === 304 ? null : this.#readable(content, json), init);
      } catch (error) {
        exchanged.fault = error;
        throw error;
      }
    };
  }

  /** Without an issuer nobody can say whether an ID token is from it: then there is none. */
  #readable(content: string, json: JsonAnswer['json']): string {
    if (typeof json?.['device_code'] === 'string') return JSON.stringify(plainDeviceCode(json), numbersAlone);
    if (typeof json?.['access_token'] !== 'string') return content;
    return JSON.stringify(plainTokens(json, this.#options.issuer !== undefined));
  }

  #failure(error: unknown, { reply, fault }: Exchanged, asked: OAuthAsked): unknown {
    if (fault instanceof ProviderError) return fault;
    if (error instanceof ProviderError) return error;
    if (reply === undefined) return unfitServer(error, asked);
    if (reply.status < 200 || reply.status > 299) return failureOf(reply, asked);
    if (asked.what === 'discovery') return wrongIssuer(reply, asked) ?? notOAuth(reply, asked);
    return wordIn(reply) === undefined
      ? (unfitTokens(error, reply, asked) ?? notOAuth(reply, asked))
      : failureOf(reply, asked);
  }

  #asked(
    what: OAuthAsked['what'],
    url: string,
    more: Pick<OAuthAsked, 'secrets' | 'handedIn' | 'shownBy'>,
  ): OAuthAsked {
    const place = URL.parse(url);
    const where = place === null ? `the ${what} endpoint` : `${place.origin}${place.pathname}`;
    return { provider: this.#host.name, options: this.#options, what, where, ...more };
  }
}

/** What an issuer tells of itself is held to what the configuration is held to. */
function requireSecrecy(metadata: oidc.ServerMetadata, issuer: string, provider: string): oidc.ServerMetadata {
  const { mtls_endpoint_aliases: aliases = {}, ...own } = metadata;
  for (const [name, url] of [...Object.entries(own), ...Object.entries(aliases)]) {
    const place = name.endsWith('_endpoint') && typeof url === 'string' ? URL.parse(url) : null;
    if (place === null || !isInTheClear(place)) continue;
    throw new ProviderError('misconfigured', `the issuer ${issuer} names a ${name} that is reached in the clear`, {
      remedy: `have its operators correct it, or name the endpoints with https:// in [providers.${provider}]`,
      concerns: 'address',
    });
  }
  return metadata;
}

/** Nothing was sent: the library misses something in what the server tells of itself, or in what its login page sent back. */
function unfitServer(error: unknown, { provider, options }: OAuthAsked): unknown {
  if (!(error instanceof oidc.ClientError) && !(error instanceof TypeError)) return error;
  const words = printable(ownWords(error), 120);
  if (error instanceof oidc.ClientError && error.code === 'OAUTH_INVALID_RESPONSE') {
    const message = `what came back from the login page is not of this login: ${words}`;
    return new ProviderError('login-expired', message, {
      remedy: `try again: broker login ${provider}`,
      concerns: 'login',
    });
  }
  return new ProviderError(
    'misconfigured',
    `the identity provider of "${provider}" cannot be used with grant ${options.grant}: ${words}`,
    {
      remedy: `name what is missing in [providers.${provider}] (token_endpoint and the like), or choose another grant`,
      concerns: 'login',
    },
  );
}

/** The library's own sentence; what else the error and its cause have may be tokens. */
function ownWords(error: unknown): string {
  if (!(error instanceof Error)) return '';
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** JSON has no place for a bigint. */
function numbersAlone(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** For the library, which wants one; nothing sends it. */
const NO_CLIENT = 'none';

/** Parameters whose values are good for something. */
const HANDED_IN =
  /^(?:code|code_verifier|device_code|refresh_token|token|assertion|subject_token|actor_token|client_secret|client_assertion)$/;

function secretsIn(body: string | undefined): readonly string[] {
  return [...new URLSearchParams(body)].flatMap(([name, value]) => (HANDED_IN.test(name) ? [value] : []));
}

function textOf(body: oidc.FetchBody): string | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string' || body instanceof URLSearchParams) return String(body);
  throw new TypeError('a body of another kind than expected');
}

function wrongIssuer({ json }: JsonAnswer, { provider, where }: OAuthAsked): ProviderError | undefined {
  const own = json?.['issuer'];
  if (typeof own !== 'string' || URL.parse(own) === null) return undefined;
  return new ProviderError('misconfigured', `what answers at ${where} calls itself ${own.slice(0, 120)}`, {
    remedy: `write that as issuer in [providers.${provider}], if it is yours`,
    concerns: 'address',
  });
}

/** The server's own answer, with tokens, of which the library does not like something. */
function unfitTokens(error: unknown, { json }: JsonAnswer, { provider, where }: OAuthAsked): ProviderError | undefined {
  if (typeof json?.['access_token'] !== 'string' && typeof json?.['id_token'] !== 'string') return undefined;
  const words = ownWords(error);
  const why = /^[\w "`.,()-]{1,100}$/.test(words) ? `: ${words}` : '';
  return new ProviderError('misconfigured', `${where} gave tokens that cannot be used${why}`, {
    remedy: `check issuer and client_id in [providers.${provider}], and the clock of this machine`,
    concerns: 'login',
  });
}
