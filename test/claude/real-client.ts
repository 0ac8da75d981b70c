import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { ClientBench } from '../fakes/client-bench.ts';

/** Set by run.ts, which installs the client and starts this in a network namespace. */
const CLIENT = process.env['BROKER_TEST_CLAUDE'] ?? '';

export interface ClientOptions {
  /** Default: the native helper; null: none, so that the client logs in by something else. */
  readonly helper?: string | null;
  /** Where the helper is configured: user settings, or `--bare --settings FILE`. Default: user. */
  readonly settings?: 'user' | 'bare';
  /** More settings beside `apiKeyHelper`. */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Turn {
  readonly ok: boolean;
  /** What the client shows its user. */
  readonly words: string;
  readonly ms: number;
}

/** The line of `--output-format stream-json` that ends a turn. */
interface ResultEvent {
  readonly type: 'result';
  readonly is_error?: boolean;
  readonly result?: string;
  readonly errors?: readonly string[];
}

/**
 * The real Claude Code with a home and an environment of its own. It can reach nothing but loopback, has no key but
 * what its helper says, and refuses to start where there is another network.
 */
export class RealClient {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #errors: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null || child.stderr === null) throw new Error('the client has no output');
    this.#lines = createInterface(child.stdout);
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#errors.push(text));
  }

  /** One process for several turns: `claude -p` that reads its prompts as they come. */
  static open(bench: ClientBench, options: ClientOptions = {}): RealClient {
    const streaming = ['--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose'];
    return new RealClient(start(bench, options, ['-p', ...streaming], 'pipe'));
  }

  async turn(prompt = 'ping'): Promise<Turn> {
    const startedMs = performance.now();
    const message = { type: 'user', message: { role: 'user', content: prompt } };
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
    const { is_error, result, errors = [] } = await this.#result();
    const words = [result, ...errors, ...this.#errors].join('\n');
    return { ok: is_error === false, words, ms: performance.now() - startedMs };
  }

  #result(): Promise<ResultEvent> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`the client ended within a turn: ${this.#errors.join('')}`));
      const read = (line: string) => {
        const event = JSON.parse(line) as { readonly type: string };
        if (event.type !== 'result') return;
        this.#lines.off('line', read);
        this.#lines.off('close', ended);
        resolve(event as ResultEvent);
      };
      this.#lines.on('line', read);
      this.#lines.once('close', ended);
    });
  }

  async close(): Promise<void> {
    await end(this.#child);
  }
}

/** `claude -p ping` from start to end. */
export async function runOnce(bench: ClientBench, options: ClientOptions = {}, prompt = 'ping'): Promise<Turn> {
  const startedMs = performance.now();
  const child = start(bench, options, ['-p', prompt], 'ignore');
  const words: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => words.push(text));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { ok: code === 0, words: words.join(''), ms: performance.now() - startedMs };
}

function start(
  bench: ClientBench,
  options: ClientOptions,
  args: readonly string[],
  stdin: 'pipe' | 'ignore',
): ChildProcess {
  const [program = '', ...words] = clientCommand(bench, options, args);
  const { cwd, env } = clientPlace(bench, options);
  return spawn(program, words, { cwd, env, stdio: [stdin, 'pipe', 'pipe'] });
}

/** What starts the client, after its settings are written. */
export function clientCommand(bench: ClientBench, options: ClientOptions, args: readonly string[]): readonly string[] {
  const elsewhere = Object.keys(networkInterfaces()).filter((name) => name !== 'lo');
  if (elsewhere.length > 0 || CLIENT === '')
    throw new Error('the real client is started by `npm run test:claude` only');
  const { cwd, configDir } = clientPlace(bench, options);
  for (const path of [cwd, configDir]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const isBare = options.settings === 'bare';
  const settings = join(configDir, isBare ? 'bare.json' : 'settings.json');
  const helper = options.helper === null ? {} : { apiKeyHelper: options.helper ?? bench.helper };
  writeFileSync(settings, JSON.stringify({ ...options.more, ...helper }));
  return [CLIENT, ...args, ...(isBare ? ['--bare', '--settings', settings] : []), ...(options.args ?? [])];
}

export function clientPlace({ home, api }: ClientBench, options: ClientOptions = {}) {
  const { folder, socket } = home;
  const configDir = join(folder, 'claude');
  const env: Record<string, string> = {
    PATH: process.env['PATH'] ?? '',
    SHELL: '/bin/bash',
    HOME: folder,
    TMPDIR: folder,
    CLAUDE_CONFIG_DIR: configDir,
    CLAUDE_CODE_TMPDIR: folder,
    ANTHROPIC_BASE_URL: api.url,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_TELEMETRY: '1',
    DISABLE_AUTOUPDATER: '1',
    BROKER_SOCKET: socket,
    ...options.env,
  };
  return { cwd: join(folder, 'project'), configDir, env };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
