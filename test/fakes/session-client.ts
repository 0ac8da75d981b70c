import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { helperPath } from '../../src/platform/native.ts';

/** A client as Claude Code is one: it runs the helper through sh whenever it is told to, and stays. */
export class SessionClient {
  readonly #process: ChildProcess;

  constructor(env: Readonly<Record<string, string>>) {
    const code = `process.stdin.on('data', (name) => {
      const run = require('node:child_process').spawnSync('/bin/sh', ['-c', process.argv[1] + ' ' + name]);
      process.stdout.write(run.stdout.toString() || run.stderr.toString());
    });`;
    this.#process = spawn(process.execPath, ['-e', code, helperPath() ?? ''], {
      argv0: 'claude',
      // It keeps no key for longer, so that no ask comes early.
      env: { ...env, CLAUDE_CODE_API_KEY_HELPER_TTL_MS: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async key(name = 'leased'): Promise<string> {
    this.#process.stdin?.write(name);
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
