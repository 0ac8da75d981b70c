import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { MEMORY_ENVIRONMENT } from '../../src/platform/guard.ts';
import { helperPath } from '../../src/platform/native.ts';
import type { StatusReport } from '../../src/protocol/reports.ts';
import { shellWord } from './processes.ts';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** bin/broker.mjs, which runs what was built. */
export const PROGRAM = resolve(import.meta.dirname, '..', '..', 'bin', 'broker.mjs');

interface HowToStart {
  readonly program?: string;
  /** The daemon does not take such options from NODE_OPTIONS. */
  readonly nodeArgs?: readonly string[];
  /** RLIMIT_NOFILE. */
  readonly openFiles?: number;
}

/** A home of its own with the real, built program in it: daemon, CLI and helper as a user has them. */
export class BrokerHome {
  readonly folder = mkdtempSync(join(tmpdir(), 'broker-test-'));
  readonly configFile = join(this.folder, 'config.toml');
  readonly stateDir = join(this.folder, 'state');
  readonly socket = join(this.folder, 'run', 'broker.sock');
  readonly env: Record<string, string>;
  readonly #daemons: ChildProcess[] = [];
  readonly #identity: Identity;

  /** @param uid whose home it is; default: the caller's. For others only root can make one. */
  constructor(config: string, uid?: number) {
    this.#identity = uid === undefined ? {} : { uid, gid: uid };
    mkdirSync(join(this.folder, 'run'), { mode: 0o700 });
    if (uid !== undefined) for (const folder of [this.folder, join(this.folder, 'run')]) chownSync(folder, uid, uid);
    this.env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.folder,
      BROKER_CONFIG: this.configFile,
      BROKER_STATE_DIR: this.stateDir,
      BROKER_SOCKET: this.socket,
      NO_COLOR: '1',
      // As the service and the helper start it; without it the daemon replaces itself first.
      ...MEMORY_ENVIRONMENT,
    };
    this.configure(config);
  }

  configure(config: string): void {
    writeFileSync(this.configFile, config, { mode: 0o600 });
    const { uid, gid } = this.#identity;
    if (uid !== undefined && gid !== undefined) chownSync(this.configFile, uid, gid);
  }

  remove(name: string): void {
    rmSync(join(this.folder, name), { recursive: true, force: true });
  }

  /** Resolves once it answers. @throws with its last words if it ends before. */
  async start(
    extra: Readonly<Record<string, string>> = {},
    { program = PROGRAM, nodeArgs = [], openFiles }: HowToStart = {},
  ): Promise<RunningDaemon> {
    const command = [process.execPath, ...nodeArgs, program, 'daemon'];
    const limited = ['/bin/sh', '-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', ...command];
    const [file = '', ...args] = openFiles === undefined ? command : limited;
    const child = spawn(file, args, {
      env: { ...this.env, ...extra },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...this.#identity,
    });
    this.#daemons.push(child);
    const daemon = new RunningDaemon(child);
    await daemon.whenLogged('broker is ready');
    return daemon;
  }

  /** Of the daemon that was started last, whether or not it answers yet. */
  get lastPid(): number {
    return this.#daemons.at(-1)?.pid ?? 0;
  }

  broker(...args: string[]): Promise<Finished> {
    return run(process.execPath, [PROGRAM, ...args], this.env, this.#identity);
  }

  /** The same with something on standard input, or somebody who reads along. */
  brokerWith(watch: Watch, ...args: string[]): Promise<Finished> {
    return run(process.execPath, [PROGRAM, ...args], { ...this.env, ...watch.env }, { ...watch, ...this.#identity });
  }

  /** The native helper as Claude Code runs it. */
  key(args = '', extra: Readonly<Record<string, string>> = {}): Promise<Finished> {
    return run(
      '/bin/sh',
      ['-c', `${shellWord(helperPath() ?? '')} ${args}`],
      { ...this.env, ...extra },
      this.#identity,
    );
  }

  /** A line of a settings file as Claude Code runs it. */
  shell(line: string): Promise<Finished> {
    return run('/bin/sh', ['-c', line], this.env, this.#identity);
  }

  /** Without a process: a command line costs as much as the daemon's start. */
  async status(): Promise<StatusReport> {
    return JSON.parse((await this.get('/v1/status')).body) as StatusReport;
  }

  get(path: string): Promise<{ status: number; body: string }> {
    return this.request('GET', path);
  }

  post(path: string, body = ''): Promise<{ status: number; body: string }> {
    return this.request('POST', path, body);
  }

  request(method: string, path: string, sent = ''): Promise<{ status: number; body: string }> {
    return new Promise((resolveAnswer, reject) => {
      const headers = { 'content-length': Buffer.byteLength(sent) };
      // No connection is used again: the daemon may be closing it.
      const outgoing = request({ socketPath: this.socket, method, path, headers, agent: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('end', () =>
          resolveAnswer({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      });
      outgoing.once('error', reject);
      outgoing.end(sent);
    });
  }

  /** The files of the state folder. */
  stateFiles(): readonly string[] {
    return readdirSync(this.stateDir).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    for (const child of this.#daemons) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'close');
      child.kill('SIGKILL');
      await gone;
    }
    // A client that was ended may write its last words just now.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class RunningDaemon {
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  log = '';

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.log += chunk;
      for (const look of this.#waiting) look();
    });
    this.ended = new Promise((resolveEnd) => {
      child.once('close', (code) => {
        for (const look of this.#waiting) look();
        resolveEnd(code);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Every line is on standard error by the time its effect can be seen, so there is nothing to poll for. */
  whenLogged(text: string): Promise<void> {
    return new Promise((resolveSeen, reject) => {
      const look = () => {
        if (this.log.includes(text)) resolveSeen();
        else if (this.hasEnded) reject(new Error(`the daemon ended: ${this.log}`));
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

export interface Watch {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with all of standard error so far. */
  readonly onStderr?: (text: string) => void;
}

interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

function run(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { input, onStderr, uid, gid }: Watch & Identity = {},
): Promise<Finished> {
  return new Promise((resolveRun, reject) => {
    // A socket as stdin that never says anything, which is what the client gives its helper.
    const identity = uid === undefined || gid === undefined ? {} : { uid, gid };
    const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'], ...identity });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      err.push(chunk);
      onStderr?.(Buffer.concat(err).toString('utf8'));
    });
    if (input !== undefined) child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code) => {
      resolveRun({ code, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') });
    });
  });
}
