/**
 * `npm run walk`: through how many files and functions of src/ one hot ask of the helper goes, and one refresh, counted
 * by V8 in the real daemon. The Vault is the development one, or the server that BROKER_TEST_VAULT_ADDR and
 * BROKER_TEST_VAULT_TOKEN name.
 *
 * --list  every function as well, by file
 * --gate  exit 1 if a limit is exceeded
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { helperPath } from '../src/platform/native.ts';
import { DevStage } from '../test/conformance/vault/dev-stage.ts';
import { approle } from '../test/conformance/vault/logins-under-test.ts';
import { RealStage, realVault } from '../test/conformance/vault/real-stage.ts';
import type { VaultStage } from '../test/conformance/vault/vault-stage.ts';
import { BrokerHome, RunningDaemon } from '../test/fakes/daemon-process.ts';
import { KEY } from './lab.ts';

interface Called {
  readonly file: string;
  readonly name: string;
  /** Where it begins in its file, which tells functions of the same name apart. */
  readonly at: number;
  readonly calls: number;
}

interface Walk {
  readonly title: string;
  readonly called: readonly Called[];
  readonly limits: Readonly<Partial<Record<Figure, number>>>;
}

type Figure = 'files' | 'functions' | 'calls' | 'readings of the clock';

const DAEMON = path.join(import.meta.dirname, 'programs', 'walk-daemon.mjs');
/** The daemon writes its events a second after they happened: they are no part of the next walk. */
const SETTLED_MS = 1_500;
/** Longer than any answer, shorter than it takes until the events are written. */
const LOOK_MS = 300;

const { values: options } = parseArgs({
  options: { list: { type: 'boolean', default: false }, gate: { type: 'boolean', default: false } },
});

async function main(): Promise<void> {
  const real = realVault();
  const stage = real === undefined ? await DevStage.open('') : await RealStage.open(real);
  const home = new BrokerHome('');
  try {
    for (const name of NAMES) await stage.put('kv-v2', name, { api_key: `${KEY}1` });
    home.configure(await configOf(stage, home.folder));
    const daemon = new CountedDaemon(home);
    try {
      await daemon.ready;
      const client = new Client(home);
      const ask = await walkAsk(daemon, client);
      const refresh = await walkRefresh(daemon, client, stage);
      const watch = await walkWatch(daemon, path.join(home.stateDir, 'cache.db-wal'));
      const walks = [ask, { ...refresh, called: without(refresh.called, watch.called) }, watch];
      await client.end();
      report(walks, real === undefined ? 'the development Vault' : `the Vault at ${real.address}`);
    } finally {
      await daemon.end();
    }
  } finally {
    await home.close();
    await stage.stop();
  }
}

/** `short` lives so short that the scheduler refreshes it every five seconds. */
const NAMES = ['hot', 'short'];

async function configOf(stage: VaultStage, folder: string): Promise<string> {
  const auth = Object.entries(await approle().prepare(stage, folder, 'walk'));
  const credentials = NAMES.map(
    (name) => `[credentials.${name}]
provider = "vault"
path = ${JSON.stringify(stage.pathOf('kv-v2', name))}
field = "api_key"
ttl = "${name === 'short' ? '1s' : '1h'}"
`,
  );
  return `[providers.vault]
type = "vault"
address = ${JSON.stringify(stage.address)}
[providers.vault.auth]
${auth.map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join('\n')}
${credentials.join('')}[daemon]
key_home = "file"
log_level = "warn"
`;
}

/** The helper asks for a key that is in the cache, for a client that was served before. */
async function walkAsk(daemon: CountedDaemon, client: Client): Promise<Walk> {
  for (let warmUp = 0; warmUp < 2; warmUp += 1) {
    await client.ask('hot');
    await pause(INTERVAL_MS);
  }
  await daemon.take();
  await client.ask('hot');
  await pause(LOOK_MS);
  const limits = { files: 30, functions: 80, 'readings of the clock': 2 };
  return { title: 'a hot ask', called: await daemon.take(), limits };
}

/** The scheduler finds a credential due: login and connection are there, and the secret has a new version. */
async function walkRefresh(daemon: CountedDaemon, client: Client, stage: VaultStage): Promise<Walk> {
  await client.ask('short');
  await pause(SETTLED_MS);
  await daemon.take();
  await nextRefresh(daemon);
  await stage.put('kv-v2', 'short', { api_key: `${KEY}2` });
  await pause(SETTLED_MS);
  await daemon.take();
  return { title: 'a refresh', called: await nextRefresh(daemon), limits: { functions: 150 } };
}

/** What every write brings about: the daemon sees that a file of its database changed, and that it is still its own. */
async function walkWatch(daemon: CountedDaemon, log: string): Promise<Walk> {
  for (;;) {
    await daemon.take();
    chmodSync(log, 0o600);
    await pause(LOOK_MS);
    const called = await daemon.take();
    // What is due meanwhile, a refresh or the events of one, is not of it.
    const isAlone = !called.some(({ file }) => file.startsWith('broker/'));
    if (isAlone && called.length > 0) return { title: 'the look at a file that was written', called, limits: {} };
  }
}

/** What is called more often than there. */
function without(called: readonly Called[], there: readonly Called[]): readonly Called[] {
  const often = new Map(there.map(({ file, at, calls }) => [`${file} ${at}`, calls]));
  return called.filter(({ file, at, calls }) => calls > (often.get(`${file} ${at}`) ?? 0));
}

/** Nobody asks meanwhile: what is called from the first look that shows a provider until one that does not is the refresh. */
async function nextRefresh(daemon: CountedDaemon): Promise<readonly Called[]> {
  const seen: Called[] = [];
  for (let looks = 0; looks < 40; looks += 1) {
    await pause(LOOK_MS);
    const called = await daemon.take();
    const isUnderWay = called.some(({ file }) => file.startsWith('providers/'));
    if (isUnderWay) seen.push(...called);
    else if (seen.length > 0) return seen;
  }
  throw new Error('there was no refresh');
}

/** The real daemon, which counts what it calls. */
class CountedDaemon {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #running: RunningDaemon;

  constructor(home: BrokerHome) {
    this.#child = spawn(process.execPath, [DAEMON], { env: home.env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#running = new RunningDaemon(this.#child);
    this.ready = this.#whenReady(home);
  }

  /** What was called since the last time. */
  async take(): Promise<readonly Called[]> {
    this.#child.send('take');
    const [called] = await once(this.#child, 'message');
    return called as readonly Called[];
  }

  async end(): Promise<void> {
    await this.#running.end('SIGTERM');
  }

  async #whenReady(home: BrokerHome): Promise<void> {
    for (;;) {
      if (this.#running.hasEnded) throw new Error(`the daemon ended: ${this.#running.log}`);
      const isUp = await home.get('/v1/health').then(
        () => true,
        () => false,
      );
      if (isUp) return;
      await pause(50);
    }
  }
}

/** The shortest interval at which an ask that comes early is suspicious. */
const INTERVAL_MS = 5_000;
const CLIENT = { CLAUDE_CODE_ENTRYPOINT: 'cli', CLAUDE_CODE_API_KEY_HELPER_TTL_MS: String(INTERVAL_MS) };

/** A shell by the name of the client, which runs the helper as the client does: with a socket as stdin that is silent. */
class Client {
  readonly #shell: ChildProcess;

  constructor(home: BrokerHome) {
    const script = 'while read -r name <&3; do "$HELPER" "$name"; done';
    this.#shell = spawn('/bin/sh', ['-c', script], {
      argv0: 'claude',
      env: { ...home.env, ...CLIENT, HELPER: helperPath() ?? '' },
      stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
    });
  }

  async ask(credential: string): Promise<void> {
    const { stdio } = this.#shell;
    (stdio[3] as NodeJS.WritableStream).write(`${credential}\n`);
    let answer = '';
    while (!answer.endsWith('\n')) answer += (await once(stdio[1] as NodeJS.ReadableStream, 'data'))[0];
    if (!answer.startsWith(KEY)) throw new Error(`the helper was not given a key for ${credential}`);
  }

  async end(): Promise<void> {
    const gone = once(this.#shell, 'close');
    (this.#shell.stdio[3] as NodeJS.WritableStream).end();
    await gone;
  }
}

function figuresOf(called: readonly Called[]): Record<Figure, number> {
  const sum = (of: readonly Called[]) => of.reduce((total, { calls }) => total + calls, 0);
  const clock = called.filter(({ file, name }) => file === 'platform/clock.ts' && CLOCK.has(name));
  return {
    files: new Set(called.map(({ file }) => file)).size,
    functions: new Set(called.map(({ file, at }) => `${file} ${at}`)).size,
    calls: sum(called),
    'readings of the clock': sum(clock),
  };
}

/** The methods of the Clock port that read it. */
const CLOCK: ReadonlySet<string> = new Set(['now', 'wall', 'read']);

function report(walks: readonly Walk[], vault: string): void {
  console.log(`| walk, with ${vault} | files | functions | calls | readings of the clock |\n|---|---|---|---|---|`);
  for (const { title, called, limits } of walks) {
    const cells = Object.entries(figuresOf(called)).map(([figure, value]) => {
      const limit = limits[figure as Figure];
      if (limit !== undefined && value > limit && options.gate) process.exitCode = 1;
      return limit === undefined ? String(value) : `${value} (at most ${limit})`;
    });
    console.log(`| ${[title, ...cells].join(' | ')} |`);
  }
  if (options.list) for (const { title, called } of walks) console.log(`\n${title}\n${listOf(called)}`);
}

function listOf(called: readonly Called[]): string {
  const byFile = Map.groupBy(called, ({ file }) => file);
  const lines = [...byFile].map(([file, functions]) => {
    const names = functions.map(({ name, calls }) => (name || '=>') + (calls > 1 ? ` ×${calls}` : ''));
    return `${file} (${functions.length}): ${names.join(', ')}`;
  });
  return lines.sort().join('\n');
}

await main();
