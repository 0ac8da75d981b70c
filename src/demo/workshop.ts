import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { nodeOptions } from '../platform/guard.ts';
import { helperPath, PACKAGE_ROOT } from '../platform/native.ts';

/** The daemon answers well within a second; a busy machine may need more. */
const START_LIMIT_MS = 15_000;
const POLL_MS = 20;

/** Whoever starts the demo may have enough of it. */
const INTERRUPTIONS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * A temporary folder, and the real daemon and the real helper working in it. It owns whatever has to be gone in the
 * end: `close()` needs no turn of the event loop, so that every way out of this process goes through it (the end of the
 * story, an error, a signal, a reader of standard output that went away).
 */
export class Workshop {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #children = new Set<ChildProcess>();
  readonly #lost = Promise.withResolvers<never>();
  #closed = false;

  /** @throws BrokerError ERR_IO where nothing can be written. */
  constructor(clock: Clock, parentEnv: Readonly<Record<string, string | undefined>>) {
    this.#clock = clock;
    this.folder = writing(tmpdir(), () => mkdtempSync(join(tmpdir(), 'broker-demo-')));
    process.once('exit', this.close);
    for (const signal of INTERRUPTIONS) process.on(signal, exitBySignal);
    this.env = {
      PATH: parentEnv['PATH'] ?? '/usr/bin:/bin',
      HOME: this.folder,
      BROKER_CONFIG: join(this.folder, 'config.toml'),
      BROKER_STATE_DIR: join(this.folder, 'state'),
      BROKER_SOCKET: join(this.folder, 'run', 'broker.sock'),
      ...(parentEnv['NO_COLOR'] === undefined ? {} : { NO_COLOR: '1' }),
    };
    writing(this.folder, () => mkdirSync(join(this.folder, 'run'), { mode: 0o700 }));
  }

  get socket(): string {
    return this.env['BROKER_SOCKET'] ?? '';
  }

  /** What `apiKeyHelper` would be set to: the native helper, or without a C compiler the slower command. */
  get helper(): { readonly command: string; readonly isNative: boolean } {
    const native = helperPath();
    if (native !== undefined) return { command: quoted(native), isNative: true };
    return { command: `${quoted(process.execPath)} ${quoted(this.#program)} get`, isNative: false };
  }

  write(name: string, content: string): string {
    const path = join(this.folder, name);
    writing(path, () => writeFileSync(path, content, { mode: 0o600 }));
    return path;
  }

  /** Takes a detached child: it and what it starts do not outlive the workshop. */
  own(child: ChildProcess): void {
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    if (this.#closed) killGroup(child);
  }

  /** Rejects with a BrokerError if the daemon ends, however it does; never resolves. */
  get daemonLost(): Promise<never> {
    return this.#lost.promise;
  }

  /** @throws BrokerError if it does not come up. Why it ended, `daemonLost` says. */
  async startDaemon(isReady: () => Promise<boolean>): Promise<void> {
    const daemon = spawn(process.execPath, [...nodeOptions(), this.#program, 'daemon'], {
      env: this.env,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.own(daemon);
    const words: string[] = [];
    const lose = (how: string) => this.#lost.reject(daemonFailed(how, words));
    daemon.stderr.setEncoding('utf8').on('data', (chunk: string) => words.push(chunk));
    daemon.once('error', ({ message }) => lose(`cannot be started: ${message}`));
    daemon.once('close', (code, signal) => lose(`ended with ${signal ?? `exit code ${code}`}`));
    const giveUpAtMs = this.#clock.now() + START_LIMIT_MS;
    while (!(await isReady())) {
      if (this.#closed || this.#clock.now() > giveUpAtMs) {
        throw daemonFailed(`does not answer after ${START_LIMIT_MS / 1000} s`, words);
      }
      await new Promise<void>((resolve) => void this.#clock.after(POLL_MS, resolve));
    }
  }

  /** As a user would type it. */
  async runBroker(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [this.#program, ...args], {
      env: this.env,
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    this.own(child);
    const chunks: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`broker ${args.join(' ')} ended with exit code ${code}`);
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

  /** Nothing is left behind, and nothing more is started. */
  readonly close = (): void => {
    this.#closed = true;
    process.off('exit', this.close);
    for (const signal of INTERRUPTIONS) process.off(signal, exitBySignal);
    for (const child of this.#children) killGroup(child);
    // A call that was under way when the daemon was killed may still make a file.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  };

  get #program(): string {
    return join(PACKAGE_ROOT, 'bin', 'broker.mjs');
  }
}

/** As /bin/sh reads it. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}

/** 128 and the number of the signal, as shells have it. */
function exitBySignal(signal: NodeJS.Signals): void {
  process.exit(128 + constants.signals[signal]);
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function daemonFailed(how: string, words: readonly string[]): BrokerError {
  const lastWords = words.join('').trim();
  return new BrokerError('ERR_DAEMON_UNREACHABLE', `the demo's daemon ${how}${lastWords && `: ${lastWords}`}`, {
    remedy: 'run `broker daemon --verbose` by hand to see more',
  });
}

/** @throws BrokerError ERR_IO if it cannot be written there. */
function writing<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new BrokerError('ERR_IO', `the demo cannot write in ${path} (${code})`, {
      remedy: 'set TMPDIR to a folder of yours that can be written and has space',
      cause: error,
    });
  }
}
