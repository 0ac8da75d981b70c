import { lstatSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { PathInputs } from '../config/paths.ts';
import { BrokerError, codeOf } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { writeFileAtomically } from '../platform/files.ts';
import { MEMORY_ENVIRONMENT } from '../platform/guard.ts';
import { exitCodeOf, runProgram } from '../platform/run-program.ts';
import type { ServiceFailure } from './failure.ts';
import type { DaemonCommand } from './runtime.ts';

/** What is written down for a service, whatever the manager. */
export interface ServiceSettings {
  readonly daemon: DaemonCommand;
  readonly stateDir: string;
  /** Undefined: the manager's or the daemon's usual place. */
  readonly socket: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Undefined: as much as this machine allows. */
  readonly sandbox: 'full' | 'basic' | undefined;
}

export interface PlannedFile {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
}

export interface ServiceState {
  readonly installed: boolean;
  /** Starts automatically: at login or when a client connects. */
  readonly enabled: boolean;
  readonly running: boolean;
  readonly pid: number | undefined;
  /** The file that says what runs; undefined if there is none. */
  readonly source: string | undefined;
  /** In the manager's own words. */
  readonly detail: string;
}

/** What runs the daemon. Every method that changes something is idempotent and throws a BrokerError when it fails. */
export interface ServiceManager {
  readonly kind: 'systemd' | 'launchd' | 'none';
  /** What the helper runs to have the service started; undefined where there is none. */
  readonly startCommand: readonly string[] | undefined;
  files(settings: ServiceSettings): Promise<readonly PlannedFile[]>;
  /** Where files of an installation lie or may lie. */
  readonly places: readonly string[];
  /** After the files were written; `changed` says whether any of them is new. Starts the service. */
  activate(settings: ServiceSettings, changed: boolean): Promise<void>;
  /** Before the files are removed. Stops the service. */
  deactivate(): Promise<void>;
  /** After they were. */
  forget(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
  restart(): Promise<void>;
  state(): Promise<ServiceState>;
  /** Why it does not run, after a start that failed; undefined if nothing more is known. */
  failure(): Promise<ServiceFailure | undefined>;
  /** A command that prints the newest lines of the log. */
  logCommand(part: LogPart): readonly string[];
  /** A command that prints how the manager sees the service, for people; undefined if there is none. */
  readonly describeCommand: readonly string[] | undefined;
  /** What to do if the log command finds nothing, in one sentence. */
  readonly logRemedy: string;
}

export interface LogPart {
  readonly lines: number;
  /** Go on until interrupted. Default: no. */
  readonly follow?: boolean;
  /** Nothing older than this time of the wall clock, where the log knows times. Default: everything. */
  readonly sinceMs?: number;
}

/** What installing and steering a service needs to know of the process; the CLI's io is one. */
export interface Surroundings extends PathInputs {
  readonly clock: Clock;
}

/** @returns false if the file was just so already. @throws BrokerError ERR_IO */
export function writePlanned({ path: file, content, mode }: PlannedFile): boolean {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    return writeFileAtomically(file, content, mode);
  } catch (error) {
    throw new BrokerError('ERR_IO', `cannot write ${file} (${codeOf(error)})`, {
      remedy: 'check who owns the folder and that the disk is not full or read-only',
      cause: error,
    });
  }
}

/** A unit that is a link belongs to what made the link: Home Manager, stow, `systemctl --user link` or `mask`. */
export function isLink(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

/** A service manager that has not answered by then is not going to. */
const LIMIT_MS = 60_000;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface ProgramOutcome {
  /** 127 if the program could not be run at all. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with nothing on standard input. Never rejects. */
export async function run(
  command: readonly string[],
  { env, clock }: Pick<Surroundings, 'env' | 'clock'>,
): Promise<ProgramOutcome> {
  const ended = await runProgram(command, { env, limitMs: LIMIT_MS, maxOutputBytes: MOST_OUTPUT_BYTES }, clock);
  const why = ended.end === 'not-started' ? `${command[0]} cannot be run (${ended.code})` : '';
  return { code: exitCodeOf(ended), stdout: ended.stdout.toString(), stderr: ended.stderr || why };
}

/**
 * What of this shell's environment an installed daemon keeps: where it finds its configuration and the programs that
 * providers run; and what it would otherwise have to start itself again with. Everything else that a provider needs is in the configuration.
 */
export function recordedEnvironment({ env }: Pick<PathInputs, 'env'>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = { PATH: lastingPath(env['PATH'] ?? ''), ...MEMORY_ENVIRONMENT };
  for (const name of ['BROKER_CONFIG', 'XDG_CONFIG_HOME']) {
    const value = env[name];
    if (value !== undefined && path.isAbsolute(value)) kept[name] = value;
  }
  return kept;
}

const SYSTEM_PATH = ['/usr/local/bin', '/usr/bin', '/bin'];
/** A project's own programs, and folders that go with a shell. */
const PASSING = /\/node_modules\/|\/\.venv\/|\/_npx\/|\/fnm_multishells\/|^\/tmp\/|^\/proc\//;
const MOST_FOLDERS = 64;

function lastingPath(value: string): string {
  const folders = value.split(':').filter((folder) => path.isAbsolute(folder) && !PASSING.test(`${folder}/`));
  return [...new Set([...folders.slice(0, MOST_FOLDERS), ...SYSTEM_PATH])].join(':');
}
