import { BrokerError } from '../errors.ts';
import type { Installation } from '../platform/installation.ts';
import type { Log } from '../platform/log.ts';

/**
 * Providers are loaded when they are first needed, which may be after an upgrade has put other files in the place of
 * those that this process was started from. Then only a new process is of any use.
 */
export class LostCode {
  /** Resolves when this process should make room for another. */
  readonly needsRestart: Promise<void>;
  readonly #installation: Installation;
  readonly #log: Log;
  #restart: () => void = () => {};

  constructor(installation: Installation, log: Log) {
    this.#installation = installation;
    this.#log = log;
    this.needsRestart = new Promise((resolve) => {
      this.#restart = resolve;
    });
  }

  /** @returns what to tell whoever asked; a helper tries again by itself and finds the next daemon. */
  explain(cause: unknown): BrokerError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (!this.#installation.wasReplaced) {
      this.#log.error({ reason }, 'a part of the program could not be loaded');
      const remedy = 'install it again: npm install -g apikey-broker';
      return new BrokerError('ERR_INTERNAL', 'a part of the program could not be loaded', { remedy, cause });
    }
    this.#log.warn({ reason }, 'the program was replaced while it ran: making room for the new one');
    this.#restart();
    const remedy = 'it restarts by itself: try again in a few seconds';
    return new BrokerError('ERR_DAEMON_UNREACHABLE', 'the daemon was upgraded while it ran', { remedy, cause });
  }
}
