import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Timer } from '../../platform/clock.ts';

const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_STDERR_BYTES = 8 * 1024;
/** From the polite signal to the one that nobody can ignore. */
const GRACE_MS = 2_000;
/** A helper that the command left behind may hold its stdout open for ever. */
const TRAILING_OUTPUT_MS = 250;

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limitMs: number;
}

/** How a run ended. The receiver wipes `stdout`. */
export interface RunOutcome {
  readonly end: 'exited' | 'late' | 'too-long' | 'not-started' | 'stopped';
  /** For `exited`: the status, or null if a signal ended it. */
  readonly status: number | null;
  readonly signal: string | null;
  /** For `not-started`: the system's code (ENOENT, EACCES, …). */
  readonly code: string;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** One process in a group of its own, with stdin on /dev/null, a time limit and an output limit. */
export class CommandRun {
  /** Settles when the process is gone; never rejects. */
  readonly outcome: Promise<RunOutcome>;
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #timers: Timer[] = [];
  #end: RunOutcome['end'] = 'exited';
  #code = '';
  #exited = false;

  constructor(command: Command, clock: Clock) {
    this.#clock = clock;
    this.#child = spawn(command.program, command.args, {
      cwd: command.cwd,
      env: command.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A session of its own: the whole group can be stopped, and nothing in it can ask on a terminal.
      detached: true,
    });
    this.#collect(this.#child.stdout, this.#stdout, MAX_OUTPUT_BYTES, () => this.#stop('too-long', 'SIGTERM'));
    this.#collect(this.#child.stderr, this.#stderr, MAX_STDERR_BYTES, () => {});
    this.#timers.push(clock.after(command.limitMs, () => this.#stop('late', 'SIGTERM')));
    this.outcome = this.#settle();
  }

  /** Ends the whole group; `SIGKILL` for those who cannot wait out the grace time. */
  stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): void {
    this.#stop('stopped', signal);
  }

  #settle(): Promise<RunOutcome> {
    return new Promise((resolve) => {
      const settle = (status: number | null, signal: string | null) => {
        for (const timer of this.#timers) timer.cancel();
        const stdout = Buffer.concat(this.#stdout);
        for (const chunk of this.#stdout) chunk.fill(0);
        const stderr = Buffer.concat(this.#stderr).toString('utf8');
        resolve({ end: this.#end, status, signal, code: this.#code, stdout, stderr });
      };
      this.#child.on('error', (error: NodeJS.ErrnoException) => {
        if (this.#child.pid !== undefined) return;
        this.#end = 'not-started';
        this.#code = error.code ?? 'unknown';
        settle(null, null);
      });
      this.#child.on('exit', () => {
        this.#exited = true;
        // Those that outlived the polite signal; the group's id is still nobody else's at this moment.
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

  #stop(end: RunOutcome['end'], signal: 'SIGTERM' | 'SIGKILL'): void {
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
      // ESRCH: all of them are gone already.
    }
  }
}

/** What a command-line tool needs to find its programs, its configuration and its words; nothing of it is secret. */
const ALWAYS = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'LC_ALL',
  'LC_CTYPE',
  'LC_MESSAGES',
  'TZ',
  'TMPDIR',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'XDG_RUNTIME_DIR',
] as const;

const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of a command: the few variables above, those named in `pass`, those set in `set`. */
export function commandEnvironment(
  daemon: Environment,
  homeDir: string,
  pass: readonly string[],
  set: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const inherited = [...ALWAYS, ...pass].flatMap((name) => {
    const value = daemon[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { PATH: DEFAULT_PATH, HOME: homeDir, ...Object.fromEntries(inherited), ...set };
}
