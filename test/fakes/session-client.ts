import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { helperPath } from '../../src/platform/native.ts';

/** A client that runs the helper whenever it is told to, and stays. */
export class SessionClient {
  readonly #process: ChildProcess;

  /** As Claude Code is one, which runs it through sh. */
  static claude(env: Readonly<Record<string, string>>): SessionClient {
    const code = `process.stdin.on('data', (name) => {
      const run = require('node:child_process').spawnSync('/bin/sh', ['-c', process.argv[1] + ' ' + name]);
      process.stdout.write(run.stdout.toString() || run.stderr.toString());
    });`;
    const words = ['-e', code, helperPath() ?? ''];
    // It keeps no key for longer, so that no ask comes early.
    const more = { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '1' };
    return new SessionClient(process.execPath, words, { ...env, ...more }, 'claude');
  }

  /** As Codex is one, known by the name of its program, which is its parent. */
  static codex(env: Readonly<Record<string, string>>, folder: string): SessionClient {
    const program = join(folder, 'codex');
    copyFileSync('/bin/sh', program);
    const words = ['-c', 'while read name; do "$0" "$name"; done', helperPath() ?? ''];
    return new SessionClient(program, words, env);
  }

  private constructor(
    program: string,
    words: readonly string[],
    env: Readonly<Record<string, string>>,
    argv0 = program,
  ) {
    this.#process = spawn(program, words, { argv0, env, stdio: ['pipe', 'pipe', 'inherit'] });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async key(name = 'leased'): Promise<string> {
    this.#process.stdin?.write(`${name}\n`);
    const [chunk] = await once(this.#process.stdout as NodeJS.ReadableStream, 'data');
    return String(chunk).trim();
  }

  async exit(): Promise<void> {
    if (this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}
