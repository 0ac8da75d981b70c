import { type ChildProcess, spawn } from 'node:child_process';
import { codeOf } from '../errors.ts';
import type { Clock, Timer } from './clock.ts';

/** From SIGTERM to SIGKILL. */
const GRACE_MS = 2_000;
/** How long after the program's end its stdout is read on: a process that it left behind may keep it open. */
const TRAILING_OUTPUT_MS = 250;

export interface ProgramOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default: the current folder. */
  readonly cwd?: string;
  /** Default: standard input is empty. */
  readonly input?: string | Uint8Array;
  readonly limitMs: number;
  /** More output on stdout ends the program; stderr is cut at its limit. Default 1 MiB and 8 KiB. */
  readonly maxOutputBytes?: number;
  readonly maxErrorBytes?: number;
}

/** How a run ended. The caller wipes `stdout` if that may hold a secret. */
export interface ProgramEnd {
  readonly end: 'exited' | 'late' | 'too-long' | 'not-started' | 'stopped';
  /** For `exited`: the status, or null if a signal ended it. */
  readonly status: number | null;
  readonly signal: string | null;
  /** For `not-started`: the system's code (ENOENT, EACCES, …). */
  readonly code: string;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/**
 * One program in a process group and session of its own: it can be stopped with all that it started, and cannot ask on the
 * terminal. It has a time limit and an output limit.
 */
export class ProgramRun {
  /** Settles when the process is gone; never rejects. */
  readonly ended: Promise<ProgramEnd>;
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #timers: Timer[] = [];
  #end: ProgramEnd['end'] = 'exited';
  #code = '';
  #exited = false;

  constructor([program = '', ...args]: readonly string[], options: ProgramOptions, clock: Clock) {
    const { env, cwd, input, limitMs, maxOutputBytes = 1024 * 1024, maxErrorBytes = 8 * 1024 } = options;
    this.#clock = clock;
    this.#child = spawn(program, args, {
      env: { ...env },
      ...(cwd === undefined ? {} : { cwd }),
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    // EPIPE: a program may ignore its input.
    this.#child.stdin?.on('error', () => {});
    this.#child.stdin?.end(input);
    this.#collect(this.#child.stdout, this.#stdout, maxOutputBytes, () => this.#stop('too-long', 'SIGTERM'));
    this.#collect(this.#child.stderr, this.#stderr, maxErrorBytes, () => {});
    this.#timers.push(clock.after(limitMs, () => this.#stop('late', 'SIGTERM')));
    this.ended = this.#settle();
  }

  /** Ends the whole group; `SIGKILL` if the caller cannot wait for the grace time. */
  stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): void {
    this.#stop('stopped', signal);
  }

  #settle(): Promise<ProgramEnd> {
    return new Promise((resolve) => {
      const settle = (status: number | null, signal: string | null) => {
        for (const timer of this.#timers) timer.cancel();
        const stdout = Buffer.concat(this.#stdout);
        for (const chunk of this.#stdout) chunk.fill(0);
        const stderr = Buffer.concat(this.#stderr).toString('utf8');
        resolve({ end: this.#end, status, signal, code: this.#code, stdout, stderr });
      };
      this.#child.on('error', (error) => {
        if (this.#child.pid !== undefined) return;
        this.#end = 'not-started';
        this.#code = codeOf(error);
        settle(null, null);
      });
      this.#child.on('exit', () => {
        this.#exited = true;
        // For members of the group that ignored SIGTERM; until now no other group can have got its id.
        if (this.#end !== 'exited') this.#signalGroup('SIGKILL');
        this.#timers.push(this.#clock.after(TRAILING_OUTPUT_MS, () => this.#dropPipes()));
      });
      this.#child.on('close', settle);
    });
  }

  #collect(stream: NodeJS.ReadableStream | null, into: Buffer[], limit: number, overflow: () => void): void {
    let length = 0;
    stream?.on('error', () => {});
    stream?.on('data', (chunk: Buffer) => {
      const room = limit - length;
      length += chunk.length;
      if (room > 0) into.push(chunk.subarray(0, room));
      if (length > limit) overflow();
    });
  }

  #stop(end: ProgramEnd['end'], signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#exited || (this.#end !== 'exited' && signal === 'SIGTERM')) return;
    if (this.#end === 'exited') this.#end = end;
    this.#signalGroup(signal);
    if (signal === 'SIGTERM') this.#timers.push(this.#clock.after(GRACE_MS, () => this.#signalGroup('SIGKILL')));
  }

  #dropPipes(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  #signalGroup(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // ESRCH: the whole group is gone already.
    }
  }
}

/** Runs a program to its end, or until `signal` ends it. Never rejects. */
export async function runProgram(
  command: readonly string[],
  options: ProgramOptions,
  clock: Clock,
  signal?: AbortSignal,
): Promise<ProgramEnd> {
  const run = new ProgramRun(command, options, clock);
  const onAbort = () => run.stop();
  if (signal?.aborted) run.stop();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await run.ended;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/** As a shell says it: 127 for a program that could not be run, 128 + n after a signal, 124 past its limit (timeout(1)). */
export function exitCodeOf({ end, status }: ProgramEnd): number {
  if (end === 'not-started') return 127;
  return end === 'late' ? 124 : (status ?? 128);
}
