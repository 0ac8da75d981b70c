import type { Clock } from '../platform/clock.ts';

export type Outcome<T> = { readonly done: true; readonly value: T } | { readonly done: false };

/**
 * Waits for `work`, but no longer than until `atMs` on the steady clock and no longer than the asker does. The work
 * itself goes on; its failure is the caller's only if it came in time.
 */
export async function waitUntil<T>(
  clock: Clock,
  work: Promise<T>,
  atMs: number,
  signal?: AbortSignal,
): Promise<Outcome<T>> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Outcome<T>>();
  const hungUp = () => reject(signal?.reason);
  signal?.addEventListener('abort', hungUp, { once: true });
  const timer = clock.after(Math.max(0, atMs - clock.now()), () => resolve({ done: false }));
  work.then((value) => resolve({ done: true, value }), reject);
  try {
    return await promise;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', hungUp);
  }
}

/** A promise that resolves when the steady clock shows `atMs`. */
export function sleepUntil(clock: Clock, atMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(Math.max(0, atMs - clock.now()), resolve);
  });
}
