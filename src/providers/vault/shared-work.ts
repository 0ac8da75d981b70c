/**
 * Work that several callers wait for together. One who leaves takes nothing from the others; when the last has left,
 * the work is aborted, so that the next caller starts anew instead of waiting for something that hangs.
 */
export class SharedWork<T> {
  readonly #controller = new AbortController();
  readonly #work: Promise<T>;
  #waiting = 0;

  /** `over` is called as soon as nobody should join any more. */
  constructor(start: (signal: AbortSignal) => Promise<T>, over: (work: SharedWork<T>) => void) {
    this.#work = start(this.#controller.signal);
    const finish = () => over(this);
    this.#work.then(finish, finish);
    this.#controller.signal.addEventListener('abort', finish);
  }

  async join(signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    this.#waiting += 1;
    const leave = Promise.withResolvers<never>();
    const onAbort = () => leave.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([this.#work, leave.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#controller.abort();
    }
  }
}
