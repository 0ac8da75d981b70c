import { existsSync } from 'node:fs';
import path from 'node:path';
import { ownStateDir, stateDir } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import { LAUNCH_AGENT, launchAgentLog } from '../platform/installation.ts';
import { readRefusal } from '../platform/refusal.ts';
import { printable, redact } from '../platform/text.ts';
import { sleep } from '../platform/waiting.ts';
import { explainExit, type ServiceFailure } from './failure.ts';
import {
  type LogPart,
  type PlannedFile,
  type ProgramOutcome,
  run,
  type ServiceManager,
  type ServiceSettings,
  type ServiceState,
  type Surroundings,
} from './manager.ts';

const LAUNCHCTL = '/bin/launchctl';

/** What launchctl(1) exits with, which are launchd's own error numbers: `launchctl error NUMBER` explains them. */
const NOT_LOADED = [3, 113];
const UNDER_WAY = [36, 37];
const NO_DOMAIN = [112, 125];
const DISABLED = 119;

/** The agent has ExitTimeOut seconds to end, and launchd a moment to notice. */
const UNLOAD_LIMIT_MS = 10_000;
const LOOK_EVERY_MS = 50;

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
  readonly #surroundings: Surroundings;
  readonly #launchctl: string;

  /** `launchctl`: for tests. */
  constructor(surroundings: Surroundings, launchctl = LAUNCHCTL) {
    const { homeDir, uid } = surroundings;
    this.#launchctl = launchctl;
    this.#surroundings = surroundings;
    this.#domain = `gui/${uid}`;
    this.#plist = path.join(homeDir, 'Library', 'LaunchAgents', `${LAUNCH_AGENT}.plist`);
    this.#logFile = launchAgentLog(homeDir);
    this.describeCommand = [launchctl, 'print', this.#target];
    this.logRemedy = `the log is ${this.#logFile}; it is there once the agent has run`;
    this.startCommand = [launchctl, 'kickstart', this.#target];
  }

  get #target(): string {
    return `${this.#domain}/${LAUNCH_AGENT}`;
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
    if (!(await this.#isLoaded())) await this.#load();
    // One that runs already says that it does.
    await this.#must(['kickstart', this.#target], UNDER_WAY);
  }

  async stop(): Promise<void> {
    await this.#unload();
  }

  async restart(): Promise<void> {
    if (await this.#isLoaded()) await this.#must(['kickstart', '-k', this.#target]);
    else await this.start();
  }

  async state(): Promise<ServiceState> {
    const { code, stdout } = await this.#try('print', this.#target);
    const pid = /^\s*pid = (\d+)$/m.exec(stdout)?.[1];
    const state = /^\s*state = (.+)$/m.exec(stdout)?.[1] ?? 'not loaded';
    const isSwitchedOff = code !== 0 && (await this.#isSwitchedOff());
    return {
      installed: existsSync(this.#plist),
      enabled: existsSync(this.#plist) && !isSwitchedOff,
      running: code === 0 && pid !== undefined,
      pid: pid === undefined ? undefined : Number(pid),
      source: existsSync(this.#plist) ? this.#plist : undefined,
      detail: isSwitchedOff ? `agent ${this.#switchedOff.reason}` : `agent ${state}`,
    };
  }

  async failure(): Promise<ServiceFailure | undefined> {
    const { stdout } = await this.#try('print', this.#target);
    const status = /^\s*last exit code = (\d+)/m.exec(stdout)?.[1];
    const { uid, clock } = this.#surroundings;
    // With a configuration that it refuses the agent ends with 0, so that launchd does not start it again and again.
    const refusal = readRefusal(ownStateDir(stateDir(this.#surroundings)), uid, clock.wall());
    return (
      explainExit(refusal?.exitCode ?? Number(status ?? 0)) ??
      ((await this.#isSwitchedOff()) ? this.#switchedOff : undefined)
    );
  }

  logCommand({ lines, follow = false }: LogPart): readonly string[] {
    return ['/usr/bin/tail', '-n', String(lines), ...(follow ? ['-F'] : []), this.#logFile];
  }

  async #isLoaded(): Promise<boolean> {
    return (await this.#try('print', this.#target)).code === 0;
  }

  async #load(): Promise<void> {
    if (NO_DOMAIN.includes((await this.#try('print', this.#domain)).code)) {
      throw new BrokerError(
        'ERR_DAEMON_UNREACHABLE',
        'launch agents need a graphical login, and nobody is logged in on this Mac',
        {
          remedy: 'log in at its screen and run this again; until then the helper starts the daemon',
        },
      );
    }
    // A person who once disabled it has asked for it again.
    await this.#try('enable', this.#target);
    const { code, stderr } = await this.#try('bootstrap', this.#domain, this.#plist);
    // launchd(8) says "Input/output error" for many things, one that is loaded already among them.
    if (code === 0 || (await this.#isLoaded())) return;
    if (code === DISABLED || (await this.#isSwitchedOff())) {
      const { code: errorCode, reason, remedy } = this.#switchedOff;
      throw new BrokerError(errorCode, `the agent ${reason}`, { remedy });
    }
    throw failed(['bootstrap', this.#domain, this.#plist], code, stderr, `see why: plutil -lint '${this.#plist}'`);
  }

  /** By `launchctl disable`, or by the switch in System Settings, which `launchctl enable` does not turn on again. */
  async #isSwitchedOff(): Promise<boolean> {
    const { stdout } = await this.#try('print-disabled', this.#domain);
    const said = stdout.split('\n').find((line) => line.includes(`"${LAUNCH_AGENT}"`));
    return said !== undefined && /=> (?:disabled|true)/.test(said);
  }

  get #switchedOff(): ServiceFailure {
    return {
      code: 'ERR_DAEMON_UNREACHABLE',
      reason: 'is switched off on this Mac',
      remedy: `turn it on in System Settings, General, Login Items & Extensions (or run: launchctl enable ${this.#target}), then run: broker service start`,
    };
  }

  /** Returns when it is gone: loading it while it ends fails. */
  async #unload(): Promise<void> {
    if (!(await this.#isLoaded())) return;
    await this.#must(['bootout', this.#target], [...NOT_LOADED, ...UNDER_WAY]);
    const { clock } = this.#surroundings;
    const giveUpAt = clock.now() + UNLOAD_LIMIT_MS;
    while (await this.#isLoaded()) {
      if (clock.now() >= giveUpAt) throw failed(['bootout', this.#target], 36, 'it does not end', 'try again');
      await sleep(LOOK_EVERY_MS, clock);
    }
  }

  #try(...args: string[]): Promise<ProgramOutcome> {
    return run([this.#launchctl, ...args], this.#surroundings);
  }

  async #must(args: readonly string[], alsoFine: readonly number[] = []): Promise<void> {
    const { code, stderr } = await this.#try(...args);
    if (code !== 0 && !alsoFine.includes(code)) throw failed(args, code, stderr, 'see why: broker service logs');
  }
}

function failed(args: readonly string[], code: number, stderr: string, remedy: string): BrokerError {
  const said = printable(redact(stderr), 300) || `exit ${code}`;
  return new BrokerError('ERR_DAEMON_UNREACHABLE', `launchctl ${args.join(' ')} failed: ${said}`, { remedy });
}

interface AgentValues {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
}

type Value = string | number | boolean | readonly Value[] | { readonly [key: string]: Value };

/** The agent, by the keys of launchd.plist(5). */
export function launchAgent({ command, env, logFile }: AgentValues) {
  return {
    Label: LAUNCH_AGENT,
    ProgramArguments: command,
    EnvironmentVariables: env,
    RunAtLoad: true,
    // Started again unless it ended with 0, but not more often than every five seconds.
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 5,
    // Seconds from SIGTERM to SIGKILL; the daemon takes 5 at most.
    ExitTimeOut: 8,
    // Claude Code waits for its answers. Adaptive would be Background: it goes by the activity on XPC connections, of
    // which there are none. Standard throttles CPU and I/O.
    ProcessType: 'Interactive',
    WorkingDirectory: '/',
    Umask: 0o077,
    HardResourceLimits: { Core: 0 },
    SoftResourceLimits: { Core: 0 },
    StandardOutPath: logFile,
    StandardErrorPath: logFile,
  } satisfies Value;
}

/** The agent as an XML property list. */
export function formatPlist(agent: Readonly<Record<string, Value>>): string {
  const head =
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n';
  return `${head}<plist version="1.0">\n${element(agent, '')}</plist>\n`;
}

function element(value: Value, indent: string): string {
  if (typeof value === 'string') return `${indent}<string>${escaped(value)}</string>\n`;
  if (typeof value === 'number') return `${indent}<integer>${value}</integer>\n`;
  if (typeof value === 'boolean') return `${indent}<${value}/>\n`;
  const deeper = `${indent}  `;
  if (isList(value)) return `${indent}<array>\n${value.map((one) => element(one, deeper)).join('')}${indent}</array>\n`;
  const entries = Object.entries(value).map(
    ([key, one]) => `${deeper}<key>${escaped(key)}</key>\n${element(one, deeper)}`,
  );
  return `${indent}<dict>\n${entries.join('')}${indent}</dict>\n`;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
