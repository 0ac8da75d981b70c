import { accessSync, constants, realpathSync } from 'node:fs';
import path from 'node:path';
import { type ChainInput, effectiveHelper } from './effective.ts';
import type { HelperFacts } from './facts.ts';
import { credentialOf, parseHelperCommand, runsBrokerHelper } from './helper-command.ts';
import { readQuietly, statQuietly } from './read-quietly.ts';
import type { SettingsFile } from './settings-files.ts';

/** Scripts are short; a larger file is a program. */
const MAX_SCRIPT_BYTES = 64 * 1024;

export interface HelperSurroundings {
  readonly homeDir: string;
  readonly projectDir: string;
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where this installation's own `broker-key` lies, and the copy that it puts into settings: only these are our own. */
  readonly ownHelpers: readonly string[];
}

/** What can be said about the helper without running it. */
export function inspectHelper(input: ChainInput, around: HelperSurroundings): HelperFacts | undefined {
  const helper = effectiveHelper(input);
  if (helper === undefined) return undefined;
  const { command, settings, line } = helper;
  const { words } = parseHelperCommand(command);
  const ours = runsBrokerHelper(command);
  const program = words[0];
  const located = locate(program, around);
  const stat = located.path === undefined ? undefined : statQuietly(located.path);
  const found = stat?.isFile() ?? (located.path === undefined && isBuiltIn(program));
  return {
    command,
    settings,
    line,
    ours,
    credential: ours ? credentialOf(command) : undefined,
    program,
    words,
    how: located.how,
    path: located.path,
    found,
    executable: located.path === undefined ? found : isExecutable(located.path),
    script: located.path !== undefined && stat?.isFile() ? scriptText(located.path) : undefined,
    mayRun: found && (isOwnBinary(ours, located.path, around) || isOwnSettings(settings, around)),
  };
}

function locate(program: string | undefined, around: HelperSurroundings): Pick<HelperFacts, 'how' | 'path'> {
  if (program === undefined || program === '') return { how: 'unknown', path: undefined };
  const expanded = program.replace(/^(~|\$HOME|\$\{HOME\})(?=\/)/, () => around.homeDir);
  if (path.isAbsolute(expanded)) return { how: 'absolute', path: path.normalize(expanded) };
  if (/[$`*?]/.test(expanded)) return { how: 'unknown', path: undefined };
  if (expanded.includes('/')) return { how: 'relative', path: path.resolve(around.projectDir, expanded) };
  const folders = (around.env['PATH'] ?? '').split(':').filter((folder) => path.isAbsolute(folder));
  const candidates = folders.map((folder) => path.join(folder, expanded));
  return { how: 'by name', path: candidates.find(isExecutable) };
}

/** Words that /bin/sh knows by itself. */
function isBuiltIn(program: string | undefined): boolean {
  return (
    program !== undefined &&
    /^(echo|printf|read|test|exec|eval|cd|set|\.|:|true|false|if|for|while|case)$/.test(program)
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statQuietly(file)?.isFile() === true;
  } catch {
    return false;
  }
}

function scriptText(file: string): string | undefined {
  const { state, bytes } = readQuietly(file, MAX_SCRIPT_BYTES);
  return state === 'read' && bytes.subarray(0, 2).toString('latin1') === '#!' ? bytes.toString('utf8') : undefined;
}

/** By the file and not by its name: a repository can bring a `broker-key` of its own. */
function isOwnBinary(ours: boolean, file: string | undefined, { ownHelpers, uid }: HelperSurroundings): boolean {
  if (!ours || file === undefined) return false;
  try {
    const real = realpathSync(file);
    const stat = statQuietly(real);
    if (stat === undefined || (stat.mode & 0o022) !== 0 || (stat.uid !== uid && stat.uid !== 0)) return false;
    return ownHelpers.some((own) => statQuietly(own) !== undefined && realpathSync(own) === real);
  } catch {
    return false;
  }
}

/** Settings that only the user or an administrator can have written. */
function isOwnSettings({ scope, file, mode, uid }: SettingsFile, around: HelperSurroundings): boolean {
  if (scope !== 'user' && scope !== 'managed') return false;
  const inProject = around.projectDir !== around.homeDir && `${file}/`.startsWith(`${around.projectDir}/`);
  return !inProject && (mode & 0o022) === 0 && (uid === around.uid || uid === 0);
}
