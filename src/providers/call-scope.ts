import { ProviderError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { Call } from './provider.ts';

/** What every call of a provider ends by, whatever the library underneath it does with a signal. */
export interface Bounds {
  readonly clock: Clock;
  readonly limitMs: number;
  /** What the call rejects with when the limit has passed. */
  late(): Error;
}

/**
 * The calls that a provider has under way. Libraries honour a signal in most states but not in all (the AWS SDK does
 * not while a credential provider hangs), so every call is raced against its own signal, a time limit and `close()`.
 */
export class CallScope {
  readonly #closing = new AbortController();
  readonly #provider: string;

  constructor(provider: string) {
    this.#provider = provider;
  }

  /** Runs `work` with a signal that ends with the call, the limit or the provider, and rejects with that reason. `bounds`: none if `work` bounds itself. */
  async run<T>(call: Call, bounds: Bounds | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const overtime = new AbortController();
    const signal = AbortSignal.any([call.signal, this.#closing.signal, overtime.signal]);
    signal.throwIfAborted();
    const timer = bounds?.clock.after(bounds.limitMs, () => overtime.abort(bounds.late()));
    try {
      return await new Promise<T>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        work(signal).then(resolve, (error: unknown) => reject(signal.aborted ? signal.reason : error));
      });
    } finally {
      timer?.cancel();
    }
  }

  close(): void {
    this.#closing.abort(new ProviderError('transient', `the provider "${this.#provider}" was closed`));
  }
}

/** Rejects with the signal's reason if that comes first. */
export function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      timer.cancel();
      reject(signal.reason);
    };
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
