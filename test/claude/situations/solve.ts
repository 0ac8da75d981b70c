import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { claudeCommand } from '../../../src/cli/commands/claude.ts';
import { followRemedy } from '../../fakes/follow-remedy.ts';
import { MessagesApi } from '../../fakes/messages-api.ts';
import { TemporaryHome } from '../../unit/claude/home.ts';
import { runDoctor } from '../../unit/claude/run-doctor.ts';
import { captureIo } from '../../unit/claude/test-io.ts';

/** In texts `{HOME}` is the home's folder and `{GOOD}` the key that the API takes. */
export interface Situation {
  readonly name: string;
  /** Where somebody reported or committed it. */
  readonly source: string;
  readonly shell: 'bash' | 'zsh' | 'fish';
  readonly isLogin?: true;
  /** What the shell in which the doctor is asked has. */
  readonly env?: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string | readonly [text: string, mode: number]>>;
  /** The findings that are the cause, as long as there are any. */
  readonly finds: readonly string[];
  readonly says: RegExp;
  /** Where the remedy asks for something that only a person knows. */
  readonly hand?: { readonly what: string; readonly do: (home: SituationHome) => void };
  /** Files that the remedy leaves alone. */
  readonly stays?: readonly string[];
  /** What is wrong is not the login. */
  readonly isWorkingBefore?: true;
}

export interface Solution {
  /** Title of the first finding that is the cause. */
  readonly cause: string;
  readonly remedies: readonly string[];
  /** Errors and warnings that are left. */
  readonly left: readonly string[];
  /** Variables that log in or turn something on, in a new shell afterwards. */
  readonly exported: readonly string[];
  /** What the client did, where there is one. */
  readonly client?: { readonly before: boolean; readonly after: boolean; readonly words: string };
}

const GOOD = 'sk-ant-api03-good-0123456789abcdef0123456789';
const LIMIT_MS = 45_000;
const MOST_REMEDIES = 8;

export class SituationHome extends TemporaryHome {
  override write(name: string, content: string | Uint8Array, mode?: number): string {
    const text =
      typeof content === 'string' ? content.replaceAll('{HOME}', this.root).replaceAll('{GOOD}', GOOD) : content;
    return super.write(name, text, mode);
  }
}

/** Lays the situation out, asks the doctor, does what it says to the letter, and looks whether all is well then. */
export async function solve(situation: Situation, client?: string): Promise<Solution> {
  using home = new SituationHome();
  layOut(home, situation);
  const api = await MessagesApi.start(GOOD);
  try {
    const env = new Map(
      Object.entries(situation.env ?? {}).map(([name, value]) => [name, value.replaceAll('{HOME}', home.root)]),
    );
    const before = client === undefined ? undefined : await ask(home, situation, client, api, env);
    const kept = (situation.stays ?? []).map((file) => readFileSync(home.path(file), 'utf8'));
    const remedies: string[] = [];
    let cause = '';
    for (let round = 0; round < MOST_REMEDIES; round += 1) {
      const [found] = (await examine(home, env)).filter(({ id }) => situation.finds.includes(id));
      if (found === undefined) break;
      cause ||= found.title;
      remedies.push(found.remedy);
      await act(home, situation, found.remedy, env);
    }
    const left = (await examine(home, env)).filter(({ severity }) => severity !== 'info').map(({ id }) => id);
    for (const [index, file] of (situation.stays ?? []).entries()) {
      if (readFileSync(home.path(file), 'utf8') !== kept[index]) left.push(`${file} was changed`);
    }
    const solution = { cause, remedies, left, exported: exportedBy(home, situation, env) };
    if (client === undefined || before === undefined) return solution;
    const after = await ask(home, situation, client, api, env);
    return { ...solution, client: { before: before.isOk, after: after.isOk, words: after.words } };
  } finally {
    await api.stop();
  }
}

function layOut(home: SituationHome, { files }: Situation): void {
  mkdirSync(home.path('project'), { recursive: true });
  home.write('helper.sh', '#!/bin/sh\nK={GOOD}\necho "$K"\n', 0o755);
  home.write('bin/broker-key', '#!/bin/sh\nK={GOOD}\necho "$K"\n', 0o755);
  home.write('.claude.json', '{}');
  if (!('.claude/settings.json' in files)) home.write('.claude/settings.json', '{"apiKeyHelper":"{HOME}/helper.sh"}');
  for (const [name, content] of Object.entries(files)) {
    const [text, mode] = typeof content === 'string' ? [content, 0o600] : content;
    home.write(name, text, mode);
  }
}

interface Found {
  readonly id: string;
  readonly severity: string;
  readonly title: string;
  readonly remedy: string;
}

async function examine(home: SituationHome, env: ReadonlyMap<string, string>): Promise<Found[]> {
  const { out } = await runDoctor(home, ['--json'], { PATH: pathOf(home), ...Object.fromEntries(env) });
  return JSON.parse(out).findings;
}

/** What the sentence says: in the file that it names, on the command line, or by hand. */
async function act(home: SituationHome, situation: Situation, remedy: string, env: Map<string, string>): Promise<void> {
  const install = /broker (claude install[^;,]*)/.exec(remedy)?.[1];
  const typed = /type: ((?:chmod|perl) .*?)$/.exec(remedy)?.[1];
  const unset = [...remedy.matchAll(/(?:unset|set -e) (\w+)/g)].map(([, name = '']) => name);
  for (const name of unset) env.delete(name);
  if (situation.hand !== undefined) situation.hand.do(home);
  else if (typed !== undefined) spawnSync('/bin/sh', ['-c', typed]);
  else if (followRemedy(remedy)) return;
  else if (install !== undefined) {
    const io = captureIo(home, { PATH: pathOf(home), ...Object.fromEntries(env) });
    const words = install.split(' ').slice(1);
    await claudeCommand(io).parseAsync([
      'node',
      'broker',
      ...words,
      '--helper',
      home.path('bin/broker-key'),
      '--force',
      '--project',
      home.path('project'),
    ]);
  }
}

function pathOf(home: SituationHome): string {
  return `${home.path('programs')}:/usr/bin:/bin`;
}

/** As a terminal starts it. */
function shellEnv(home: SituationHome, env: ReadonlyMap<string, string>): Record<string, string> {
  return {
    HOME: home.root,
    PATH: pathOf(home),
    TERM: 'dumb',
    USER: 'somebody',
    LANG: 'C.UTF-8',
    ...Object.fromEntries(env),
  };
}

function exportedBy(home: SituationHome, { shell, isLogin }: Situation, env: ReadonlyMap<string, string>): string[] {
  const { stdout } = spawnSync(shell, [isLogin ? '-lic' : '-ic', 'env'], {
    env: shellEnv(home, env),
    cwd: home.path('project'),
    timeout: 20_000,
  });
  const names = stdout.toString().matchAll(/^((?:ANTHROPIC|CLAUDE_CODE)_\w+)=./gm);
  return [...names].flatMap(([, name = '']) => (name === 'ANTHROPIC_MODEL' ? [] : name)).sort();
}

/** `claude -p ping` in a new shell: whether it was answered, with the helper's key alone. */
async function ask(
  home: SituationHome,
  { shell, isLogin }: Situation,
  client: string,
  api: MessagesApi,
  env: ReadonlyMap<string, string>,
) {
  const calls = api.calls.length;
  const child = spawn(shell, [isLogin ? '-lic' : '-ic', `exec ${client} -p ping`], {
    cwd: home.path('project'),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ANTHROPIC_BASE_URL: api.url,
      ...shellEnv(home, env),
      TMPDIR: home.root,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      CLAUDE_CODE_MAX_RETRIES: '1',
      DISABLE_TELEMETRY: '1',
      DISABLE_AUTOUPDATER: '1',
    },
  });
  let words = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      words += text;
    });
  }
  const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), LIMIT_MS);
  const [status] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  const seen = api.calls.slice(calls);
  const isOurs =
    seen.length > 0 && seen.every(({ apiKey, authorization }) => apiKey === GOOD && authorization === `Bearer ${GOOD}`);
  return { isOk: status === 0 && isOurs, words: words.trim().slice(-300) };
}
