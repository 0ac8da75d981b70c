/** One thing that setup does; `undo` takes it back. */
export interface Step {
  /** For the person who watches: `the configuration`. */
  readonly name: string;
  /** @returns what was done, in half a sentence, and how to take it back. */
  run(): Promise<StepOutcome>;
}

export interface StepOutcome {
  readonly done: string;
  readonly undo?: () => void | Promise<void>;
}

interface Watcher {
  done(name: string, what: string): void;
  undone(name: string): void;
  notUndone(name: string, why: string): void;
}

/**
 * All steps or none: when one fails, or the signal aborts between two, those before it are taken back, the last first.
 * Rejects with what the step threw, or with the signal's reason; `watcher` has heard by then what was taken back.
 */
export async function carryOut(steps: readonly Step[], signal: AbortSignal, watcher: Watcher): Promise<void> {
  const taken: { readonly name: string; readonly undo: () => void | Promise<void> }[] = [];
  try {
    for (const { name, run } of steps) {
      signal.throwIfAborted();
      const { done, undo } = await run();
      if (undo !== undefined) taken.push({ name, undo });
      watcher.done(name, done);
    }
    signal.throwIfAborted();
  } catch (error) {
    for (const { name, undo } of taken.reverse()) {
      try {
        await undo();
        watcher.undone(name);
      } catch (fault) {
        watcher.notUndone(name, fault instanceof Error ? fault.message : 'it failed');
      }
    }
    throw error;
  }
}
