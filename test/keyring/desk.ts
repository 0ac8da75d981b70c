import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '../fakes/processes.ts';

const PASSWORD = 'correct horse';
const SECRETS = 'org.freedesktop.secrets';
const BUS = ['org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus'];

/** Why these tests cannot be run here; undefined: they can. */
export function missingPrograms(): string | undefined {
  if (process.platform !== 'linux') return 'the Secret Service is for Linux';
  const missing = ['busctl', 'dbus-daemon', 'gnome-keyring-daemon'].filter(
    (program) => spawnSync('/bin/sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}

/**
 * A person's desk: a session bus and GNOME Keyring, of its own and with nothing of this machine's. Whoever would have
 * been asked to unlock something is counted, and never answers.
 */
export class Desk implements AsyncDisposable {
  readonly folder: string;
  readonly #prompts: string;
  readonly #env: Record<string, string>;
  #bus: ChildProcess | undefined;
  #keyring: ChildProcess | undefined;

  /** `session`: of somebody who is logged in, with the bus where systemd puts it; default: folders of its own. */
  constructor(session?: { readonly home: string; readonly runtime: string }) {
    this.folder = mkdtempSync(path.join(session?.home ?? tmpdir(), 'broker-desk-'));
    this.#prompts = path.join(this.folder, 'prompts');
    const data = path.join(this.folder, 'data');
    const runtime = session?.runtime ?? path.join(this.folder, 'run');
    for (const folder of [data, runtime]) mkdirSync(folder, { mode: 0o700, recursive: true });
    this.#env = {
      HOME: this.folder,
      XDG_DATA_HOME: data,
      XDG_RUNTIME_DIR: runtime,
      DBUS_SESSION_BUS_ADDRESS: `unix:path=${path.join(runtime, 'bus')}`,
      PATH: '/usr/local/bin:/usr/bin:/bin',
    };
  }

  /** What a program of this session has in its environment. */
  get env(): Readonly<Record<string, string>> {
    return this.#env;
  }

  /** What a program that has a home of its own needs of it. */
  get session(): { readonly DBUS_SESSION_BUS_ADDRESS: string } {
    const { DBUS_SESSION_BUS_ADDRESS = '' } = this.#env;
    return { DBUS_SESSION_BUS_ADDRESS };
  }

  /** How often somebody was to be asked for a password. */
  get prompts(): number {
    return existsSync(this.#prompts) ? readFileSync(this.#prompts, 'utf8').length : 0;
  }

  /** A bus, and a keyring that its person has unlocked. */
  async start(): Promise<void> {
    await this.startBus();
    await this.startKeyring('unlocked');
  }

  async startBus(): Promise<void> {
    const services = path.join(this.folder, 'services');
    mkdirSync(services, { recursive: true });
    const prompter = path.join(this.folder, 'prompter');
    writeFileSync(prompter, `#!/bin/sh\nprintf p >> '${this.#prompts}'\nexec sleep 20\n`);
    chmodSync(prompter, 0o755);
    for (const name of ['org.gnome.keyring.SystemPrompter', 'org.gnome.keyring.PrivatePrompter']) {
      writeFileSync(path.join(services, `${name}.service`), `[D-BUS Service]\nName=${name}\nExec=${prompter}\n`);
    }
    const config = path.join(this.folder, 'bus.conf');
    writeFileSync(
      config,
      `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
        "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
      <busconfig><type>session</type><listen>${this.#env['DBUS_SESSION_BUS_ADDRESS']}</listen>
      <servicedir>${services}</servicedir><auth>EXTERNAL</auth>
      <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`,
    );
    const bus = spawn('dbus-daemon', ['--nofork', '--print-address', `--config-file=${config}`], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#bus = bus;
    await new Promise((resolve) => bus.stdout.once('data', resolve));
  }

  async stopBus(): Promise<void> {
    await end(this.#bus);
    this.#bus = undefined;
    rmSync(path.join(this.#env['XDG_RUNTIME_DIR'] ?? '', 'bus'), { force: true });
  }

  /** unlocked: as after a login with a password, which makes the default collection · locked: as after one without. */
  async startKeyring(state: 'unlocked' | 'locked'): Promise<void> {
    const args = ['--foreground', '--components=pkcs11,secrets', state === 'unlocked' ? '--unlock' : '--start'];
    const keyring = spawn('gnome-keyring-daemon', args, { env: this.#env, stdio: ['pipe', 'ignore', 'ignore'] });
    keyring.stdin.end(state === 'unlocked' ? PASSWORD : '');
    this.#keyring = keyring;
    await this.#untilOwned(true);
  }

  async stopKeyring(): Promise<void> {
    await end(this.#keyring);
    this.#keyring = undefined;
    await this.#untilOwned(false);
  }

  async restartKeyring(state: 'unlocked' | 'locked'): Promise<void> {
    await this.stopKeyring();
    await this.startKeyring(state);
  }

  /** As on a machine where nobody ever logged in with a password: the keyring has no collection that lasts. */
  forgetCollections(): void {
    rmSync(path.join(this.#env['XDG_DATA_HOME'] ?? '', 'keyrings'), { recursive: true, force: true });
  }

  /** Alive, and answers nothing any more. Resolves as soon as somebody else has come to the bus to ask it. */
  freezeKeyring(): { readonly asked: () => Promise<void> } {
    this.#keyring?.kill('SIGSTOP');
    const before = this.#connections();
    return { asked: () => until(() => this.#connections() > before) };
  }

  thawKeyring(): void {
    this.#keyring?.kill('SIGCONT');
  }

  /** The accounts under which keys of ours are kept: what a person would see in Passwords and Keys. */
  async accounts(): Promise<string[]> {
    const service = [SECRETS, '/org/freedesktop/secrets', 'org.freedesktop.Secret.Service'];
    const found = this.#busctl('call', ...service, 'SearchItems', 'a{ss}', '1', 'service', 'apikey-broker');
    const items = (found as string[][]).flat();
    const attributesOf = (item: string) =>
      this.#busctl('get-property', SECRETS, item, 'org.freedesktop.Secret.Item', 'Attributes');
    return items.map((item) => (attributesOf(item) as Record<string, string>)['username'] ?? '').sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thawKeyring();
    await end(this.#keyring);
    await this.stopBus();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #untilOwned(owned: boolean): Promise<void> {
    const hasOwner = () => this.#busctl('call', ...BUS, 'NameHasOwner', 's', SECRETS) as readonly boolean[];
    await until(() => hasOwner()[0] === owned);
  }

  /** On the bus, the one of whoever looks included. */
  #connections(): number {
    return (this.#busctl('call', ...BUS, 'ListNames') as readonly (readonly string[])[]).flat().length;
  }

  #busctl(...words: string[]): unknown {
    const { stdout } = spawnSync('busctl', ['--user', '--json=short', ...words], { env: this.#env, encoding: 'utf8' });
    return JSON.parse(stdout).data;
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
