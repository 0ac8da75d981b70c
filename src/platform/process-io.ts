import { writeSync } from 'node:fs';
import { homedir } from 'node:os';
import type { Key } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { isatty } from 'node:tty';
import { BrokerError, codeOf } from '../errors.ts';
import { type Clock, SystemClock } from './clock.ts';
import { loadNative } from './native.ts';

/**
 * Everything that a command may use of the process that it runs in, so that a test can run commands exactly as a terminal
 * does.
 */
export interface ProcessIo {
  /** Bytes are for keys: the caller wipes them once this returns. */
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  /** The process's own: the daemon removes the variables that are meant for it alone. */
  readonly env: Record<string, string | undefined>;
  /** Empty: there is none. */
  readonly homeDir: string;
  readonly uid: number;
  readonly pid: number;
  readonly ppid: number;
  readonly platform: NodeJS.Platform;
  /** macOS: the caller's own folder for temporary files. */
  readonly userTempFolder?: string | undefined;
  readonly stdoutIsTty: boolean;
  readonly stderrIsTty: boolean;
  /** Where a person can be asked; undefined if standard input or standard error is not a terminal: then nobody is asked. */
  readonly terminal?: Terminal | undefined;
  /** For input that a flag announces (`--password-stdin`). Opened only then. */
  readonly stdin?: Readable;
  /** Width of the terminal; undefined when standard output is not a terminal. */
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

const CTRL_C = '\x03';
const CTRL_D = '\x04';

/** sysexits(3): output that could not be written is a failure. */
const EX_IOERR = 74;

/** This process. */
export function processIo(): ProcessIo {
  const stop = new AbortController();
  const [stdoutIsTty, stderrIsTty] = [isatty(1), isatty(2)];
  const onStdoutError = () => process.exit(EX_IOERR);
  const onStderrError = () => undefined;
  // Opened on first use: the daemon needs neither.
  const stdout = () => withListener(process.stdout, onStdoutError);
  const stderr = () => withListener(process.stderr, onStderrError);
  let clock: SystemClock | undefined;
  const onSignal = () => stop.abort();
  let listening = false;
  let mayAsk = false;
  // These two close the line editor. The question hears nothing of it if it was Ctrl-D, or while its answer is looked at.
  const onKey = (_: unknown, { sequence }: Key) => {
    if (sequence !== CTRL_C && sequence !== CTRL_D) return;
    setImmediate(() => {
      if (process.stdin.isPaused()) onSignal();
    });
  };
  return {
    stdout: (text: string | Uint8Array) => {
      if (typeof text === 'string') stdout().write(text);
      else writeNow(text);
    },
    stderr: (text: string) => void stderr().write(text),
    env: process.env,
    homeDir: homeFolder(process.env['HOME']),
    uid: process.getuid?.() ?? -1,
    pid: process.pid,
    ppid: process.ppid,
    platform: process.platform,
    get userTempFolder() {
      return process.platform === 'darwin' ? loadNative()?.userTempFolder() : undefined;
    },
    stdoutIsTty,
    stderrIsTty,
    // A getter, because reading process.stdin opens it.
    get terminal() {
      if (!isatty(0) || !stderrIsTty) return undefined;
      if (!mayAsk) process.stdin.on('keypress', onKey).once('end', onSignal);
      mayAsk = true;
      return { input: process.stdin, output: stderr() };
    },
    get stdin() {
      return process.stdin;
    },
    get columns() {
      return stdoutIsTty ? stdout().columns : undefined;
    },
    // Made on first use: most commands do not need it.
    get clock() {
      clock ??= new SystemClock();
      return clock;
    },
    /** A command that uses it ends in order; any other is ended by the signal as usual. */
    get signal() {
      if (!listening) process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
      listening = true;
      return stop.signal;
    },
    setExitCode: (code: number) => {
      process.exitCode = code;
    },
  };
}

/** A reader that went away must not end the process by a signal or show a stack. */
function withListener<Stream extends Writable>(stream: Stream, onError: () => void): Stream {
  return stream.listenerCount('error', onError) > 0 ? stream : stream.on('error', onError);
}

/** HOME as given, else what the user database says; empty: there is none, as of a container's user that is a mere number. */
export function homeFolder(given: string | undefined): string {
  if (given !== undefined) return given;
  try {
    return homedir();
  } catch {
    return '';
  }
}

/** Returns when the last byte is written: a stream might keep some for later, but the caller wipes them. */
function writeNow(bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'EAGAIN') {
        throw new BrokerError('ERR_IO', `cannot write to standard output (${code})`, {
          remedy: 'check that the program that reads it still runs and that the disk is not full',
        });
      }
      // EAGAIN: another process made the pipe non-blocking, and its reader is slow.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
