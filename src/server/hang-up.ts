/**
 * Whether the asker is still there. The signal is made only for whoever asks for it: answers that wait for nothing
 * are most of all answers, and making and aborting a signal costs as much as the rest of them.
 */
export class HangUp {
  #gone = false;
  #controller: AbortController | undefined;

  get gone(): boolean {
    return this.#gone;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#gone) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** The connection closed before the answer was written. */
  noteGone(): void {
    this.#gone = true;
    this.#controller?.abort();
  }
}
