import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TurnRequest } from '../../src/demo/client-double.ts';
import type { TurnReport } from '../../src/demo/client-turn.ts';
import type { ClientBench } from './client-bench.ts';

const PROGRAM = join(import.meta.dirname, '..', '..', 'src', 'demo', 'client-double.ts');

export interface DoubleOptions {
  /** Default: the native helper. */
  readonly helper?: string;
  /** CLAUDE_CODE_API_KEY_HELPER_TTL_MS; default: not set, and 300,000 ms. */
  readonly intervalMs?: number;
}

/** A process named `claude` that behaves as the real client was seen to behave towards helper and API. */
export class ClientDouble {
  readonly #child: ChildProcess;

  constructor(bench: ClientBench, options: DoubleOptions = {}) {
    this.#child = spawn(process.execPath, args(bench, options), {
      argv0: 'claude',
      env: environment(bench, options),
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async turn(...models: string[]): Promise<TurnReport> {
    const ended = new AbortController();
    const isOver = once(this.#child, 'exit', { signal: ended.signal }).then(
      () => Promise.reject(new Error('the client double ended within a turn')),
      () => new Promise<never>(() => undefined),
    );
    this.#child.send({ models: models.length === 0 ? ['double'] : models } satisfies TurnRequest);
    try {
      const [report] = (await Promise.race([once(this.#child, 'message'), isOver])) as [TurnReport];
      return report;
    } finally {
      ended.abort();
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }
}

/** A script that starts the client so many times, one after another, for a turn each. */
export async function runScript(bench: ClientBench, runs: number): Promise<readonly TurnReport[]> {
  const script = 'for run in $(seq "$1"); do (shift; exec -a claude "$@"); done';
  const command = [process.execPath, ...args(bench, {})];
  const child = spawn('bash', ['-c', script, 'bash', String(runs), ...command], {
    env: environment(bench, {}),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  await once(child, 'close');
  const lines = chunks.join('').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as TurnReport);
}

function args(bench: ClientBench, { helper, intervalMs }: DoubleOptions): readonly string[] {
  return [PROGRAM, helper ?? bench.helper, bench.api.url, ...(intervalMs === undefined ? [] : [String(intervalMs)])];
}

/** All of it goes on to the helper. */
function environment(bench: ClientBench, { intervalMs }: DoubleOptions): Record<string, string> {
  return {
    ...bench.home.env,
    CLAUDE_CODE_ENTRYPOINT: 'cli',
    ...(intervalMs === undefined ? {} : { CLAUDE_CODE_API_KEY_HELPER_TTL_MS: String(intervalMs) }),
  };
}
