import { ProviderError } from '../errors.ts';
import { type TimeLimit, within } from '../platform/waiting.ts';
import type { Call } from './provider.ts';

/**
 * The calls that a provider has under way. Libraries honour a signal in most states but not in all (the AWS SDK does
 * not while a credential provider hangs), so every call ends with its own signal, its time limit or `close()`.
 */
export class CallScope {
  readonly #closing = new AbortController();
  readonly #provider: string;

  constructor(provider: string) {
    this.#provider = provider;
  }

  /** Runs `work` with a signal that ends with the call, the limit or the provider, and rejects with that reason. `limit`: none if `work` limits itself. */
  run<T>(call: Call, limit: TimeLimit | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return within([call.signal, this.#closing.signal], limit, work);
  }

  close(): void {
    const message = `the provider "${this.#provider}" was closed`;
    this.#closing.abort(new ProviderError('transient', message, { concerns: 'address' }));
  }
}
