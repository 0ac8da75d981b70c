import { BrokerError, describeError } from '../../errors.ts';
import type { CliIo } from '../cli-io.ts';

/** Failures that a person can mend are told as `error:` and `hint:`, with their exit code; others are left to the caller. */
export async function reporting(io: CliIo, run: () => Promise<void> | void): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    io.stderr(`${describeError(error)}\n`);
    io.setExitCode(error.exitCode);
  }
}
