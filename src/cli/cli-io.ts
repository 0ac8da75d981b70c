import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../platform/clock.ts';

/**
 * Everything a command may touch of the process it runs in, so that commands can be run inside a test exactly as they
 * run in a terminal. The real one is platform/process-io.ts.
 */
export interface CliIo {
  /** Bytes are for keys: the caller wipes them once this returns. */
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  /** The process's own: the daemon takes out what was meant for it alone. */
  readonly env: Record<string, string | undefined>;
  readonly homeDir: string;
  readonly uid: number;
  readonly pid: number;
  readonly ppid: number;
  readonly platform: NodeJS.Platform;
  readonly stdoutIsTty: boolean;
  readonly stderrIsTty: boolean;
  /** Where a person can be asked; undefined if standard input or standard error is no terminal: then nobody ever is. */
  readonly terminal?: Terminal | undefined;
  /** For what is handed in on standard input on request (`--password-stdin`). Looked at only then. */
  readonly stdin?: Readable;
  /** Width of the terminal; undefined when stdout is none. */
  readonly columns: number | undefined;
  readonly clock: Clock;
  /** Aborted by the first SIGINT or SIGTERM: commands that follow or watch end then, with exit code 0. */
  readonly signal: AbortSignal;
  /** The last call wins; 0 unless called. */
  setExitCode(code: number): void;
}

/** Questions go to standard error, so that standard output stays the result. */
export interface Terminal {
  readonly input: Readable;
  readonly output: Writable;
}
