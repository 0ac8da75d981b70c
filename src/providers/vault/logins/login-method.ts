import type { ProviderHost } from '../../definition.ts';
import type { Json } from '../answer.ts';
import type { VaultClient } from '../client.ts';

/** What a login method works with. */
export interface LoginContext {
  readonly host: ProviderHost;
  readonly client: VaultClient;
  readonly signal: AbortSignal;
}

/** One way to get a token by asking: what to send to which login endpoint. */
export interface LoginRequest {
  /** Without `/v1/`. */
  readonly path: string;
  readonly body: Json;
  /** The parts of the body that must never be shown. */
  readonly secrets: readonly string[];
}

/** Reads its inputs anew at every call, so that a rotated secret is taken up. */
export type PrepareLogin = (context: LoginContext) => Promise<LoginRequest>;
