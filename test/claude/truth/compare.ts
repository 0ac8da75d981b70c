import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { doctorCommand } from '../../../src/cli/commands/doctor.ts';
import type { ProcessIo } from '../../../src/platform/process-io.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { API, CLOUD, CONSOLE, CUSTOM, HANDED, keyOf, LaidHome, LOGIN, OAUTH, PROFILE, TOKEN, type TruthHome } from './home.ts';
import { EXCHANGED, Recorder } from './recorder.ts';

/** What a request carries and whose helper was run, as one of the two tells it. */
export interface Account {
  readonly xApiKey: string;
  readonly authorization: string;
  readonly helper: string;
}

export interface Verdict {
  readonly home: TruthHome;
  readonly client: Account;
  readonly doctor: Account;
  /** What differs, in words; empty: nothing. */
  readonly differences: readonly string[];
  /** The last that the client said, for a person who looks into a difference. */
  readonly words: string;
  readonly ms: number;
  /** What `broker doctor --json` printed. */
  readonly report: DoctorJson;
}

export interface DoctorJson {
  readonly modes: readonly {
    readonly mode: string;
    readonly winner: string | null;
    readonly headers: { readonly 'x-api-key': string | null; readonly authorization: string | null };
    readonly helper: string | null;
  }[];
  readonly findings: readonly { readonly id: string; readonly severity: string; readonly title: string; readonly remedy: string }[];
}

const NOTHING = 'nothing';
const LIMIT_MS = 40_000;

const SOURCES: ReadonlyMap<string, string> = new Map([
  [API, 'api-key'],
  [TOKEN, 'auth-token'],
  [OAUTH, 'oauth-token'],
  [LOGIN, 'login'],
  [CONSOLE, 'login'],
  [CUSTOM, 'custom-headers'],
  [HANDED, 'handed-key'],
  [CLOUD, 'cloud'],
  [PROFILE, 'profile'],
  [EXCHANGED, 'workload-identity'],
]);

/** Gives one home to the client and to the doctor, and compares what they tell. */
export async function judge(program: string, data: TruthHome): Promise<Verdict> {
  const recorder = await Recorder.start();
  using home = new LaidHome(data, recorder.url);
  try {
    const startedMs = performance.now();
    const report = await askDoctor(home);
    const doctor = doctorsAccount(home, report);
    const { client, words } = await askClient(program, home, recorder);
    return { home: data, client, doctor, differences: compare(client, doctor), words, ms: performance.now() - startedMs, report };
  } finally {
    await recorder.stop();
  }
}

function compare(client: Account, doctor: Account): string[] {
  return (['xApiKey', 'authorization', 'helper'] as const).flatMap((part) =>
    client[part] === doctor[part] ||
    // A cloud's own login may end before there is a request.
    (part === 'authorization' && doctor.authorization === 'cloud' && client.authorization === NOTHING)
      ? []
      : [`${part}: the client ${client[part]}, the doctor ${doctor[part]}`],
  );
}

/** The client alone, as `claude -p ping`, in a mount namespace in which `/etc` has the home's files. */
async function askClient(program: string, home: LaidHome, recorder: Recorder) {
  const elsewhere = Object.keys(networkInterfaces()).filter((name) => name !== 'lo');
  if (elsewhere.length > 0) throw new Error('the real client is started in a namespace without a network only');
  const { data, settings } = home;
  const words = [program, '-p', 'ping', ...(data.bare ? ['--bare'] : [])];
  if (settings !== undefined) words.push('--settings', settings);
  const etc = path.join(home.root, 'etc');
  // Over the real /etc, for this one process.
  const overlay = ['unshare', '--mount', 'sh', '-c', `mount -t overlay overlay -o lowerdir=${etc}:/etc /etc && exec "$@"`, 'sh'];
  const [command = '', ...args] = existsSync(etc) ? [...overlay, ...words] : words;
  const child = spawn(command, args, {
    cwd: home.cwd,
    env: clientEnv(home),
    stdio: ['ignore', 'pipe', 'pipe', ...(data.descriptor === undefined ? [] : (['pipe'] as const))],
  });
  const descriptor = child.stdio[3];
  if (descriptor !== undefined && descriptor !== null && 'end' in descriptor) {
    descriptor.on('error', () => {}).end(data.descriptor);
  }
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => { output += text; });
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  await once(child, 'close');
  clearTimeout(timer);
  const call = recorder.calls[0];
  const ran = existsSync(home.ran) ? new Set(readFileSync(home.ran, 'utf8').trim().split('\n')) : new Set<string>();
  const client: Account = {
    xApiKey: sourceOf(call?.apiKey),
    authorization: sourceOf(call?.authorization?.replace(/^Bearer /, '')),
    helper: [...ran].sort().join('+') || NOTHING,
  };
  return { client, words: `${output.trim().slice(-600)} [${recorder.others.join(', ')}]` };
}

function sourceOf(value: string | undefined): string {
  if (value === undefined) return NOTHING;
  if (value.startsWith('AWS4-HMAC')) return 'cloud';
  const helper = /^sk-ant-api03-helper-(.+)-0123456789abcdef$/.exec(value)?.[1];
  if (helper !== undefined) return `helper`;
  return SOURCES.get(value) ?? `unknown (${value})`;
}

function clientEnv(home: LaidHome): Record<string, string> {
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

/** As `broker doctor --json` in this home prints it; the helper is left alone, so that only the client runs it. */
export async function askDoctor(home: LaidHome): Promise<DoctorJson> {
  let out = '';
  const io: ProcessIo = {
    stdout: (text) => { out += String(text); },
    stderr: () => {},
    env: { ...clientEnv(home), BROKER_STATE_DIR: path.join(home.root, 'state'), BROKER_SOCKET: path.join(home.root, 'no.sock') },
    homeDir: home.root,
    uid: process.getuid?.() ?? 0,
    pid: process.pid,
    ppid: process.ppid,
    platform: 'linux',
    stdoutIsTty: false,
    stderrIsTty: false,
    columns: undefined,
    clock: realClock,
    signal: new AbortController().signal,
    setExitCode: () => {},
  };
  const parts = { fetchStatus: async () => undefined, systemRoot: home.root };
  const flags = ['--json', '--no-run-helper', '--project', home.cwd];
  if (home.settings !== undefined) flags.push('--settings', home.settings);
  await doctorCommand(io, parts).parseAsync(['node', 'broker', ...flags]);
  return JSON.parse(out) as DoctorJson;
}

function doctorsAccount(home: LaidHome, report: DoctorJson): Account {
  const mode = report.modes.find(({ mode }) => mode === (home.data.bare ? 'bare' : 'print'));
  if (mode === undefined) throw new Error('the doctor does not tell of this mode');
  return {
    xApiKey: mode.headers['x-api-key'] ?? NOTHING,
    authorization: mode.headers.authorization ?? NOTHING,
    helper: mode.helper === null ? NOTHING : helperAt(mode.helper),
  };
}

/** The name of the helper that this `file:line` sets. */
function helperAt(place: string): string {
  const [, file = '', line = ''] = /^(.*):(\d+)$/.exec(place) ?? [];
  const text = existsSync(file) ? readFileSync(file, 'utf8').split('\n')[Number(line) - 1] : place;
  return /helpers\/([\w-]+)/.exec(text ?? '')?.[1] ?? place;
}

export { keyOf, mkdirSync };
