import { main } from '../../src/cli/main.ts';
import type { ProcessIo } from '../../src/platform/process-io.ts';
import { FakeClock } from './fake-clock.ts';
import { START_MS } from './scripted-broker.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Nobody has it: nothing is in /run/user/UID and /tmp/broker-UID. */
const NOBODYS_UID = 4_294_000_001;

/** The caller's where a socket is named; without that, the places of the broker that the caller may have running would be asked. */
export function uidFor(env: Readonly<Record<string, string | undefined>>): number {
  return env['BROKER_SOCKET'] ? (process.getuid?.() ?? 0) : NOBODYS_UID;
}

/** A ProcessIo that remembers what was said. */
export class FakeIo implements ProcessIo {
  readonly env: Record<string, string | undefined>;
  /** Not the home of whoever runs the tests, who may use broker. */
  homeDir = '/nonexistent';
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

  get uid(): number {
    return uidFor(this.env);
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
