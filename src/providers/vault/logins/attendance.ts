import { ProviderError } from '../../../errors.ts';
import type { ProviderHost } from '../../definition.ts';
import type { LoginDialogue } from '../../interactive-login.ts';
import type { VaultReply, VaultRequest } from '../client.ts';
import { failureOf, notVault } from '../failures.ts';

/** What the steps of an interactive login share. */
export interface Attendance {
  readonly host: ProviderHost;
  readonly dialogue: LoginDialogue;
  readonly signal: AbortSignal;
  /** Each request has the provider's own time limit, unless it waits for a person. */
  ask(request: VaultRequest, limitMs?: number): Promise<VaultReply>;
}

/** How long a person has. Vault itself forgets a login that was begun after five to ten minutes. */
export const LOGIN_LIMIT_MS = 300_000;

/** @throws ProviderError if the answer is no success. */
export function grantIn(reply: VaultReply): VaultReply {
  if (reply.status !== 200) throw failureOf(reply);
  if (reply.json === undefined) throw notVault(reply);
  return reply;
}

export function tooLate(provider: string): ProviderError {
  return new ProviderError('login-expired', `nobody completed the login within ${LOGIN_LIMIT_MS / 60_000} minutes`, {
    remedy: `try again: broker login ${provider}`,
  });
}
