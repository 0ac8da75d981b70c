import { randomBytes } from 'node:crypto';
import { ProviderError } from '../../../errors.ts';
import { errorsOf, objectAt, textAt } from '../answer.ts';
import type { AuthOf } from '../auth-schema.ts';
import type { VaultReply } from '../client.ts';
import { failureOf } from '../failures.ts';
import { type Attendance, grantIn, LOGIN_LIMIT_MS, tooLate } from './attendance.ts';
import { OidcCallback } from './oidc-callback.ts';

const SHORTEST_POLL_MS = 1_000;
const LONGEST_POLL_MS = 60_000;

/**
 * A login at an OIDC provider (https://developer.hashicorp.com/vault/api-docs/auth/jwt#oidc-authorization-url-request).
 * Whether the browser comes back to this machine or Vault is to be asked again and again (the device flow of OpenBao,
 * which needs no browser here) is a matter of the role: the latter answers with a `poll_interval`.
 */
export async function oidcLogin(auth: AuthOf<'oidc'>, attendance: Attendance): Promise<VaultReply> {
  const redirectUri = `http://localhost:${auth.callback_port}/oidc/callback`;
  const clientNonce = randomBytes(20).toString('hex');
  const reply = await attendance.ask({
    what: 'login',
    method: 'POST',
    path: `auth/${auth.mount}/oidc/auth_url`,
    body: { role: auth.role ?? '', redirect_uri: redirectUri, client_nonce: clientNonce },
    secrets: [clientNonce],
  });
  const data = objectAt(grantIn(reply).json, 'data');
  const address = textAt(data, 'auth_url');
  if (!/^https?:\/\//.test(address)) throw noAddress(auth, redirectUri, reply);
  const seconds = Number(data?.['poll_interval'] ?? 0);
  if (seconds > 0) {
    const code = textAt(data, 'user_code');
    await attendance.dialogue.showPage(address);
    if (code !== '') attendance.dialogue.say(`Enter this code there: ${code}`);
    return await poll(auth, { state: textAt(data, 'state'), client_nonce: clientNonce }, seconds * 1000, attendance);
  }
  return await comeBack(auth, address, clientNonce, attendance);
}

async function comeBack(
  auth: AuthOf<'oidc'>,
  address: string,
  clientNonce: string,
  attendance: Attendance,
): Promise<VaultReply> {
  const { host, dialogue, signal } = attendance;
  const state = new URL(address).searchParams.get('state') ?? '';
  const callback = await OidcCallback.listen(auth.callback_port, state, host.name);
  try {
    await dialogue.showPage(address);
    const { parameters, respond } = await callback.next(host.clock, LOGIN_LIMIT_MS, signal);
    try {
      const query = new URLSearchParams({ ...parameters, client_nonce: clientNonce });
      const secrets = [...Object.values(parameters).filter((value) => value.length > 3), clientNonce];
      const path = `auth/${auth.mount}/oidc/callback`;
      const reply = grantIn(await attendance.ask({ what: 'login', method: 'GET', path, query: `${query}`, secrets }));
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
  { ask, host, signal }: Attendance,
): Promise<VaultReply> {
  const { clock } = host;
  const giveUpAtMs = clock.now() + LOGIN_LIMIT_MS;
  let pauseMs = Math.min(Math.max(intervalMs, SHORTEST_POLL_MS), LONGEST_POLL_MS);
  while (clock.now() + pauseMs < giveUpAtMs) {
    await new Promise<void>((resolve) => {
      const timer = clock.after(pauseMs, resolve);
      const stop = () => {
        timer.cancel();
        resolve();
      };
      signal.addEventListener('abort', stop, { once: true });
    });
    signal.throwIfAborted();
    const path = `auth/${auth.mount}/oidc/poll`;
    const reply = await ask({ what: 'login', method: 'POST', path, body, secrets: Object.values(body) });
    if (reply.status === 200) return grantIn(reply);
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
