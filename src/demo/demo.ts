import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { styleText } from 'node:util';
import type { Clock } from '../platform/clock.ts';
import { sleep } from '../platform/waiting.ts';
import type { TurnRequest } from './client-double.ts';
import type { TurnReport } from './client-turn.ts';
import { type CommandRun, runAsClient, type Timings, timeRuns } from './measure.ts';
import { SmallVault } from './vault.ts';
import { Workshop } from './workshop.ts';

export interface DemoOptions {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly print: (text: string) => void;
}

const CACHED_RUNS = 200;
const PEER_RUNS = 50;
/** The end of a daemon is known this soon. */
const DAEMON_END_MS = 1_000;
const KEYS = ['sk-demo-first-5f2c', 'sk-demo-second-91ab'] as const;

/** The whole product against an embedded development Vault: nothing needed, nothing left behind. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const workshop = new Workshop(options.clock, options.env);
  const api = new MockApi();
  let vault: SmallVault | undefined;
  try {
    vault = await SmallVault.start({ nowMs: () => options.clock.wall() });
    const story = new Story(options, vault, api, workshop).tell();
    await Promise.race([story.catch((error) => explain(error, workshop, options.clock)), workshop.daemonLost]);
  } finally {
    // What the story still waits for ends with this, and the story with that.
    workshop.close();
    await vault?.stop();
    api.stop();
  }
}

/** A helper may notice that the daemon has gone before this process does: what became of the daemon says more. */
async function explain(error: unknown, { daemonLost }: Workshop, clock: Clock): Promise<never> {
  const wait = new AbortController();
  try {
    await Promise.race([daemonLost, sleep(DAEMON_END_MS, clock, wait.signal)]);
  } finally {
    wait.abort();
  }
  throw error;
}

class Story {
  readonly #options: DemoOptions;
  readonly #vault: SmallVault;
  readonly #api: MockApi;
  readonly #workshop: Workshop;

  constructor(options: DemoOptions, vault: SmallVault, api: MockApi, workshop: Workshop) {
    this.#options = options;
    this.#vault = vault;
    this.#api = api;
    this.#workshop = workshop;
  }

  async tell(): Promise<void> {
    const token = this.#furnishVault();
    await this.#startDaemon();
    await this.#fetchCold();
    await this.#compare(token);
    await this.#revoke();
    await this.#unplugVault();
    this.#lookAtDisk();
    await this.#showStatus();
  }

  #furnishVault(): string {
    const vault = this.#vault;
    vault.kv.writeV2('secret/claude', { api_key: KEYS[0] });
    this.#api.acceptedKey = KEYS[0];
    vault.policies.write('claude', ['secret/data/claude']);
    const roleId = vault.logins.appRole('laptop', { policies: ['claude'], ttlMs: 3_600_000 });
    const roleFile = this.#workshop.write('role-id', roleId);
    const secretFile = this.#workshop.write('secret-id', vault.logins.secretId('laptop'));
    this.#workshop.write(
      'config.toml',
      `default = "anthropic"

[providers.vault]
type = "vault"
address = "${vault.address}"
[providers.vault.auth]
method = "approle"
role_id_file = "${roleFile}"
secret_id_file = "${secretFile}"

[credentials.anthropic]
provider = "vault"
path = "secret/data/claude"
field = "api_key"

[daemon]
key_home = "file"
log_level = "error"
`,
    );
    this.#title('A development Vault holds the key; the broker logs in with AppRole.');
    this.#line('Vault', `${vault.address}, KV v2, secret/data/claude, field api_key`);
    return vault.createToken({ policies: ['claude'] }).id;
  }

  async #startDaemon(): Promise<void> {
    const startedMs = this.#options.clock.now();
    await this.#workshop.startDaemon(() => answersHealth(this.#workshop.socket));
    this.#line('daemon', `answers on its socket after ${millis(this.#options.clock.now() - startedMs)}`);
  }

  async #fetchCold(): Promise<void> {
    const { command, isNative } = this.#workshop.helper;
    this.#title(`The client runs its helper: /bin/sh -c ${isNative ? 'broker-key' : '"broker get"'}`);
    if (!isNative)
      this.#line('note', 'no native helper was built (no C compiler): `broker get` stands in, more slowly');
    const run = await this.#ask(command);
    this.#line('first ask', `${millis(run.ms)}: login, read, seal, store, answer → ${mask(run.stdout)}`);
  }

  async #compare(token: string): Promise<void> {
    const { command } = this.#workshop.helper;
    const cached = await timeRuns(CACHED_RUNS, () => this.#ask(command));
    this.#title('And again: from the encrypted cache, each run a new process, timed from start to end of output.');
    this.#timing('broker-key', cached);
    const curl = findProgram('curl', this.#options.env['PATH']);
    if (curl === undefined) {
      this.#line('curl', 'is not installed, so there is nothing to compare with');
      return;
    }
    const url = 'http://broker/v1/credentials/_default/key';
    const overSocket = `'${curl}' -sf --unix-socket '${this.#workshop.socket}' ${url}`;
    this.#timing('curl --unix-socket', await timeRuns(PEER_RUNS, () => this.#ask(overSocket)), cached);
    const direct = `'${curl}' -sf -H "X-Vault-Token: $DEMO_TOKEN" '${this.#vault.address}/v1/secret/data/claude' | sed 's/.*"api_key":"\\([^"]*\\)".*/\\1/'`;
    const timed = await timeRuns(PEER_RUNS, () => this.#ask(direct, { DEMO_TOKEN: token }));
    this.#timing('curl to Vault, sed', timed, cached);
    this.#line('', 'that Vault is in this machine: a real one adds its network, its TLS and its bad days');
  }

  async #revoke(): Promise<void> {
    const client = spawn(
      process.execPath,
      [join(import.meta.dirname, CLIENT), this.#workshop.helper.command, await this.#api.start()],
      {
        argv0: 'claude',
        env: { ...this.#workshop.env, CLAUDE_CODE_ENTRYPOINT: 'cli' },
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        detached: true,
      },
    );
    this.#workshop.own(client);
    const turn = () =>
      new Promise<TurnReport>((resolve, reject) => {
        client.once('message', (report) => resolve(report as TurnReport));
        client.once('exit', () => reject(new Error('the demo client ended early')));
        client.send({ models: ['demo'] } satisfies TurnRequest, (error) => error !== null && reject(error));
      });
    try {
      await turn();
      this.#title('The key is revoked while a session uses it. Its successor is in Vault; the broker is not told.');
      this.#api.acceptedKey = KEYS[1];
      this.#vault.kv.writeV2('secret/claude', { api_key: KEYS[1] });
      const { ok, rejected, recoveredAfterMs = 0 } = await turn();
      const words = ok ? `turn succeeded ${(recoveredAfterMs / 1000).toFixed(2)} s after the 401` : 'turn failed';
      this.#line('client', `${rejected} request rejected, helper asked again early, ${words}`);
      this.#line('', 'a cache that only knows its TTL hands the dead key out until the client gives up: about 250 s');
    } finally {
      client.removeAllListeners('exit');
      // It may have been ended with everything else: to leave a channel that is closed is an error of the process.
      if (client.connected) client.disconnect();
    }
  }

  async #unplugVault(): Promise<void> {
    await this.#vault.stop();
    this.#title('Vault goes away.');
    const { command } = this.#workshop.helper;
    const run = await this.#ask(command);
    this.#line('helper', `${mask(run.stdout)} after ${millis(run.ms)}: served from the cache`);
  }

  #lookAtDisk(): void {
    const bytes = this.#workshop.storedBytes(['cache.db', 'cache.db-wal', 'kek']);
    const leaked = KEYS.some((key) => bytes.includes(key));
    this.#line(
      'on disk',
      `${bytes.length} bytes in the state folder; the key in plain text: ${leaked ? 'FOUND' : 'nowhere'}`,
    );
    if (leaked) throw new Error('a key was found in plain text in the state folder');
  }

  async #showStatus(): Promise<void> {
    this.#title('broker status');
    this.#options.print(`${(await this.#workshop.runBroker(['status'])).trimEnd()}\n`);
  }

  async #ask(command: string, extra: Readonly<Record<string, string>> = {}): Promise<CommandRun> {
    const workshop = this.#workshop;
    const run = await runAsClient(this.#options.clock, command, { ...workshop.env, ...extra }, (child) =>
      workshop.own(child),
    );
    if (run.exitCode !== 0) throw new Error(run.stderr || `exit code ${run.exitCode}: ${command}`);
    return run;
  }

  #title(text: string): void {
    this.#options.print(`\n${this.#style('bold', text)}\n`);
  }

  #line(label: string, text: string): void {
    this.#options.print(`  ${this.#style('cyan', label.padEnd(20))} ${text}\n`);
  }

  #timing(label: string, { p50, p99, runs }: Timings, floor?: Timings): void {
    const ratio = floor === undefined ? '' : `   ${(p50 / floor.p50).toFixed(1)}× as long`;
    this.#line(label, `p50 ${millis(p50).padStart(8)}   p99 ${millis(p99).padStart(8)}   ${runs} runs${ratio}`);
  }

  #style(format: 'bold' | 'cyan', text: string): string {
    return styleText(format, text, { stream: process.stdout });
  }
}

/** Seen from src/demo and from dist/chunks alike. */
const CLIENT = import.meta.filename.endsWith('.ts') ? '../demo/client-double.ts' : '../demo/client-double.js';

function millis(ms: number): string {
  return ms < 10 ? `${ms.toFixed(2)} ms` : `${Math.round(ms)} ms`;
}

/** Even the demo's keys are shown as real ones would be. */
function mask(key: string): string {
  return `${key.slice(0, 8)}…(${key.length} characters)`;
}

function findProgram(name: string, path = ''): string | undefined {
  return path
    .split(':')
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

function answersHealth(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = request({ socketPath, path: '/v1/health' }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    outgoing.once('error', () => resolve(false));
    outgoing.end();
  });
}

/** An API that accepts exactly one key, as far as the demo's client can tell the real thing. Loopback only. */
export class MockApi {
  readonly #server: Server;
  acceptedKey = '';

  constructor() {
    this.#server = createServer((request, response) => {
      const accepted = request.headers['x-api-key'] === this.acceptedKey;
      response.writeHead(accepted ? 200 : 401, { 'content-type': 'application/json', connection: 'close' });
      response.end(accepted ? '{"type":"message"}' : '{"type":"error","error":{"type":"authentication_error"}}');
    });
  }

  start(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => {
        resolve(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
      });
    });
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
