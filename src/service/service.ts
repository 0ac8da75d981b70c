import { lstatSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { launchFile, stateDir } from '../config/paths.ts';
import { BrokerError, shellWord } from '../errors.ts';
import { readRegularFile } from '../platform/files.ts';
import { VERSION } from '../platform/installation.ts';
import { ensurePrivateFolder } from '../platform/place-rules.ts';
import { askStatus } from './health.ts';
import { findLaunchd } from './launchd.ts';
import {
  isLink,
  type PlannedFile,
  recordedEnvironment,
  type ServiceManager,
  type ServiceSettings,
  type ServiceState,
  type Surroundings,
  writePlanned,
} from './manager.ts';
import { daemonCommand, runtimeCopy } from './runtime.ts';
import { installStableHelper, stableHelper } from './stable-helper.ts';
import { findSystemd } from './systemd.ts';
import { type LaunchRecord, Unmanaged, writeLaunchRecord } from './unmanaged.ts';

export interface InstallOptions {
  /** `process.execPath`. */
  readonly execPath: string;
  readonly copyRuntime: boolean;
  /** Whether the helper may start the daemon when none answers. */
  readonly autostart: boolean;
  readonly sandbox: ServiceSettings['sandbox'];
}

/** What an installation writes and why some of it may not last. */
export interface InstallPlan {
  readonly manager: ServiceManager['kind'];
  readonly command: readonly string[];
  readonly files: readonly PlannedFile[];
  readonly helper: string;
  readonly launchFile: string;
  readonly warnings: readonly string[];
}

/** The daemon of one user as something that is installed, started and stopped. */
export class Service {
  readonly stateDir: string;
  readonly manager: ServiceManager;
  readonly #surroundings: Surroundings;

  /** `manager`: default the one that runs here. @throws BrokerError ERR_CONFIG for variables that make no sense. */
  constructor(surroundings: Surroundings, manager?: ServiceManager) {
    this.#surroundings = surroundings;
    this.stateDir = stateDir(surroundings);
    this.manager =
      manager ?? findSystemd(surroundings) ?? findLaunchd(surroundings) ?? new Unmanaged(surroundings, this.stateDir);
  }

  /** Made when a person stops the service: no helper starts it again. */
  get #stoppedMark(): string {
    return path.join(this.stateDir, 'stopped');
  }

  async plan(options: InstallOptions): Promise<InstallPlan> {
    const settings = this.#settings(options, true);
    const files = await this.manager.files(settings);
    return this.#describe(settings, files);
  }

  /** Idempotent; restarts a running daemon only if something changed or the package was upgraded. Returns before the daemon answers. */
  async install(options: InstallOptions): Promise<InstallPlan> {
    ensurePrivateFolder(this.stateDir, this.#surroundings.uid);
    const settings = this.#settings(options, false);
    const files = await this.manager.files(settings);
    refuseForeignLinks(files);
    installStableHelper(this.stateDir, this.#surroundings.uid);
    const written = files.map((file) => !isLink(file.path) && writePlanned(file));
    const recorded = writeLaunchRecord(this.stateDir, this.#record(settings, options.autostart));
    this.#forgetStop();
    const changed = written.includes(true) || recorded || (await this.#runsAnotherVersion());
    await this.manager.activate(settings, changed);
    return this.#describe(settings, files);
  }

  /** Everything that an installation writes, whether it is there or not. */
  get ownPlaces(): readonly string[] {
    const own = [launchFile(this.stateDir), this.#stoppedMark, path.dirname(runtimeCopy(this.stateDir))];
    return [...this.manager.places, ...own];
  }

  /** Takes away everything but the state and what another program installed. @returns what was removed. */
  async uninstall(): Promise<readonly string[]> {
    await this.manager.deactivate();
    const removed = this.ownPlaces.filter((file) => {
      if (lstatSync(file, { throwIfNoEntry: false }) === undefined || isLink(file)) return false;
      rmSync(file, { recursive: true, force: true });
      return true;
    });
    await this.manager.forget();
    return removed;
  }

  async start(): Promise<void> {
    await this.#requireInstalled();
    this.#forgetStop();
    await this.manager.start();
  }

  async stop(): Promise<void> {
    // First, or a helper would start it again while it stops.
    ensurePrivateFolder(this.stateDir, this.#surroundings.uid);
    writeFileSync(this.#stoppedMark, '', { mode: 0o600 });
    if ((await this.manager.state()).installed) await this.manager.stop();
    // One that a helper started before there was a service, or beside it.
    await new Unmanaged(this.#surroundings, this.stateDir).stop();
  }

  async restart(): Promise<void> {
    await this.#requireInstalled();
    this.#forgetStop();
    await this.manager.restart();
  }

  async state(): Promise<ServiceState & { readonly stoppedOnPurpose: boolean }> {
    const stoppedOnPurpose = lstatSync(this.#stoppedMark, { throwIfNoEntry: false }) !== undefined;
    return { ...(await this.manager.state()), stoppedOnPurpose };
  }

  /** Not asked of one that does not run: asking its socket would start it. */
  async #runsAnotherVersion(): Promise<boolean> {
    if (!(await this.manager.state()).running) return false;
    const daemon = await askStatus(this.#surroundings);
    return daemon !== undefined && daemon.version !== VERSION;
  }

  #settings(options: InstallOptions, dryRun: boolean): ServiceSettings {
    const { execPath, copyRuntime, sandbox } = options;
    return {
      daemon: daemonCommand({
        execPath,
        copyRuntime,
        dryRun,
        stateDir: this.stateDir,
        searched: this.#surroundings.env['PATH'],
      }),
      stateDir: this.stateDir,
      socket: this.#surroundings.env['BROKER_SOCKET'] || undefined,
      env: recordedEnvironment(this.#surroundings),
      sandbox,
    };
  }

  #record({ daemon, env }: ServiceSettings, autostart: boolean): LaunchRecord {
    const { kind, startCommand } = this.manager;
    const service =
      kind === 'none' || startCommand === undefined ? undefined : { manager: kind, command: startCommand };
    return { run: daemon.command, env, service, autostart };
  }

  #describe({ daemon }: ServiceSettings, files: readonly PlannedFile[]): InstallPlan {
    const { command, warnings } = daemon;
    const [helper, launch] = [stableHelper(this.stateDir), launchFile(this.stateDir)];
    return { manager: this.manager.kind, command, files, helper, launchFile: launch, warnings };
  }

  #forgetStop(): void {
    rmSync(this.#stoppedMark, { force: true });
  }

  async #requireInstalled(): Promise<void> {
    if ((await this.manager.state()).installed) return;
    throw new BrokerError('ERR_CONFIG', 'the broker service is not installed', {
      remedy: 'run: broker service install',
    });
  }
}

/**
 * Records how the helper starts the daemon when none answers, without installing a service: for `broker setup` and
 * `broker claude install`. What an installed service recorded is left alone.
 *
 * @returns the absolute path of the helper to write into settings.
 */
export function recordLaunch(surroundings: Surroundings, execPath: string): string {
  const folder = stateDir(surroundings);
  const helper = installStableHelper(folder, surroundings.uid);
  ensurePrivateFolder(folder, surroundings.uid);
  if (lstatSync(launchFile(folder), { throwIfNoEntry: false }) !== undefined) return helper;
  const searched = surroundings.env['PATH'];
  const { command } = daemonCommand({ execPath, stateDir: folder, copyRuntime: false, dryRun: false, searched });
  const env = recordedEnvironment(surroundings);
  writeLaunchRecord(folder, { run: command, env, service: undefined, autostart: true });
  return helper;
}

/**
 * Before anything is written. A link that leads to just what is planned may stay.
 *
 * @throws BrokerError ERR_CONFIG for one that leads to something else.
 */
function refuseForeignLinks(files: readonly PlannedFile[]): void {
  for (const { path: file, content } of files) {
    if (!isLink(file) || leadsTo(file, content)) continue;
    const target = readlinkSync(file);
    if (target === '/dev/null') {
      const unit = file.slice(file.lastIndexOf('/') + 1);
      throw new BrokerError('ERR_CONFIG', `${unit} is masked: it was meant not to run`, {
        remedy: `run: systemctl --user unmask ${unit}`,
      });
    }
    throw new BrokerError('ERR_CONFIG', `${file} is a link to ${target}: something else keeps it`, {
      remedy: `change it where it comes from (broker service install --dry-run shows what it should be), or run: rm ${shellWord(file)}`,
    });
  }
}

function leadsTo(file: string, content: string): boolean {
  const read = readRegularFile(file, { maxBytes: Buffer.byteLength(content) });
  return read.state === 'read' && read.bytes.toString() === content;
}
