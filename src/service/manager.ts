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
  /** Starts by itself: at login or when somebody asks. */
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
  /** A command that prints the newest lines of the log; undefined if there is no log. */
  logCommand(part: LogPart): readonly string[] | undefined;
  /** A command that prints how the manager sees the service, for people; undefined if there is none. */
  readonly describeCommand: readonly string[] | undefined;
  /** What to do if the log command finds nothing, in one sentence. */
  readonly logRemedy: string | undefined;
}

export interface LogPart {
  readonly lines: number;
  /** Go on until interrupted. Default: no. */
  readonly follow?: boolean;
  /** Nothing older than this time of the wall clock, where the log knows times. Default: everything. */
  readonly sinceMs?: number;
}
