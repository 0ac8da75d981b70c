import * as oidc from 'openid-client';
import { ProviderError } from '../../errors.ts';
import { sleep, within } from '../../platform/waiting.ts';
import { callbackUri, LOGIN_LIMIT_MS, OidcCallback, tooLate } from '../oidc-callback.ts';
import type { InteractiveLogin, LoginDialogue, ProviderHost } from '../provider.ts';
import { askOf, type GrantedTokens, OAuthClient, parametersOf } from './client.ts';
import { codeIsOver, failureOf } from './failures.ts';
import { isInteractive, type OAuth2Options } from './options.ts';
import { logsInUnattended } from './provider.ts';
import { sealable } from './session.ts';

/** What lets the broker go on without the person: RFC 6749 leaves it to the server, most want this (OpenID Connect Core 11). */
const USUAL_SCOPE = 'openid offline_access';

const NO_REFRESH_TOKEN =
  'The identity provider gave no refresh token, so this login ends with its first token. For a longer one the client has to be\n' +
  'allowed refresh tokens there; some servers want offline_access in scope, some login_params = { prompt = "consent" } as well.';

/** Between two tries while the identity provider cannot be reached. */
const PAUSE_MS = 5_000;

interface Context {
  readonly options: OAuth2Options;
  readonly host: ProviderHost;
  readonly client: OAuthClient;
  readonly dialogue: LoginDialogue;
  readonly signal: AbortSignal;
}

/** `broker login`: the browser comes back to this machine (RFC 8252), or the person types a code elsewhere (RFC 8628). */
export const logInInteractively: InteractiveLogin<OAuth2Options> = async (options, host, dialogue, { signal }) => {
  if (!isInteractive(options)) throw logsInUnattended(host.name, options);
  const client = new OAuthClient(options, host);
  try {
    const limit = { clock: host.clock, limitMs: LOGIN_LIMIT_MS, late: () => tooLate(host.name) };
    const logIn = options.grant === 'device_code' ? deviceLogin : browserLogin;
    const tokens = await within([signal], limit, (own) => logIn({ options, host, client, dialogue, signal: own }));
    const { refreshToken, accessToken, idToken, expiresAtServerMs } = tokens;
    if (refreshToken !== undefined) return sealable({ refreshToken });
    dialogue.say(NO_REFRESH_TOKEN);
    return sealable({ accessToken, idToken, expiresAtServerMs });
  } finally {
    client.close();
  }
};

function loginParameters(options: OAuth2Options): URLSearchParams {
  const ask = askOf(options);
  const params = { ...ask.params, ...options.login_params };
  return parametersOf({ ...ask, params, scope: options.scope ?? USUAL_SCOPE });
}

async function deviceLogin({ options, client, dialogue, host, signal }: Context): Promise<GrantedTokens> {
  const verifier = oidc.randomPKCECodeVerifier();
  const parameters = loginParameters(options);
  // RFC 8628 does not know it; servers that have it for the client want it here, too, and others ignore it.
  parameters.set('code_challenge', await oidc.calculatePKCECodeChallenge(verifier));
  parameters.set('code_challenge_method', 'S256');
  const begun = await client.request('device', (to) => oidc.initiateDeviceAuthorization(to, parameters), signal);
  const { verification_uri, verification_uri_complete, user_code } = begun.value;
  await dialogue.showPage(verification_uri_complete ?? verification_uri);
  dialogue.say(
    verification_uri_complete === undefined
      ? `Enter this code there: ${user_code}`
      : `The code there must be: ${user_code}`,
  );
  const limitMs = Math.min(begun.value.expires_in * 1000, LOGIN_LIMIT_MS);
  const limit = { clock: host.clock, limitMs, late: () => codeIsOver(host.name) };
  return await within([signal], limit, async (own) => {
    for (;;) {
      try {
        return await client.tokens(
          (to) => oidc.pollDeviceAuthorizationGrant(to, begun.value, { code_verifier: verifier }, { signal: own }),
          own,
        );
      } catch (error) {
        // The person is at the login page meanwhile: a network that comes and goes is no reason to begin again.
        if (!(error instanceof ProviderError) || error.kind !== 'transient') throw error;
        await sleep(error.retryAfterMs ?? PAUSE_MS, host.clock, own);
      }
    }
  });
}

/** A server of OAuth alone, which has no place for the nonce, says nothing of how it signs them (OpenID Connect Discovery 3). */
function givesIdToken({ issuer }: OAuth2Options, to: oidc.Configuration, parameters: URLSearchParams): boolean {
  const isOpenId = to.serverMetadata().id_token_signing_alg_values_supported !== undefined;
  return issuer !== undefined && isOpenId && /\bopenid\b/.test(parameters.get('scope') ?? '');
}

async function browserLogin({ options, client, dialogue, host, signal }: Context): Promise<GrantedTokens> {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const nonce = oidc.randomNonce();
  const redirectUri = callbackUri(options.callback_port);
  const parameters = loginParameters(options);
  parameters.set('redirect_uri', redirectUri);
  parameters.set('code_challenge', await oidc.calculatePKCECodeChallenge(verifier));
  parameters.set('code_challenge_method', 'S256');
  parameters.set('state', state);
  const table = `[providers.${host.name}]`;
  const callback = await OidcCallback.listen(options.callback_port, state, {
    provider: host.name,
    table,
    refused: (error, description) =>
      failureOf(
        { status: 400, headers: {}, json: { error, error_description: description } },
        { provider: host.name, options, what: 'login page', where: 'the login page', secrets: [] },
      ),
  });
  try {
    const page = await client.request(
      'login page',
      async (to) => {
        if (givesIdToken(options, to, parameters)) parameters.set('nonce', nonce);
        return oidc.buildAuthorizationUrl(to, parameters);
      },
      signal,
    );
    await dialogue.showPage(page.value.href);
    const { query, respond } = await callback.next(host.clock, LOGIN_LIMIT_MS, signal);
    try {
      const current = new URL(query, redirectUri);
      // Without a configured issuer there is none to compare it with.
      if (options.issuer === undefined) current.searchParams.delete('iss');
      const checks = {
        pkceCodeVerifier: verifier,
        expectedState: state,
        ...(parameters.has('nonce') ? { expectedNonce: nonce } : {}),
      };
      const tokens = await client.tokens((to) => oidc.authorizationCodeGrant(to, current, checks), signal, {
        origin: 'the login page',
      });
      respond(true);
      return tokens;
    } catch (error) {
      respond(false);
      throw error;
    }
  } finally {
    callback.close();
  }
}
