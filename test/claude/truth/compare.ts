import { readFileSync } from 'node:fs';
import path from 'node:path';
import { doctorCommand } from '../../../src/cli/commands/doctor.ts';
import type { ProcessIo } from '../../../src/platform/process-io.ts';
import { realClock } from '../../fakes/real-clock.ts';
import { LaidHome, type TruthHome } from './home.ts';
import { type Account, clientEnv, NOTHING, type Observation } from './observe.ts';

export interface Verdict {
  readonly home: TruthHome;
  readonly client: Account;
  readonly doctor: Account;
  /** The client's own `auth status` was compared too. */
  readonly asked: boolean;
  /** What differs, in words; empty: nothing. */
  readonly differences: readonly string[];
  /** The last that the client said, for a person who looks into a difference. */
  readonly words: string;
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
  readonly findings: readonly Finding[];
  readonly exitCode: number;
}

export interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly title: string;
  readonly remedy: string;
}

/** Nothing listens there: the doctor makes no request. */
const NOWHERE = 'http://127.0.0.1:9';

/** What the doctor says of a home, beside what the client did there. */
export async function compare(data: TruthHome, seen: Observation, version: string): Promise<Verdict> {
  using home = new LaidHome(data, NOWHERE);
  const report = await askDoctor(home, seen.status, version);
  const doctor = accountOf(home, report);
  // A cloud's own login may end before there is a request, and a helper that gives nothing makes an empty key.
  const isUnsent =
    doctor.authorization === 'cloud' &&
    seen.account.xApiKey === NOTHING &&
    seen.account.authorization === NOTHING &&
    seen.account.helper === doctor.helper;
  const isKeyless =
    seen.account.authorization === 'an empty key' &&
    doctor.authorization === 'helper' &&
    seen.account.helper === doctor.helper;
  const differences = (['xApiKey', 'authorization', 'helper'] as const).flatMap((part) => {
    const [client, told] = [seen.account[part], doctor[part]];
    // A header that is set to nothing by hand is sent.
    const isEmpty = client === 'an empty key' && told === NOTHING;
    return client === told || isEmpty || isUnsent || isKeyless
      ? []
      : [`${part}: the client ${client}, the doctor ${told}`];
  });
  const contradicted = report.findings.filter(({ id }) => id === 'client-disagrees').map(({ title }) => title);
  return {
    home: data,
    client: seen.account,
    asked: seen.status.includes('authMethod'),
    doctor,
    differences: [...differences, ...contradicted],
    words: seen.words,
    report,
  };
}

/** As `broker doctor --json` in this home prints it; the helper is left alone. The client answers what it answered before. */
export async function askDoctor(home: LaidHome, status: string, version: string): Promise<DoctorJson> {
  const folder = home.program(
    'claude',
    `if [ "$1" = --version ]; then echo '${version} (Claude Code)'; else cat <<'END'\n${status}\nEND\nfi`,
  );
  let out = '';
  const io: ProcessIo = {
    stdout: (text) => {
      out += String(text);
    },
    stderr: () => {},
    env: {
      ...clientEnv(home),
      PATH: `${folder}:/usr/bin:/bin`,
      BROKER_STATE_DIR: path.join(home.root, 'state'),
      BROKER_SOCKET: path.join(home.root, 'no.sock'),
    },
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

function accountOf(home: LaidHome, report: DoctorJson): Account {
  const mode = report.modes.find(({ mode }) => mode === (home.data.bare ? 'bare' : 'print'));
  if (mode === undefined) throw new Error('the doctor does not tell of this mode');
  return {
    xApiKey: mode.headers['x-api-key'] ?? NOTHING,
    authorization: mode.headers.authorization ?? NOTHING,
    helper: mode.helper === null ? NOTHING : helperAt(mode.helper, home),
  };
}

/** The name of the helper that this `file:line` sets. */
function helperAt(place: string, home: LaidHome): string {
  const [, file = '', line = ''] = /^(.*):(\d+)$/.exec(place) ?? [];
  const text = file === '--settings' ? home.settings : readFileSync(file, 'utf8').split('\n')[Number(line) - 1];
  return /helpers\/([\w-]+)/.exec(text ?? '')?.[1] ?? (/ran; exit/.test(text ?? '') ? 'user' : NOTHING);
}
