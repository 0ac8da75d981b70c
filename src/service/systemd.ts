import { accessSync, constants, lstatSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../errors.ts';
import { loadNative } from '../platform/native.ts';
import { explainUnit, type ServiceFailure } from './failure.ts';
import type { LogPart, PlannedFile, ServiceManager, ServiceSettings, ServiceState } from './manager.ts';
import { isLink } from './planned-links.ts';
import { type Outcome, run, type Surroundings } from './surroundings.ts';
import { renderUnits } from './systemd-units.ts';

const SERVICE = 'broker.service';
const SOCKET = 'broker.socket';

/** The user's own systemd; undefined where none runs (containers, `su`, machines with another init). */
export function findSystemd(surroundings: Surroundings): Systemd | undefined {
  const { env, uid, platform } = surroundings;
  if (platform !== 'linux') return undefined;
  const runtimeDir = env['XDG_RUNTIME_DIR'] || `/run/user/${uid}`;
  if (lstatSync(path.join(runtimeDir, 'systemd', 'private'), { throwIfNoEntry: false })?.isSocket() !== true)
    return undefined;
  const systemctl = findProgram('systemctl', env['PATH']);
  return systemctl === undefined ? undefined : new Systemd(surroundings, systemctl, runtimeDir);
}

/** Units of the user's own in ~/.config/systemd/user. */
export class Systemd implements ServiceManager {
  readonly kind = 'systemd';
  readonly startCommand: readonly string[];
  readonly describeCommand: readonly string[];
  readonly logRemedy =
    "a user's own log needs a journal on the disk: sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald";
  readonly #systemctl: readonly string[];
  readonly #folder: string;
  readonly #env: Surroundings['env'];

  constructor({ env, homeDir }: Surroundings, systemctl: string, runtimeDir: string) {
    this.#systemctl = [systemctl, '--user'];
    this.startCommand = [...this.#systemctl, 'start', SOCKET, SERVICE];
    this.describeCommand = [...this.#systemctl, 'status', '--no-pager', '--full', '--lines=0', SERVICE];
    const config = env['XDG_CONFIG_HOME'];
    const base = config !== undefined && path.isAbsolute(config) ? config : path.join(homeDir, '.config');
    this.#folder = path.join(base, 'systemd', 'user');
    this.#env = { ...env, XDG_RUNTIME_DIR: runtimeDir, SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' };
  }

  get places(): readonly string[] {
    return [SERVICE, SOCKET].map((name) => path.join(this.#folder, name));
  }

  async files(settings: ServiceSettings): Promise<readonly PlannedFile[]> {
    const { daemon, stateDir, socket, env, sandbox } = settings;
    const units = renderUnits({
      command: daemon.command,
      stateDir,
      socket,
      env,
      canNotify: loadNative() !== undefined,
      namespaces: sandbox === undefined ? await this.#allowsNamespaces() : sandbox === 'full',
    });
    return Object.entries(units).map(([name, content]) => ({
      path: path.join(this.#folder, name),
      content,
      mode: 0o644,
    }));
  }

  async activate(_: ServiceSettings, changed: boolean): Promise<void> {
    const running = (await this.state()).running;
    await this.#must('daemon-reload');
    await this.#must('enable', '--quiet', SOCKET);
    await this.start();
    // A running daemon is the old version's; the socket goes on holding the line.
    if (running && changed) await this.restart();
  }

  async deactivate(): Promise<void> {
    // systemctl(1): disabling a unit that is a link removes the link, which is somebody else's.
    if (!this.places.some(isLink)) await this.#try('disable', '--quiet', '--now', SOCKET, SERVICE);
    await this.#try('stop', SOCKET, SERVICE);
  }

  async forget(): Promise<void> {
    await this.#try('daemon-reload');
    await this.#try('reset-failed', SOCKET, SERVICE);
  }

  async start(): Promise<void> {
    // Else a start that failed too often a minute ago is refused without a try.
    await this.#try('reset-failed', SOCKET, SERVICE);
    await this.#must('start', SOCKET, SERVICE);
  }

  async stop(): Promise<void> {
    // Both at once: the socket alone would start the service again for whoever asks next.
    await this.#must('stop', SOCKET, SERVICE);
  }

  async restart(): Promise<void> {
    await this.#try('reset-failed', SOCKET, SERVICE);
    await this.#must('start', SOCKET);
    await this.#must('restart', SERVICE);
  }

  async state(): Promise<ServiceState> {
    const properties = ['LoadState', 'ActiveState', 'SubState', 'MainPID', 'Result', 'FragmentPath'];
    const service = parse(await this.#try('show', `--property=${properties}`, SERVICE));
    const socket = parse(await this.#try('show', '--property=LoadState,UnitFileState,ActiveState', SOCKET));
    const pid = Number(service['MainPID'] ?? 0);
    const result = service['Result'] === 'success' ? '' : `, ${service['Result']}`;
    return {
      installed: service['LoadState'] === 'loaded' && socket['LoadState'] === 'loaded',
      enabled: socket['UnitFileState']?.startsWith('enabled') === true,
      running: service['ActiveState'] === 'active' || service['ActiveState'] === 'reloading',
      pid: pid > 0 ? pid : undefined,
      source: service['FragmentPath'] || undefined,
      detail: `service ${service['ActiveState']} (${service['SubState']}${result}), socket ${socket['ActiveState']}`,
    };
  }

  async failure(): Promise<ServiceFailure | undefined> {
    const properties = ['Result', 'ExecMainCode', 'ExecMainStatus', 'ExecStart'];
    return explainUnit(parse(await this.#try('show', `--property=${properties}`, SERVICE)));
  }

  logCommand({ lines, follow = false, sinceMs }: LogPart): readonly string[] {
    const options = ['--no-pager', '--output=cat', `--lines=${lines}`];
    const since = sinceMs === undefined ? [] : [`--since=@${(sinceMs / 1000).toFixed(3)}`];
    return ['journalctl', '--user', `--unit=${SERVICE}`, ...options, ...since, ...(follow ? ['--follow'] : [])];
  }

  /** Some distributions and many containers forbid them; then a unit that asks for them does not start at all. */
  async #allowsNamespaces(): Promise<boolean> {
    // Not --wait, which needs a session bus: a server often has none, and the start of a oneshot is over when it has ended.
    const options = ['--user', '--quiet', '--collect', '--service-type=oneshot', '--property=PrivateUsers=yes'];
    const more = ['--property=ProtectSystem=strict', '--property=CapabilityBoundingSet='];
    return (await run(['systemd-run', ...options, ...more, '/bin/true'], this.#env)).code === 0;
  }

  #try(...args: string[]): Promise<Outcome> {
    return run([...this.#systemctl, ...args], this.#env);
  }

  async #must(...args: string[]): Promise<void> {
    const { code, stderr } = await this.#try(...args);
    if (code === 0) return;
    const said = stderr.trim().split('\n')[0] ?? '';
    throw new BrokerError(
      'ERR_DAEMON_UNREACHABLE',
      `systemctl --user ${args.join(' ')} failed: ${said || `exit ${code}`}`,
      {
        remedy: 'see why: broker service logs',
      },
    );
  }
}

function parse({ stdout }: Outcome): Record<string, string> {
  const lines = stdout.split('\n').filter((line) => line.includes('='));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function findProgram(name: string, searched: string | undefined): string | undefined {
  const folders = [...(searched ?? '').split(':'), '/usr/bin', '/bin'].filter((folder) => path.isAbsolute(folder));
  return folders.map((folder) => path.join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
