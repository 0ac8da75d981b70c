import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { BrokerError } from '../errors.ts';
import { programsOnPath, statQuietly } from '../platform/files.ts';
import { loadNative, PACKAGE_ROOT } from '../platform/native.ts';
import { firstLine } from '../platform/text.ts';
import { explainUnit, type ServiceFailure } from './failure.ts';
import {
  isLink,
  type LogPart,
  type PlannedFile,
  type ProgramOutcome,
  run,
  type ServiceManager,
  type ServiceSettings,
  type ServiceState,
  type Surroundings,
} from './manager.ts';

const SERVICE = 'broker.service';
const SOCKET = 'broker.socket';

/** The user's own systemd; undefined where none runs (containers, `su`, machines with another init). */
export function findSystemd(surroundings: Surroundings): Systemd | undefined {
  const { env, uid, platform } = surroundings;
  if (platform !== 'linux') return undefined;
  const runtimeDir = env['XDG_RUNTIME_DIR'] || `/run/user/${uid}`;
  // After `su` it may be the folder of the user before, which lets nobody in.
  if (statQuietly(path.join(runtimeDir, 'systemd', 'private'))?.isSocket() !== true) return undefined;
  const systemctl = findProgram('systemctl', env['PATH']);
  return systemctl === undefined ? undefined : new Systemd(surroundings, systemctl, runtimeDir);
}

/** Units of the user's own in ~/.config/systemd/user. */
class Systemd implements ServiceManager {
  readonly kind = 'systemd';
  readonly startCommand: readonly string[];
  readonly describeCommand: readonly string[];
  readonly logRemedy =
    "a user's own log needs a journal on the disk: sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald";
  readonly #systemctl: readonly string[];
  readonly #folder: string;
  readonly #surroundings: Pick<Surroundings, 'env' | 'clock'>;

  constructor({ env, homeDir, clock }: Surroundings, systemctl: string, runtimeDir: string) {
    this.#systemctl = [systemctl, '--user'];
    this.startCommand = [...this.#systemctl, 'start', SOCKET, SERVICE];
    this.describeCommand = [...this.#systemctl, 'status', '--no-pager', '--full', '--lines=0', SERVICE];
    const config = env['XDG_CONFIG_HOME'];
    const base = config !== undefined && path.isAbsolute(config) ? config : path.join(homeDir, '.config');
    this.#folder = path.join(base, 'systemd', 'user');
    const quiet = { XDG_RUNTIME_DIR: runtimeDir, SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' };
    this.#surroundings = { env: { ...env, ...quiet }, clock };
  }

  get places(): readonly string[] {
    return [SERVICE, SOCKET].map((name) => path.join(this.#folder, name));
  }

  async files(settings: ServiceSettings): Promise<readonly PlannedFile[]> {
    const { daemon, stateDir, socket, env, sandbox } = settings;
    return unitFiles(this.#folder, {
      command: daemon.command,
      stateDir,
      socket,
      env,
      canNotify: loadNative() !== undefined,
      namespaces: sandbox === undefined ? await this.#allowsNamespaces() : sandbox === 'full',
    });
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
    // systemctl(1): disabling a unit that is a link removes the link, which is not ours.
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
    // Both at once: the socket alone would start the service again for the next client.
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
    return (await run(['systemd-run', ...options, ...more, '/bin/true'], this.#surroundings)).code === 0;
  }

  #try(...args: string[]): Promise<ProgramOutcome> {
    return run([...this.#systemctl, ...args], this.#surroundings);
  }

  async #must(...args: string[]): Promise<void> {
    const { code, stderr } = await this.#try(...args);
    if (code === 0) return;
    const said = firstLine(stderr);
    throw new BrokerError(
      'ERR_DAEMON_UNREACHABLE',
      `systemctl --user ${args.join(' ')} failed: ${said || `exit ${code}`}`,
      {
        remedy: 'see why: broker service logs',
      },
    );
  }
}

function parse({ stdout }: ProgramOutcome): Record<string, string> {
  const lines = stdout.split('\n').filter((line) => line.includes('='));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

function findProgram(name: string, searched: string | undefined): string | undefined {
  return programsOnPath(name, `${searched ?? ''}:/usr/bin:/bin`)[0];
}

export interface UnitValues {
  /** Absolute program and arguments of the daemon. */
  readonly command: readonly string[];
  /** Undefined: `%h/.local/state/broker`, of whichever user. */
  readonly stateDir: string | undefined;
  /** Undefined: `%t/broker/broker.sock`, of whichever user. */
  readonly socket: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** The daemon can speak sd_notify(3), for which it needs the addon. */
  readonly canNotify: boolean;
  /** Sandboxing that needs user namespaces. */
  readonly namespaces: boolean;
}

export function unitFiles(folder: string, values: UnitValues): readonly PlannedFile[] {
  return Object.entries(renderUnits(values)).map(([name, content]) => ({
    path: path.join(folder, name),
    content,
    mode: 0o644,
  }));
}

export interface Units {
  readonly 'broker.service': string;
  readonly 'broker.socket': string;
}

/** The templates in systemd/, their @NAMES@ filled in. */
export function renderUnits(values: UnitValues): Units {
  const state = values.stateDir === undefined ? '%h/.local/state/broker' : specifiers(values.stateDir);
  const env = Object.entries(values.env).map(([name, value]) => environmentLine(name, specifiers(value)));
  const filled: Readonly<Record<string, string>> = {
    '@DOCS@': specifiers(pathToFileURL(path.join(PACKAGE_ROOT, 'docs', 'service.md')).href.replaceAll("'", '%27')),
    '@TYPE@': values.canNotify ? 'notify' : 'exec',
    '@COMMAND@': [...values.command, '--journal']
      .map((word) => quoted(specifiers(word).replaceAll('$', '$$$$')))
      .join(' '),
    '@WATCHDOG@': values.canNotify
      ? 'WatchdogSec=60s'
      : '# No WatchdogSec=: without its addon the daemon cannot give signs of life.',
    '@ENVIRONMENT@': [environmentLine('BROKER_STATE_DIR', state), ...env].join('\n'),
    '@TMP@': needsSharedTmp(values) ? '# No PrivateTmp=yes: what it runs or keeps is under /tmp.' : 'PrivateTmp=yes',
    '@WRITABLE@': quoted(`-${state}`),
    '@SOCKET@': values.socket === undefined ? '%t/broker/broker.sock' : specifiers(values.socket),
  };
  const render = (name: keyof Units) => fill(chosen(template(name), values.namespaces), filled);
  return { 'broker.service': render('broker.service'), 'broker.socket': render('broker.socket') };
}

/** In a /tmp of its own the service would not find what is in the real one: a runtime unpacked there, a test's home. */
function needsSharedTmp({ command, stateDir, socket, env }: UnitValues): boolean {
  const paths = [...command, stateDir ?? '', socket ?? '', ...Object.values(env)];
  return paths.some((word) => /^\/(?:var\/)?tmp\//.test(word));
}

function template(name: string): string {
  return readFileSync(path.join(PACKAGE_ROOT, 'systemd', name), 'utf8');
}

const SECTION = /^#@ namespaces: (.*)\n([\s\S]*?)^#@ end\n/m;

function chosen(text: string, namespaces: boolean): string {
  return text.replace(SECTION, (_, needs: string, lines: string) =>
    namespaces ? lines : `# Left out is what ${needs}.\n`,
  );
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/@[A-Z]+@/g, (name) => values[name] ?? name);
}

function environmentLine(name: string, value: string): string {
  return `Environment=${quoted(`${name}=${value}`)}`;
}

/** systemd.unit(5), "Specifiers". */
function specifiers(text: string): string {
  return text.replaceAll('%', '%%');
}

/** systemd.syntax(7), "Quoting". */
function quoted(word: string): string {
  if (/^[\w./:=@%+,$~-]+$/.test(word)) return word;
  return `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
