import { ProviderError } from '../../../errors.ts';
import type { LoginDialogue, ProviderHost } from '../../provider.ts';
import type { VaultReply } from '../answer.ts';
import type { VaultClient, VaultRequest } from '../client.ts';

/** What a login method works with. */
export interface LoginContext {
  readonly host: ProviderHost;
  readonly client: VaultClient;
  readonly signal: AbortSignal;
}

/** One way to get a token by asking: what to send to which login endpoint. */
export type LoginRequest = Required<Pick<VaultRequest, 'path' | 'body' | 'secrets'>>;

/** Reads its inputs again at every call, so that a rotated secret is taken up. */
export type PrepareLogin = (context: LoginContext) => Promise<LoginRequest>;

/** What the steps of an interactive login share. */
export interface InteractiveContext {
  readonly host: ProviderHost;
  readonly dialogue: LoginDialogue;
  readonly signal: AbortSignal;
  /** Each request has the provider's own time limit, unless it waits for a person. */
  ask(request: VaultRequest, limitMs?: number): Promise<VaultReply>;
}

/** How long a person has. Vault itself forgets a login that was begun after five to ten minutes. */
export const LOGIN_LIMIT_MS = 300_000;

export function tooLate(provider: string): ProviderError {
  return new ProviderError('login-expired', `nobody completed the login within ${LOGIN_LIMIT_MS / 60_000} minutes`, {
    remedy: `try again: broker login ${provider}`,
  });
}
