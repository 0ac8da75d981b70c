import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { helperPath, PACKAGE_ROOT } from '../platform/native.ts';

/** The daemon answers well within a second; a busy machine may need more. */
const START_LIMIT_MS = 15_000;
const POLL_MS = 20;

/** Temporary folders, and the real daemon and the real helper working in them. `close()` leaves nothing behind. */
export class Workshop {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  #daemon: ChildProcess | undefined;

  constructor(clock: Clock, parentEnv: Readonly<Record<string, string | undefined>>) {
    this.#clock = clock;
    this.folder = mkdtempSync(join(tmpdir(), 'broker-demo-'));
    this.env = {
      PATH: parentEnv['PATH'] ?? '/usr/bin:/bin',
      HOME: this.folder,
      BROKER_CONFIG: join(this.folder, 'config.toml'),
      BROKER_STATE_DIR: join(this.folder, 'state'),
      BROKER_SOCKET: join(this.folder, 'run', 'broker.sock'),
      ...(parentEnv['NO_COLOR'] === undefined ? {} : { NO_COLOR: '1' }),
    };
    mkdirSync(join(this.folder, 'run'), { mode: 0o700 });
  }

  get socket(): string {
    return this.env['BROKER_SOCKET'] ?? '';
  }

  /** What `apiKeyHelper` would be set to: the native helper, or without a C compiler the slower command. */
  get helper(): { readonly command: string; readonly isNative: boolean } {
    const native = helperPath();
    if (native !== undefined) return { command: `'${native}'`, isNative: true };
    return { command: `'${process.execPath}' '${this.#program}' get`, isNative: false };
  }

  write(name: string, content: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** @throws BrokerError with the daemon's own last words if it does not come up. */
  async startDaemon(isReady: () => Promise<boolean>): Promise<void> {
    const daemon = spawn(process.execPath, [this.#program, 'daemon'], {
      env: this.env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#daemon = daemon;
    const words: string[] = [];
    daemon.stderr.setEncoding('utf8').on('data', (chunk: string) => words.push(chunk));
    const giveUpAtMs = this.#clock.now() + START_LIMIT_MS;
    while (!(await isReady())) {
      if (daemon.exitCode !== null || this.#clock.now() > giveUpAtMs) {
        throw new BrokerError('ERR_DAEMON_UNREACHABLE', `the demo's daemon did not start: ${words.join('').trim()}`, {
          remedy: 'run `broker daemon --verbose` by hand to see more',
        });
      }
      await new Promise<void>((resolve) => void this.#clock.after(POLL_MS, resolve));
    }
  }

  /** As a user would type it. */
  async runBroker(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [this.#program, ...args], {
      env: this.env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const chunks: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
    await new Promise((resolve) => child.once('close', resolve));
    return chunks.join('');
  }

  /** Every byte that the daemon has stored, to be searched for what must not be there. */
  storedBytes(names: readonly string[]): Buffer {
    const read = (name: string) => {
      try {
        return readFileSync(join(this.folder, 'state', name));
      } catch {
        return Buffer.alloc(0);
      }
    };
    return Buffer.concat(names.map(read));
  }

  async close(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon !== undefined && daemon.exitCode === null) {
      const gone = new Promise((resolve) => daemon.once('close', resolve));
      daemon.kill('SIGTERM');
      const lost = this.#clock.after(START_LIMIT_MS, () => daemon.kill('SIGKILL'));
      await gone;
      lost.cancel();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #program(): string {
    return join(PACKAGE_ROOT, 'bin', 'broker.mjs');
  }
}
