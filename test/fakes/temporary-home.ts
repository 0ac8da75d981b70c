import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readLockHolder } from '../../src/platform/state-lock.ts';
import { isRunning, until } from './processes.ts';

export const KEY = 'sk-test';

export const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "${KEY}"]
`;

/** A user's home with a configuration whose keys need no network, and a runtime folder. Whoever is left is killed. */
export class TemporaryHome implements AsyncDisposable {
  readonly path: string;
  readonly config: string;
  readonly state: string;
  readonly runtime: string;
  readonly socket: string;
  readonly env: Record<string, string>;

  constructor(config = CONFIG) {
    this.path = mkdtempSync(path.join(tmpdir(), 'broker-home-'));
    this.config = path.join(this.path, '.config', 'broker', 'config.toml');
    this.state = path.join(this.path, '.local', 'state', 'broker');
    this.runtime = path.join(this.path, 'run');
    for (const folder of [path.dirname(this.config), this.state, this.runtime]) {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    }
    writeFileSync(this.config, config, { mode: 0o600 });
    this.socket = path.join(this.runtime, 'broker', 'broker.sock');
    // Named, although it is the first place: where nothing answers there, the others are those of the broker that whoever runs
    // the tests may have running.
    this.env = { HOME: this.path, XDG_RUNTIME_DIR: this.runtime, BROKER_SOCKET: this.socket };
  }

  /** Of the daemon that has this state folder, if it is alive. */
  get daemonPid(): number | undefined {
    const pid = readLockHolder(path.join(this.state, 'lock'))?.pid;
    return pid !== undefined && isRunning(pid) ? pid : undefined;
  }

  async stopDaemon(): Promise<void> {
    const pid = this.daemonPid;
    if (pid === undefined) return;
    process.kill(pid, 'SIGKILL');
    await until(() => !isRunning(pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopDaemon();
    rmSync(this.path, { recursive: true, force: true });
  }
}
