import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROGRAM } from './daemon-process.ts';
import { shellWord } from './processes.ts';

/** Whether there is a tmux to make pseudo-terminals with; says so once if not. */
export function hasTmux(): boolean {
  try {
    execFileSync('tmux', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skipped: the terminal tests need tmux (apt-get install tmux)');
    return false;
  }
}

/** Below vitest's own, so that the screen is told. */
const LIMIT_MS = 50_000;
const LOOK_EVERY_MS = 25;

/** A real pseudo-terminal with one command line of broker in it, on a tmux server of its own. */
export class BrokerTerminal {
  readonly #folder = mkdtempSync(join(tmpdir(), 'broker-tmux-'));
  readonly #socket = join(this.#folder, 'tmux');

  /** `env` is all that the program sees, besides what the terminal itself sets. */
  async run(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Promise<void> {
    await this.runProgram([process.execPath, PROGRAM, ...args], env, cwd);
  }

  /** The same with any other program: a shell, say. */
  async runProgram(command: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Promise<void> {
    const words = command.map(shellWord).join(' ');
    const variables = Object.entries({ ...env, TERM: 'xterm-256color' }).map(([name, value]) =>
      shellWord(`${name}=${value}`),
    );
    // The shell outlives the program, so that its exit code can be read.
    const line = `env -i ${variables.join(' ')} ${words}; code=$?; echo; echo "exit code: $code"; exec sleep 1000`;
    await this.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', '120', '-y', '60', '-c', cwd, line);
  }

  /** What is seen. */
  screen(): Promise<string> {
    return this.#tmux('capture-pane', '-p', '-J', '-S', '-200');
  }

  /** Resolves with the screen as soon as it holds `text`. @throws with the screen if that never comes. */
  async until(text: string | RegExp): Promise<string> {
    const giveUpAt = Date.now() + LIMIT_MS;
    for (;;) {
      const screen = await this.screen();
      if (typeof text === 'string' ? screen.includes(text) : text.test(screen)) return screen;
      if (Date.now() > giveUpAt) throw new Error(`"${String(text)}" was never seen:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', '--', text);
  }

  /** Types an answer and, once it is seen, Enter. */
  async answer(text: string): Promise<void> {
    await this.type(text);
    await this.until(text);
    await this.press('Enter');
  }

  /** As tmux names them: Enter, Down, C-c. */
  async press(...keys: string[]): Promise<void> {
    await this.#tmux('send-keys', ...keys);
  }

  /** The exit code, once the program has ended. */
  async exitCode(): Promise<number> {
    const screen = await this.until(/exit code: \d+/);
    return Number(/exit code: (\d+)/.exec(screen)?.[1]);
  }

  async resize(columns: number, lines: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(lines));
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #tmux(...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile('tmux', ['-S', this.#socket, ...args], { encoding: 'utf8' }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`tmux ${args.join(' ')}: ${stderr || error.message}`));
      });
    });
  }
}
