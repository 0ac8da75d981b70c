import { randomBytes } from 'node:crypto';
import { ProviderError } from '../../../errors.ts';
import { sleep } from '../../../platform/waiting.ts';
import { type CallbackOwner, callbackUri, LOGIN_LIMIT_MS, OidcCallback, tooLate } from '../../oidc-callback.ts';
import { errorsOf, objectAt, textAt, type VaultReply } from '../answer.ts';
import { failureOf, successIn } from '../failures.ts';
import type { AuthOf } from '../options.ts';
import type { InteractiveContext } from './method.ts';

const SHORTEST_POLL_MS = 1_000;
const LONGEST_POLL_MS = 60_000;

/** A login that Vault has begun, and how it goes on. */
interface Begun {
  /** The login page. */
  readonly address: string;
  /** undefined: the browser comes back to this machine. */
  readonly polled: { readonly state: string; readonly intervalMs: number } | undefined;
  /** What the page asks for, if it does. */
  readonly userCode: string;
}

/** Where Vault itself is, for roles that let the browser come back to it. */
interface Whereabouts {
  readonly address: string;
  readonly namespace: string | undefined;
}

/**
 * A login at an OIDC provider (https://developer.hashicorp.com/vault/api-docs/auth/jwt#oidc-authorization-url-request).
 * How the browser's visit becomes a token is a matter of the role, `callback_mode` in OpenBao: the browser comes back to
 * this machine (client, the only one that Vault knows) or to OpenBao (direct), or nowhere (device). In the latter two
 * OpenBao is asked again and again, as its `poll_interval` says.
 */
export async function oidcLogin(
  auth: AuthOf<'oidc'>,
  vault: Whereabouts,
  context: InteractiveContext,
): Promise<VaultReply> {
  const clientNonce = randomBytes(20).toString('hex');
  const { address, polled, userCode } = await begin(auth, vault, clientNonce, context);
  if (polled === undefined) return await comeBack(auth, address, clientNonce, context);
  await context.dialogue.showPage(address);
  if (userCode !== '') context.dialogue.say(`Enter this code there: ${userCode}`);
  return await poll(auth, { state: polled.state, client_nonce: clientNonce }, polled.intervalMs, context);
}

/** Vault tells a role's mode only to a request that names a redirect URI of that mode, so both are tried. */
async function begin(
  auth: AuthOf<'oidc'>,
  vault: Whereabouts,
  clientNonce: string,
  { ask }: InteractiveContext,
): Promise<Begun> {
  const request = async (redirectUri: string) => {
    const body = { role: auth.role ?? '', redirect_uri: redirectUri, client_nonce: clientNonce };
    const path = `auth/${auth.mount}/oidc/auth_url`;
    return successIn(await ask({ what: 'login', method: 'POST', path, body, secrets: [clientNonce] }));
  };
  const here = callbackUri(auth.callback_port);
  const reply = await request(here);
  const begun = begunIn(reply);
  const comesHere = begun !== undefined && comesBackTo(here, begun.address);
  if (begun !== undefined && comesHere === (begun.polled === undefined)) return begun;
  const there = auth.redirect_uri ?? callbackOf(auth, vault);
  const direct = there === undefined ? undefined : begunIn(await request(there));
  if (direct?.polled !== undefined) return direct;
  if (begun !== undefined && begun.polled === undefined) return begun;
  throw noAddress(auth, begun === undefined ? here : (there ?? here), reply);
}

function begunIn({ json }: VaultReply): Begun | undefined {
  const data = objectAt(json, 'data');
  const address = textAt(data, 'auth_url');
  if (!/^https?:\/\//.test(address)) return undefined;
  const seconds = Number(data?.['poll_interval'] ?? 0);
  const polled = seconds > 0 ? { state: textAt(data, 'state'), intervalMs: seconds * 1000 } : undefined;
  return { address, polled, userCode: textAt(data, 'user_code') };
}

function comesBackTo(redirectUri: string, address: string): boolean {
  return URL.parse(address)?.searchParams.get('redirect_uri') === redirectUri;
}

/** Vault's own callback, which identity providers know as the browser reaches it. */
function callbackOf({ mount }: AuthOf<'oidc'>, { address, namespace }: Whereabouts): string | undefined {
  if (!/^https?:/.test(address)) return undefined;
  return `${address}/v1/${namespace === undefined ? '' : `${namespace}/`}auth/${mount}/oidc/callback`;
}

async function comeBack(
  auth: AuthOf<'oidc'>,
  address: string,
  clientNonce: string,
  context: InteractiveContext,
): Promise<VaultReply> {
  const { host, dialogue, signal } = context;
  const state = new URL(address).searchParams.get('state') ?? '';
  const callback = await OidcCallback.listen(auth.callback_port, state, ownerOf(host.name));
  try {
    await dialogue.showPage(address);
    const { parameters, respond } = await callback.next(host.clock, LOGIN_LIMIT_MS, signal);
    try {
      const query = new URLSearchParams({ ...parameters, client_nonce: clientNonce });
      const secrets = [...Object.values(parameters).filter((value) => value.length > 3), clientNonce];
      const path = `auth/${auth.mount}/oidc/callback`;
      const reply = successIn(await context.ask({ what: 'login', method: 'GET', path, query: `${query}`, secrets }));
      respond(true);
      return reply;
    } catch (error) {
      respond(false);
      throw error;
    }
  } finally {
    callback.close();
  }
}

async function poll(
  auth: AuthOf<'oidc'>,
  body: Readonly<Record<string, string>>,
  intervalMs: number,
  { ask, host, signal }: InteractiveContext,
): Promise<VaultReply> {
  const { clock } = host;
  const giveUpAtMs = clock.now() + LOGIN_LIMIT_MS;
  let pauseMs = Math.min(Math.max(intervalMs, SHORTEST_POLL_MS), LONGEST_POLL_MS);
  while (clock.now() + pauseMs < giveUpAtMs) {
    await sleep(pauseMs, clock, signal);
    const path = `auth/${auth.mount}/oidc/poll`;
    const reply = await ask({ what: 'login', method: 'POST', path, body, secrets: Object.values(body) });
    if (reply.status === 200) return successIn(reply);
    const words = errorsOf(reply)?.join(' ') ?? '';
    if (words.endsWith('slow_down')) pauseMs = Math.min(pauseMs * 2, LONGEST_POLL_MS);
    else if (!words.endsWith('authorization_pending')) throw failureOf(reply);
  }
  throw tooLate(host.name);
}

function noAddress(auth: AuthOf<'oidc'>, redirectUri: string, { asked }: VaultReply): ProviderError {
  const role = auth.role === undefined ? "the mount's default role" : `role "${auth.role}"`;
  return new ProviderError('misconfigured', `Vault gives no login page to ${role} for ${redirectUri}`, {
    remedy: `have ${redirectUri} added to the role's allowed_redirect_uris, or correct role and callback_port in [providers.${asked.provider}.auth]`,
  });
}

function ownerOf(provider: string): CallbackOwner {
  const table = `[providers.${provider}.auth]`;
  return {
    provider,
    table,
    refused: (error) =>
      new ProviderError('login-expired', `the identity provider refused the login (${error})`, {
        remedy: `log in as a user who may use the role in ${table}: broker login ${provider}`,
      }),
  };
}
