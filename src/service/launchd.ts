import { existsSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { explainExit, type ServiceFailure } from './failure.ts';
import { formatPlist, LABEL, launchAgent } from './launch-agent.ts';
import type { LogPart, PlannedFile, ServiceManager, ServiceSettings, ServiceState } from './manager.ts';
import { type Outcome, run, type Surroundings } from './surroundings.ts';

const LAUNCHCTL = '/bin/launchctl';

/** The user's agents; undefined on systems that have no launchd. */
export function findLaunchd(surroundings: Surroundings): Launchd | undefined {
  return surroundings.platform === 'darwin' ? new Launchd(surroundings) : undefined;
}

/** An agent of the user's own in ~/Library/LaunchAgents. */
export class Launchd implements ServiceManager {
  readonly kind = 'launchd';
  readonly startCommand: readonly string[];
  readonly describeCommand: readonly string[];
  readonly logRemedy: string;
  readonly #domain: string;
  readonly #plist: string;
  readonly #logFile: string;
  readonly #env: Surroundings['env'];

  constructor({ env, homeDir, uid }: Surroundings) {
    this.#domain = `gui/${uid}`;
    this.#plist = path.join(homeDir, 'Library', 'LaunchAgents', `${LABEL}.plist`);
    this.#logFile = path.join(homeDir, 'Library', 'Logs', `${LABEL}.log`);
    this.#env = env;
    this.describeCommand = [LAUNCHCTL, 'print', this.#target];
    this.logRemedy = `the log is ${this.#logFile}; it is there once the agent has run`;
    this.startCommand = [LAUNCHCTL, 'kickstart', this.#target];
  }

  get #target(): string {
    return `${this.#domain}/${LABEL}`;
  }

  get places(): readonly string[] {
    return [this.#plist];
  }

  async files({ daemon, stateDir, socket, env }: ServiceSettings): Promise<readonly PlannedFile[]> {
    const variables = {
      BROKER_STATE_DIR: stateDir,
      ...(socket === undefined ? {} : { BROKER_SOCKET: socket }),
      ...env,
    };
    const agent = launchAgent({ command: daemon.command, env: variables, logFile: this.#logFile });
    return [{ path: this.#plist, content: formatPlist(agent), mode: 0o644 }];
  }

  async activate(_: ServiceSettings, changed: boolean): Promise<void> {
    // launchd reads an agent's file only when it loads it.
    if (changed) await this.#unload();
    await this.start();
  }

  async deactivate(): Promise<void> {
    await this.#unload();
  }

  async forget(): Promise<void> {}

  async start(): Promise<void> {
    if (!(await this.#isLoaded())) await this.#must('bootstrap', this.#domain, this.#plist);
    await this.#must('kickstart', this.#target);
  }

  async stop(): Promise<void> {
    await this.#unload();
  }

  async restart(): Promise<void> {
    if (await this.#isLoaded()) await this.#must('kickstart', '-k', this.#target);
    else await this.start();
  }

  async state(): Promise<ServiceState> {
    const { code, stdout } = await this.#try('print', this.#target);
    const pid = /^\s*pid = (\d+)$/m.exec(stdout)?.[1];
    const state = /^\s*state = (.+)$/m.exec(stdout)?.[1] ?? 'not loaded';
    return {
      installed: existsSync(this.#plist),
      enabled: existsSync(this.#plist),
      running: code === 0 && pid !== undefined,
      pid: pid === undefined ? undefined : Number(pid),
      source: existsSync(this.#plist) ? this.#plist : undefined,
      detail: `agent ${state}`,
    };
  }

  async failure(): Promise<ServiceFailure | undefined> {
    const { stdout } = await this.#try('print', this.#target);
    const status = /^\s*last exit code = (\d+)/m.exec(stdout)?.[1];
    return explainExit(Number(status ?? 0));
  }

  logCommand({ lines, follow = false }: LogPart): readonly string[] {
    return ['/usr/bin/tail', '-n', String(lines), ...(follow ? ['-F'] : []), this.#logFile];
  }

  async #isLoaded(): Promise<boolean> {
    return (await this.#try('print', this.#target)).code === 0;
  }

  async #unload(): Promise<void> {
    if (await this.#isLoaded()) await this.#try('bootout', this.#target);
  }

  #try(...args: string[]): Promise<Outcome> {
    return run([LAUNCHCTL, ...args], this.#env);
  }

  async #must(...args: string[]): Promise<void> {
    const { code, stderr } = await this.#try(...args);
    if (code === 0) return;
    throw new BrokerError(
      'ERR_DAEMON_UNREACHABLE',
      `launchctl ${args.join(' ')} failed: ${stderr.trim() || `exit ${code}`}`,
      {
        remedy: 'see why: broker service logs',
      },
    );
  }
}
