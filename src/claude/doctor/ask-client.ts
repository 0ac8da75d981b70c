import path from 'node:path';
import type { Clock } from '../../platform/clock.ts';
import { isExecutable, programsOnPath, statQuietly } from '../../platform/files.ts';
import { ProgramRun } from '../../platform/run-program.ts';

/** What the installed client says of itself and of its login. */
export interface ClientAnswer {
  readonly program: string;
  readonly version: string | undefined;
  /** undefined: it was not asked, or did not answer in time. */
  readonly login: ClientLogin | undefined;
}

export interface ClientLogin {
  readonly authMethod: string;
  readonly apiKeySource: string;
}

/** Its own answer takes 0.3 to 0.7 s. */
const LIMIT_MS = 2_000;

interface ClientSurroundings {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** `.claude.json`: without it, being asked makes the client set up its home. */
  readonly stateFile: string;
}

/**
 * Asks the client which version it is and who is logged in, without running the helper: it has no network to ask for and
 * nothing to write (seen with 2.1.330).
 *
 * @returns undefined where no client is installed.
 */
export async function askClient(around: ClientSurroundings): Promise<ClientAnswer | undefined> {
  const usual = path.join(around.homeDir, '.local', 'bin', 'claude');
  const program = programsOnPath('claude', around.env['PATH'])[0] ?? (isExecutable(usual) ? usual : undefined);
  if (program === undefined) return undefined;
  const mayAsk = statQuietly(around.stateFile)?.isFile() === true;
  const [version, login] = await Promise.all([
    run([program, '--version'], around),
    mayAsk ? run([program, 'auth', 'status', '--json'], around) : undefined,
  ]);
  return {
    program,
    version: /^\d+\.\d+\.\d+/.exec(version ?? '')?.[0],
    login: login === undefined ? undefined : loginIn(login),
  };
}

async function run(command: readonly string[], { env, projectDir, clock }: ClientSurroundings) {
  const quiet = { ...env, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' };
  const { end, stdout } = await new ProgramRun(command, { env: quiet, cwd: projectDir, limitMs: LIMIT_MS }, clock)
    .ended;
  return end === 'exited' ? stdout.toString('utf8') : undefined;
}

/** It ends with 1 where nobody is logged in, and answers all the same. */
function loginIn(text: string): ClientLogin | undefined {
  try {
    const { authMethod, apiKeySource } = JSON.parse(text) as Record<string, unknown>;
    if (typeof authMethod !== 'string') return undefined;
    return { authMethod, apiKeySource: typeof apiKeySource === 'string' ? apiKeySource : 'none' };
  } catch {
    return undefined;
  }
}
