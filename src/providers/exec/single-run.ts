import type { Clock } from '../../platform/clock.ts';
import { type Command, CommandRun, type RunOutcome } from './run.ts';

interface Shared {
  readonly run: CommandRun;
  readonly waiting: Set<(outcome: RunOutcome) => void>;
  abandoned: boolean;
}

/**
 * Runs every command at most once at a time: whoever asks meanwhile waits for the same run. A run that nobody waits for
 * any more is stopped, and the next one starts when it is gone.
 */
export class SingleRun {
  readonly #clock: Clock;
  readonly #running = new Map<string, Shared>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The outcome of a run that was under way or is started now, with a `stdout` of its own; never settles once aborted. */
  async run(command: Command, signal: AbortSignal): Promise<RunOutcome> {
    const key = JSON.stringify([command.program, command.args]);
    for (let dying = this.#running.get(key); dying?.abandoned; dying = this.#running.get(key)) {
      await dying.run.outcome;
      signal.throwIfAborted();
    }
    const shared = this.#running.get(key) ?? this.#start(key, command);
    return await new Promise((resolve) => {
      shared.waiting.add(resolve);
      signal.addEventListener('abort', () => this.#leave(shared, resolve), { once: true });
    });
  }

  /** Kills whatever runs. */
  close(): void {
    for (const { run } of this.#running.values()) run.stop('SIGKILL');
  }

  #start(key: string, command: Command): Shared {
    const shared: Shared = { run: new CommandRun(command, this.#clock), waiting: new Set(), abandoned: false };
    this.#running.set(key, shared);
    void shared.run.outcome.then((outcome) => {
      this.#running.delete(key);
      for (const deliver of shared.waiting) deliver({ ...outcome, stdout: Buffer.from(outcome.stdout) });
      shared.waiting.clear();
      outcome.stdout.fill(0);
    });
    return shared;
  }

  #leave(shared: Shared, waiter: (outcome: RunOutcome) => void): void {
    if (!shared.waiting.delete(waiter) || shared.waiting.size > 0) return;
    shared.abandoned = true;
    shared.run.stop();
  }
}
