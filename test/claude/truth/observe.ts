import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { API, CLOUD, CONSOLE, CUSTOM, HANDED, LaidHome, LOGIN, OAUTH, PROFILE, TOKEN, type TruthHome } from './home.ts';
import { EXCHANGED, Recorder } from './recorder.ts';

/** What a request carries and whose helper was run. */
export interface Account {
  readonly xApiKey: string;
  readonly authorization: string;
  readonly helper: string;
}

/** What the real client did in a home. */
export interface Observation {
  readonly account: Account;
  /** The last that it said. */
  readonly words: string;
  /** What `claude auth status --json` printed there. */
  readonly status: string;
}

export const NOTHING = 'nothing';
const LIMIT_MS = 100_000;

const SOURCES: ReadonlyMap<string, string> = new Map([
  [API, 'api-key'],
  [TOKEN, 'auth-token'],
  [OAUTH, 'oauth-token'],
  [LOGIN, 'login'],
  [CONSOLE, 'console-key'],
  [CUSTOM, 'custom-headers'],
  [HANDED, 'handed-key'],
  [CLOUD, 'cloud'],
  [PROFILE, 'profile'],
  [EXCHANGED, 'workload-identity'],
  // What becomes of values that are no text.
  ['null', 'api-key'],
  ['1', 'api-key'],
  ['x', 'api-key'],
  // What Foundry is sent when its login is skipped and there is nothing else.
  ['skip-foundry-auth', 'cloud'],
]);

/** The client alone, as `claude -p ping`, in a mount namespace in which `/etc` has the home's files. */
export async function observe(program: string, data: TruthHome): Promise<Observation> {
  const elsewhere = Object.keys(networkInterfaces()).filter((name) => name !== 'lo');
  if (elsewhere.length > 0) throw new Error('the real client is started in a namespace without a network only');
  const recorder = await Recorder.start();
  using home = new LaidHome(data, recorder.url);
  try {
    const status = (await run([program, 'auth', 'status', '--json'], home)).stdout;
    const words = [program, '-p', 'ping', ...(data.bare ? ['--bare'] : [])];
    const { output } = await run(home.settings === undefined ? words : [...words, '--settings', home.settings], home);
    const [call] = recorder.calls;
    const ran = existsSync(home.ran) ? readFileSync(home.ran, 'utf8').trim().split('\n') : [];
    const account = {
      xApiKey: sourceOf(call?.apiKey),
      authorization: sourceOf(call?.authorization?.replace(/^Bearer */, '')),
      helper: [...new Set(ran)].sort().join('+') || NOTHING,
    };
    return { account, words: output.trim().slice(-600), status };
  } finally {
    await recorder.stop();
  }
}

/**
 * What the client does in a home does not depend on the doctor: one that was seen is not started again. `fresh` asks it all
 * the same.
 */
export class Observations {
  readonly #program: string;
  readonly #file: string;
  readonly #known = new Map<string, Observation>();

  constructor(program: string, version: string, fresh: boolean) {
    this.#program = program;
    this.#file = join(import.meta.dirname, '..', '..', '..', '.cache', 'doctor-truth', `${version}.jsonl`);
    mkdirSync(dirname(this.#file), { recursive: true });
    if (fresh || !existsSync(this.#file)) return;
    for (const line of readFileSync(this.#file, 'utf8').split('\n').filter(Boolean)) {
      const { key, observation } = JSON.parse(line) as { key: string; observation: Observation };
      this.#known.set(key, observation);
    }
  }

  async of(data: TruthHome): Promise<Observation> {
    const key = createHash('sha256').update(JSON.stringify(data)).digest('hex');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const observation = await observe(this.#program, data);
    appendFileSync(this.#file, `${JSON.stringify({ key, observation })}\n`);
    return observation;
  }
}

async function run(words: readonly string[], home: LaidHome) {
  const [command = '', ...args] = [...overlaid(home), ...words];
  const { descriptor } = home.data;
  const child = spawn(command, args, {
    cwd: home.cwd,
    env: clientEnv(home),
    stdio: ['ignore', 'pipe', 'pipe', ...(descriptor === undefined ? [] : (['pipe'] as const))],
  });
  const pipe = child.stdio[3];
  if (pipe !== undefined && pipe !== null && 'end' in pipe) pipe.on('error', () => {}).end(descriptor);
  let [stdout, output] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  const [, signal] = await once(child, 'close');
  clearTimeout(timer);
  if (signal === 'SIGKILL') throw new Error(`the client did not end in "${home.data.name}": is the machine very busy?`);
  return { stdout, output };
}

/** Starts a program with the home's own /etc over the real one, for this one process. */
function overlaid({ root }: LaidHome): string[] {
  const etc = join(root, 'etc');
  const script = `mount -t overlay overlay -o lowerdir=${etc}:/etc /etc && exec "$@"`;
  return existsSync(etc) ? ['unshare', '--mount', 'sh', '-c', script, 'sh'] : [];
}

function sourceOf(value: string | undefined): string {
  if (value === undefined) return NOTHING;
  if (value === '') return 'an empty key';
  if (value.startsWith('AWS4-HMAC')) return 'cloud';
  if (/^sk-ant-api03-helper-/.test(value)) return 'helper';
  return SOURCES.get(value) ?? `unknown (${value})`;
}

export function clientEnv(home: LaidHome): Record<string, string> {
  return {
    PATH: '/usr/bin:/bin',
    SHELL: '/bin/sh',
    HOME: home.root,
    TMPDIR: home.root,
    CLAUDE_CODE_TMPDIR: home.root,
    ANTHROPIC_BASE_URL: home.api,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_TELEMETRY: '1',
    DISABLE_AUTOUPDATER: '1',
    ...home.env,
  };
}
