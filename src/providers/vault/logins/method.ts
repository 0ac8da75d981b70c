import type { LoginDialogue, ProviderHost } from '../../provider.ts';
import type { VaultReply } from '../answer.ts';
import type { VaultClient, VaultRequest } from '../client.ts';

/** What a login method works with. */
export interface LoginContext {
  readonly host: ProviderHost;
  readonly client: VaultClient;
  readonly signal: AbortSignal;
}

/** One way to get a token by asking: what to send to which login endpoint. `isRepeatable`: nothing in it is good for one login. */
export type LoginRequest = Required<Pick<VaultRequest, 'path' | 'body' | 'secrets' | 'isRepeatable'>>;

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
