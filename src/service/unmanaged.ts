import { spawn } from 'node:child_process';
import path from 'node:path';
import { ownStateDir } from '../daemon/places.ts';
import { BrokerError } from '../errors.ts';
import { loadNative } from '../platform/native.ts';
import { isLockHeld, type LockHolder, readLockHolder } from '../platform/state-lock.ts';
import { explainExit, type ServiceFailure } from './failure.ts';
import { type LaunchRecord, readLaunchRecord } from './launch-file.ts';
import type { PlannedFile, ServiceManager, ServiceState } from './manager.ts';
import type { Surroundings } from './surroundings.ts';

/** A daemon takes five seconds at most. */
const STOP_LIMIT_MS = 8_000;
const LOOK_EVERY_MS = 20;

/** As native/start-daemon.c has it. */
const INHERITED = [
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'TZ',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
  'BROKER_SOCKET',
];

/** Where nobody manages services: the helper starts the daemon when it needs one, and this stops it. */
export class Unmanaged implements ServiceManager {
  readonly kind = 'none';
  readonly startCommand = undefined;
  readonly describeCommand = undefined;
  readonly logRemedy = undefined;
  readonly places: readonly string[] = [];
  readonly #surroundings: Surroundings;
  readonly #stateDir: string;
  readonly #lock: string;
  /** Of the daemon that was started last, once it has ended. */
  #exitCode: number | undefined;

  constructor(surroundings: Surroundings, stateDir: string) {
    this.#surroundings = surroundings;
    this.#stateDir = stateDir;
    this.#lock = path.join(ownStateDir(stateDir), 'lock');
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
      throw new BrokerError('ERR_CONFIG', 'nothing says how the daemon is started', {
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
      await new Promise<void>((resolve) => clock.after(LOOK_EVERY_MS, resolve));
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

  async failure(): Promise<ServiceFailure | undefined> {
    return this.#exitCode === undefined ? undefined : explainExit(this.#exitCode);
  }

  logCommand(): undefined {}

  #holder(): LockHolder | undefined {
    const native = loadNative();
    return isLockHeld(this.#lock, native && ((fd) => native.flock(fd))) ? readLockHolder(this.#lock) : undefined;
  }

  async #spawn({ run: [program = '', ...args], env }: LaunchRecord): Promise<void> {
    const inherited = INHERITED.flatMap((name) => {
      const value = this.#surroundings.env[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    const surroundings = {
      ...Object.fromEntries(inherited),
      ...env,
      BROKER_STATE_DIR: this.#stateDir,
      BROKER_STARTED_BY: 'helper',
    };
    const child = spawn(program, args, { env: surroundings, cwd: '/', detached: true, stdio: 'ignore' });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => {
        const remedy = 'run: broker service install';
        reject(
          new BrokerError('ERR_DAEMON_UNREACHABLE', `cannot run ${program}: ${error.message}`, {
            remedy,
            cause: error,
          }),
        );
      });
    });
    this.#exitCode = undefined;
    child.once('exit', (code) => {
      this.#exitCode = code ?? undefined;
    });
    child.unref();
  }
}
