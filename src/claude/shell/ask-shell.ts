import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import { ProgramRun } from '../../platform/run-program.ts';
import { RELEVANT_VARIABLES } from './variables.ts';

/** What a shell itself said that it exports; only what matters to the client is kept. */
export interface AskedShell {
  readonly program: string;
  /** late: it did not end within the limit · failed: it did not get as far as to say it. */
  readonly outcome: 'answered' | 'late' | 'failed' | 'unknown shell';
  readonly kind: 'sh' | 'fish';
  /** Secret. */
  readonly exports: ReadonlyMap<string, string>;
}

interface Question {
  /** `$SHELL`. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly clock: Clock;
  readonly limitMs?: number;
}

/** Profiles that ask the network take seconds; one that waits for a person never ends. */
const LIMIT_MS = 10_000;
const MARK = 'broker-environment';
/** bash, zsh, fish and dash know -l, -i and -c and this printf; behind the mark is what the shell hands on. */
const COMMAND = `printf '\\000${MARK}\\000'; /usr/bin/env -0`;
const KNOWN_SHELLS = new Set(['sh', 'bash', 'zsh', 'fish', 'dash', 'ksh']);
/** What login(1) gives a shell: nothing of this one, whose variables would seem to be new ones. */
const KEPT = ['USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TMPDIR', 'XDG_RUNTIME_DIR'];

/**
 * Starts the person's shell as a terminal does, once as a login shell and once not, in an environment of its own and without a
 * terminal, and asks what it exports. Its profiles run: for people who have said so.
 */
export async function askShell({ program, env, homeDir, clock, limitMs = LIMIT_MS }: Question): Promise<AskedShell> {
  const name = path.basename(program);
  const kind = name === 'fish' ? 'fish' : 'sh';
  const exports = new Map<string, string>();
  if (!KNOWN_SHELLS.has(name)) return { program, outcome: 'unknown shell', kind, exports };
  const kept = Object.fromEntries(KEPT.map((each) => [each, env[each]]));
  const clean = { ...kept, HOME: homeDir, SHELL: program, TERM: 'dumb', PATH: '/usr/local/bin:/usr/bin:/bin' };
  let outcome: AskedShell['outcome'] = 'answered';
  for (const flags of ['-lic', '-ic']) {
    const run = new ProgramRun([program, flags, COMMAND], { env: clean, cwd: homeDir, limitMs }, clock);
    const { end, stdout } = await run.ended;
    const text = stdout.toString('utf8');
    stdout.fill(0);
    const at = text.lastIndexOf(`\0${MARK}\0`);
    if (end === 'late') outcome = 'late';
    else if (at === -1) outcome = 'failed';
    if (at === -1) break;
    for (const line of text.slice(at + MARK.length + 2).split('\0')) {
      const [variable = ''] = line.split('=', 1);
      if (RELEVANT_VARIABLES.has(variable)) exports.set(variable, line.slice(variable.length + 1));
    }
  }
  return { program, outcome, kind, exports };
}
