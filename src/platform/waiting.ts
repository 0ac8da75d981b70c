import type { Clock } from './clock.ts';

/**
 * How this program waits. Every listener is removed as soon as what it listened for is over: Node keeps an
 * `AbortSignal.any(…)` that has a listener alive for the life of the process, and with it whatever the listener's closure
 * and its promise hold, which may be a key. So nothing here, and nothing elsewhere, uses `AbortSignal.any`.
 */

/** Resolves after at least `ms`; rejects with the signal's reason if that comes first. */
export async function sleep(ms: number, clock: Clock, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(Math.max(0, ms), resolve);
  try {
    await (signal === undefined ? promise : abortable(signal, () => promise));
  } finally {
    timer.cancel();
  }
}

/** Rejects with the signal's reason as soon as it is aborted, whether or not `work` notices. */
export async function abortable<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(signal), aborted]);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export interface TimeLimit {
  readonly clock: Clock;
  readonly limitMs: number;
  /** What the work is rejected with when the time is over. */
  late(): Error;
}

/**
 * Runs `work` with a signal of its own that is aborted with the first of `signals`, or when the limit is over, and rejects
 * with that reason even if `work` never notices. When it returns, nothing of it is left behind.
 */
export async function within<T>(
  signals: readonly AbortSignal[],
  limit: TimeLimit | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (const signal of signals) signal.throwIfAborted();
  const scope = new AbortController();
  const onAbort = ({ target }: Event) => scope.abort((target as AbortSignal).reason);
  for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true });
  const timer = limit?.clock.after(limit.limitMs, () => scope.abort(limit.late()));
  try {
    return await abortable(scope.signal, work);
  } finally {
    timer?.cancel();
    for (const signal of signals) signal.removeEventListener('abort', onAbort);
  }
}

export type InTime<T> = { readonly done: true; readonly value: T } | { readonly done: false };

/**
 * Waits for `work`, but no longer than until `atMs` on the steady clock, and no longer than `signal` allows. The work
 * itself goes on; its failure is the caller's only if it came in time.
 */
export async function waitUntil<T>(
  clock: Clock,
  work: Promise<T>,
  atMs: number,
  signal?: AbortSignal,
): Promise<InTime<T>> {
  if (signal?.aborted) {
    // It was begun under the same signal, most likely: its failure is this one, and would be nobody's.
    work.catch(() => {});
    throw signal.reason;
  }
  const { promise, resolve, reject } = Promise.withResolvers<InTime<T>>();
  const onAbort = () => reject(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer = clock.after(Math.max(0, atMs - clock.now()), () => resolve({ done: false }));
  work.then((value) => resolve({ done: true, value }), reject);
  try {
    return await promise;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}

interface Flight<T> {
  readonly work: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Work that runs at most once at a time for each key; callers share it. A caller that gives up does not affect the others;
 * when the last has given up the work is aborted, and the next caller starts it again instead of waiting for something
 * that hangs.
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /** Joins the work under way for `key`, else starts it. The value is shared: callers must not change it. */
  async join(key: string, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const flight = this.#flights.get(key) ?? this.#start(key, start);
    flight.waiting += 1;
    try {
      return await (signal === undefined ? flight.work : abortable(signal, () => flight.work));
    } finally {
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        this.#forget(key, flight);
        flight.controller.abort();
      }
    }
  }

  /** Whether work for `key` is under way. */
  has(key: string): boolean {
    return this.#flights.has(key);
  }

  #start(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController();
    const flight: Flight<T> = { work: start(controller.signal), controller, waiting: 0 };
    this.#flights.set(key, flight);
    const over = () => this.#forget(key, flight);
    flight.work.then(over, over);
    return flight;
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
