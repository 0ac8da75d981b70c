import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { BrokerHome } from '../test/fakes/daemon-process.ts';
import { bareServerScript, type Programs } from './programs.ts';

export const PROJECT = path.dirname(import.meta.dirname);
/** As long as a real one. */
export const KEY = `sk-ant-api03-${'x'.repeat(95)}`;

/** How thorough a run is. */
export interface Effort {
  readonly quick: boolean;
  /** Answers in the growth test of section 4. */
  readonly answers: number;
  /** Section 5 with a gigabyte of events. */
  readonly full: boolean;
}

export interface Bench {
  readonly programs: Programs;
  readonly effort: Effort;
  /** A temporary folder. */
  readonly folder: string;
  /** A line on standard error: this takes minutes. */
  readonly say: (line: string) => void;
}

/** The configuration of a user with one key, which a command prints. */
export function configOf(keyFile: string): string {
  return `default = "anthropic"
[providers.own]
type = "exec"
command = ["/bin/cat", ${JSON.stringify(keyFile)}]
[credentials.anthropic]
provider = "own"
ttl = "24h"
[daemon]
idle_after = "24h"
log_level = "warn"
`;
}

/** A home with a daemon that has its key in the encrypted cache. */
export function preparedHome(folder: string): BrokerHome {
  const keyFile = path.join(folder, 'key');
  writeFileSync(keyFile, KEY, { mode: 0o600 });
  return new BrokerHome(configOf(keyFile));
}

/** The built program without its addon beside it, so that it cannot know who asks. @returns its `broker.mjs`. */
export function programWithoutAddon(folder: string): string {
  const copy = path.join(folder, 'without-addon');
  mkdirSync(copy);
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(path.join(PROJECT, part), path.join(copy, part), { recursive: true });
  }
  symlinkSync(path.join(PROJECT, 'node_modules'), path.join(copy, 'node_modules'));
  return path.join(copy, 'bin', 'broker.mjs');
}

/** A server process of ours; `end()` is its only way out. */
export class Server {
  readonly socket: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, socket: string) {
    this.#child = child;
    this.socket = socket;
  }

  static async start(args: readonly string[], socket: string, env: Readonly<Record<string, string>>): Promise<Server> {
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    while (!existsSync(socket)) {
      if (child.exitCode !== null) throw new Error(`${args[0]} ended with ${child.exitCode}`);
      await pause(5);
    }
    return new Server(child, socket);
  }

  static bare(folder: string): Promise<Server> {
    const socket = path.join(folder, 'bare.sock');
    return Server.start([bareServerScript(), socket], socket, {});
  }

  static daemon(home: BrokerHome, program = path.join(PROJECT, 'bin', 'broker.mjs')): Promise<Server> {
    return Server.start([program, 'daemon'], home.socket, home.env);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await gone;
  }
}
