import { homedir } from 'node:os';
import { main } from '../../src/cli/main.ts';
import type { ProcessIo } from '../../src/platform/process-io.ts';
import { FakeClock } from './fake-clock.ts';
import { START_MS } from './scripted-broker.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A ProcessIo that remembers what was said. */
export class FakeIo implements ProcessIo {
  readonly env: Record<string, string | undefined>;
  readonly homeDir = homedir();
  readonly uid = process.getuid?.() ?? 0;
  readonly pid = process.pid;
  readonly ppid = process.ppid;
  readonly platform = process.platform;
  stdoutIsTty = false;
  stderrIsTty = true;
  columns: number | undefined;
  clock = new FakeClock(START_MS);
  readonly stop = new AbortController();
  readonly signal = this.stop.signal;
  out = '';
  err = '';
  code = 0;
  #onOutput: (() => void) | undefined;

  constructor(env: Record<string, string | undefined> = {}) {
    this.env = env;
  }

  stdout(text: string | Uint8Array): void {
    this.out += Buffer.from(text).toString();
    this.#onOutput?.();
  }

  stderr(text: string): void {
    this.err += text;
  }

  setExitCode(code: number): void {
    this.code = code;
  }

  /** Resolves as soon as what was printed satisfies the test. */
  until(satisfied: (out: string) => boolean): Promise<void> {
    if (satisfied(this.out)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onOutput = () => {
        if (satisfied(this.out)) resolve();
      };
    });
  }

  /** `broker ARGS…` in this process. */
  async run(...args: string[]): Promise<Said> {
    await main(args, this);
    return { code: this.code, out: this.out, err: this.err };
  }
}
