import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { ClientBench, FIRST } from '../fakes/client-bench.ts';
import { ResponsesApi } from '../fakes/responses-api.ts';

/** Set by run.ts, which installs the client and starts this in a network namespace. */
const CODEX = process.env['BROKER_TEST_CODEX'] ?? '';

/** How a turn went: what the client made of it, and what the API and the provider saw. */
export interface CodexOutcome {
  readonly ok: boolean;
  /** What the client shows its user. */
  readonly words: string;
  readonly ms: number;
  /** Requests that were answered with 401. */
  readonly refused: number;
  /** From the first of them to the first good answer, or to the end of the turn if there was none. */
  readonly afterRefusalMs: number | undefined;
  /** The key of the last request. */
  readonly key: string | undefined;
  /** How often the client ran `broker-key`. */
  readonly helperCalls: number;
}

type Turn = Pick<CodexOutcome, 'ok' | 'words'>;

/** The real daemon and helper, a development Vault and a Responses API; Codex's config.toml is written by `broker codex install`. */
export class CodexBench {
  readonly api: ResponsesApi;
  readonly #bench: ClientBench;

  private constructor(bench: ClientBench, api: ResponsesApi) {
    this.#bench = bench;
    this.api = api;
  }

  /** @param flags more words for `broker codex install`. */
  static async start(...flags: string[]): Promise<CodexBench> {
    const elsewhere = Object.keys(networkInterfaces()).filter((name) => name !== 'lo');
    if (elsewhere.length > 0 || CODEX === '') throw new Error('Codex is started by `npm run test:codex` only');
    const bench = new CodexBench(await ClientBench.start(), await ResponsesApi.start(FIRST));
    for (const name of ['.codex', 'project']) mkdirSync(join(bench.folder, name), { mode: 0o700 });
    await bench.broker('codex', 'install', '--base-url', bench.api.url, ...flags);
    return bench;
  }

  get folder(): string {
    return this.#bench.home.folder;
  }

  get vault(): ClientBench['vault'] {
    return this.#bench.vault;
  }

  store(key: string): void {
    this.#bench.store(key);
  }

  async broker(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#bench.home.broker(...words);
    if (code !== 0) throw new Error(`broker ${words.join(' ')} failed: ${stderr}`);
    return stdout;
  }

  /** `codex exec` from start to end. */
  exec(env: Readonly<Record<string, string>> = {}): Promise<CodexOutcome> {
    return this.#observed(async () => {
      const child = this.#spawn(['exec', '--skip-git-repo-check', 'ping'], 'ignore', env);
      const words: string[] = [];
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding('utf8').on('data', (text: string) => words.push(text));
      }
      const [code] = (await once(child, 'close')) as [number | null];
      return { ok: code === 0, words: words.join('') };
    });
  }

  /** One session with several turns, as the editor extension has it: `codex app-server`. */
  async session<Result>(use: (turn: () => Promise<CodexOutcome>) => Promise<Result>): Promise<Result> {
    const session = await CodexSession.open(this.#spawn(['app-server'], 'pipe'), join(this.folder, 'project'));
    try {
      return await use(() => this.#observed(() => session.turn()));
    } finally {
      await session.close();
    }
  }

  async close(): Promise<void> {
    await this.#bench.close();
    await this.api.stop();
  }

  async #observed(work: () => Promise<Turn>): Promise<CodexOutcome> {
    const before = { calls: this.api.calls.length, served: await this.#served() };
    const startedMs = performance.now();
    const turn = await work();
    const endedMs = performance.now();
    const calls = this.api.calls.slice(before.calls);
    const first = calls.find(({ status }) => status === 401);
    const good = calls.find(({ status, atMs }) => status === 200 && first !== undefined && atMs > first.atMs);
    return {
      ...turn,
      ms: endedMs - startedMs,
      refused: calls.filter(({ status }) => status === 401).length,
      afterRefusalMs: first === undefined ? undefined : (good?.atMs ?? endedMs) - first.atMs,
      key: calls.at(-1)?.key,
      helperCalls: (await this.#served()) - before.served,
    };
  }

  async #served(): Promise<number> {
    const { served = 0 } = await this.#bench.count('served');
    return served;
  }

  #spawn(words: readonly string[], stdin: 'pipe' | 'ignore', env: Readonly<Record<string, string>> = {}): ChildProcess {
    return spawn(CODEX, words, {
      cwd: join(this.folder, 'project'),
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: this.folder,
        TERM: 'dumb',
        BROKER_SOCKET: this.#bench.home.socket,
        ...env,
      },
      stdio: [stdin, 'pipe', 'pipe'],
    });
  }
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly result?: { readonly thread?: { readonly id: string } };
  readonly error?: { readonly message: string };
  readonly params?: {
    readonly turn?: { readonly status: string; readonly error: { readonly message: string } | null };
  };
}

/** JSON-RPC, one message a line. */
class CodexSession {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  #thread = '';
  #id = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error('the client has no output');
    this.#lines = createInterface(child.stdout);
    child.stderr?.resume();
  }

  static async open(child: ChildProcess, cwd: string): Promise<CodexSession> {
    const session = new CodexSession(child);
    await session.#ask('initialize', {
      clientInfo: { name: 'broker-test', title: null, version: '0' },
      capabilities: null,
    });
    session.#send({ method: 'initialized' });
    const { result } = await session.#ask('thread/start', { cwd });
    session.#thread = result?.thread?.id ?? '';
    return session;
  }

  async turn(): Promise<Turn> {
    const ended = this.#message(({ method }) => method === 'turn/completed');
    const input = [{ type: 'text', text: 'ping', text_elements: [] }];
    await this.#ask('turn/start', { threadId: this.#thread, input });
    const turn = (await ended).params?.turn;
    return { ok: turn?.status === 'completed', words: turn?.error?.message ?? '' };
  }

  async close(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async #ask(method: string, params: object): Promise<Message> {
    this.#id += 1;
    const id = this.#id;
    const answer = this.#message((message) => message.id === id);
    this.#send({ id, method, params });
    const message = await answer;
    if (message.error !== undefined) throw new Error(`${method}: ${message.error.message}`);
    return message;
  }

  #send(message: object): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  #message(isIt: (message: Message) => boolean): Promise<Message> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error('the client ended within a turn'));
      const read = (line: string) => {
        const message = JSON.parse(line) as Message;
        if (!isIt(message)) return;
        this.#lines.off('line', read);
        this.#lines.off('close', ended);
        resolve(message);
      };
      this.#lines.on('line', read);
      this.#lines.once('close', ended);
    });
  }
}
