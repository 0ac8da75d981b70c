import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { launchFile, ownStateDir } from '../config/paths.ts';
import { BrokerError, codeOf } from '../errors.ts';
import { readRegularFile, writeFileAtomically } from '../platform/files.ts';
import { logFileOf } from '../platform/installation.ts';
import { loadNative } from '../platform/native.ts';
import { isLockHeld, type LockHolder, readLockHolder } from '../platform/state-lock.ts';
import { sleep } from '../platform/waiting.ts';
import { explainExit, type ServiceFailure } from './failure.ts';
import type { LogPart, PlannedFile, ServiceManager, ServiceState, Surroundings } from './manager.ts';

/** A daemon takes five seconds at most. */
const STOP_LIMIT_MS = 8_000;
const LOOK_EVERY_MS = 20;

/** What a daemon gets of an environment besides what was recorded: as native/start-daemon.c has it. */
export const INHERITED = [
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'TZ',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
  'BROKER_SOCKET',
];

/** Without a service manager: the helper starts the daemon when it needs one, and this stops it. */
export class Unmanaged implements ServiceManager {
  readonly kind = 'none';
  readonly startCommand = undefined;
  readonly describeCommand = undefined;
  readonly logRemedy: string;
  readonly places: readonly string[] = [];
  readonly #surroundings: Surroundings;
  readonly #stateDir: string;
  readonly #logFile: string;
  /** Of the daemon that was started last, once it has ended. */
  #exitCode: number | undefined;

  constructor(surroundings: Surroundings, stateDir: string) {
    this.#surroundings = surroundings;
    this.#stateDir = stateDir;
    this.#logFile = logFileOf(ownStateDir(stateDir));
    this.logRemedy = `the log is ${this.#logFile}; it is there once a helper has started the daemon`;
  }

  async files(): Promise<readonly PlannedFile[]> {
    return [];
  }

  async activate(_: unknown, changed: boolean): Promise<void> {
    if (changed) await this.stop();
    await this.start();
  }

  async deactivate(): Promise<void> {
    await this.stop();
  }

  async forget(): Promise<void> {}

  async start(): Promise<void> {
    if (this.#holder() !== undefined) return;
    const record = readLaunchRecord(this.#stateDir);
    if (record === undefined) {
      throw new BrokerError('ERR_CONFIG', 'the launch file is missing', {
        remedy: 'run: broker service install',
      });
    }
    await this.#spawn(record);
  }

  async stop(): Promise<void> {
    const holder = this.#holder();
    if (holder === undefined) return;
    process.kill(holder.pid, 'SIGTERM');
    const { clock } = this.#surroundings;
    const giveUpAt = clock.now() + STOP_LIMIT_MS;
    while (this.#holder()?.pid === holder.pid) {
      if (clock.now() >= giveUpAt) {
        throw new BrokerError('ERR_ALREADY_RUNNING', `the daemon with pid ${holder.pid} does not stop`, {
          remedy: `run: kill -9 ${holder.pid}`,
        });
      }
      await sleep(LOOK_EVERY_MS, clock);
    }
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async state(): Promise<ServiceState> {
    const holder = this.#holder();
    const record = readLaunchRecord(this.#stateDir);
    return {
      installed: record !== undefined,
      enabled: record?.autostart === true,
      running: holder !== undefined,
      pid: holder?.pid,
      source: undefined,
      detail: 'no service manager here: the helper starts the daemon when it needs one',
    };
  }

  /** Ours may have ended because a helper had just started one, which holds the lock, has not written its name there, and will answer. */
  async failure(): Promise<ServiceFailure | undefined> {
    const exitCode = this.#exitCode;
    return exitCode === undefined || isLocked(this.#stateDir) ? undefined : explainExit(exitCode);
  }

  logCommand({ lines, follow = false }: LogPart): readonly string[] {
    return ['tail', '-n', String(lines), ...(follow ? ['-F'] : []), this.#logFile];
  }

  #holder(): LockHolder | undefined {
    return runningDaemon(this.#stateDir);
  }

  async #spawn(record: LaunchRecord): Promise<void> {
    const flaw = flawOfLaunch(record);
    if (flaw !== undefined) throw flaw;
    const {
      run: [program = '', ...args],
      env,
    } = record;
    const inherited = Object.fromEntries(INHERITED.map((name) => [name, this.#surroundings.env[name]]));
    const child = spawn(program, args, {
      env: { ...inherited, ...env, BROKER_STATE_DIR: this.#stateDir, BROKER_STARTED_BY: 'helper' },
      cwd: '/',
      detached: true,
      stdio: 'ignore',
    });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw new BrokerError('ERR_DAEMON_UNREACHABLE', `cannot run ${program} (${codeOf(error)})`, {
        remedy: 'run: broker service install',
        cause: error,
      });
    }
    this.#exitCode = undefined;
    child.once('exit', (code) => {
      this.#exitCode = code ?? undefined;
    });
    child.unref();
  }
}

/** The daemon of this machine that holds the state folder, whether or not it answers. */
export function runningDaemon(stateDir: string): LockHolder | undefined {
  return isLocked(stateDir) ? readLockHolder(lockOf(stateDir)) : undefined;
}

function isLocked(stateDir: string): boolean {
  const native = loadNative();
  return isLockHeld(lockOf(stateDir), native && ((fd) => native.flock(fd)));
}

function lockOf(stateDir: string): string {
  return path.join(ownStateDir(stateDir), 'lock');
}

/** What starts the daemon, units included, is gone: a Node that its version manager removed, a package that was moved. */
export function launchFlaw(stateDir: string): BrokerError | undefined {
  const record = readLaunchRecord(stateDir);
  return record === undefined ? undefined : flawOfLaunch(record);
}

function flawOfLaunch({ run: words }: LaunchRecord): BrokerError | undefined {
  const gone = words.find((word) => word.startsWith('/') && !existsSync(word));
  if (gone === undefined) return undefined;
  return new BrokerError('ERR_CONFIG', `${gone}, with which the daemon was installed, is gone`, {
    remedy: 'run: broker service install',
  });
}

/**
 * STATE/launch: how the helper starts the daemon when none answers (native/start-daemon.c reads it). Text that C can
 * take apart safely: `broker-launch 1`, then one `KEY VALUE` a line. The helper takes it only if it and its folder are
 * the caller's own and closed to others.
 */
export interface LaunchRecord {
  /** Program, absolute, and arguments. At most 24. */
  readonly run: readonly string[];
  /** What the daemon gets besides what every daemon gets; at most 24. */
  readonly env: Readonly<Record<string, string>>;
  /** Set where a service is installed: what to run to have it started, program absolute. */
  readonly service: { readonly manager: 'systemd' | 'launchd'; readonly command: readonly string[] } | undefined;
  readonly autostart: boolean;
}

const FIRST_LINE = 'broker-launch 1';
const MOST_WORDS = 24;
const LARGEST_BYTES = 8191;

/** @returns false if the file said so already. @throws BrokerError ERR_CONFIG for paths that cannot be written down. */
export function writeLaunchRecord(stateDir: string, record: LaunchRecord): boolean {
  return writeFileAtomically(launchFile(stateDir), formatLaunchRecord(record), 0o600);
}

/** Undefined if there is none or it makes no sense. */
export function readLaunchRecord(stateDir: string): LaunchRecord | undefined {
  const read = readRegularFile(launchFile(stateDir), { maxBytes: LARGEST_BYTES });
  return read.state === 'read' ? parseLaunchRecord(read.bytes.toString()) : undefined;
}

export function formatLaunchRecord({ run, env, service, autostart }: LaunchRecord): string {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const words: readonly (readonly [key: string, values: readonly string[]])[] = [
    ['run', run],
    ['env', variables],
    ['manager', service === undefined ? [] : [service.manager]],
    ['service', service?.command ?? []],
    ['autostart', autostart ? [] : ['off']],
  ];
  const lines = words.flatMap(([key, values]) => values.map((value) => `${key} ${value}`));
  const text = [FIRST_LINE, ...lines].map((line) => `${line}\n`).join('');
  const unfit = lines.find((line) => /[\n\0]/.test(line));
  const tooMuch = words.some(([, values]) => values.length > MOST_WORDS) || Buffer.byteLength(text) > LARGEST_BYTES;
  if (unfit === undefined && !tooMuch) return text;
  throw new BrokerError('ERR_CONFIG', `the launch command cannot be recorded: ${unfit ?? 'it is too long'}`, {
    remedy: 'install broker under a shorter path without line breaks',
  });
}

export function parseLaunchRecord(text: string): LaunchRecord | undefined {
  const [first, ...lines] = text.split('\n');
  if (first !== FIRST_LINE || lines.pop() !== '') return undefined;
  const values = (key: string) =>
    lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.slice(key.length + 1));
  const manager = values('manager')[0];
  const known = manager === 'systemd' || manager === 'launchd';
  return {
    run: values('run'),
    env: Object.fromEntries(values('env').map((word) => splitOnce(word, '='))),
    service: known ? { manager, command: values('service') } : undefined,
    autostart: values('autostart')[0] !== 'off',
  };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}
