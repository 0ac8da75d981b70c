import { readdirSync } from 'node:fs';
import path from 'node:path';
import { readRegularFile } from '../../platform/files.ts';
import { ASSIGNMENT, type ShellWord, shellStatements } from './tokenizer.ts';
import { RELEVANT_VARIABLES } from './variables.ts';

/** Profiles are a few kilobytes; generated ones seldom more than some hundred. */
const MAX_PROFILE_BYTES = 1024 * 1024;

/** A file that shells or sessions read at their start, and the variables it sets that matter to the client. */
export interface Profile {
  readonly file: string;
  readonly syntax: ProfileSyntax;
  /** Why it could not be read, in words that follow its name. */
  readonly fault: string | undefined;
  readonly assignments: readonly Assignment[];
}

interface ProfileRoots {
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `/` outside tests. */
  readonly systemRoot: string;
}

const ZSH_FILES = ['.zshenv', '.zprofile', '.zshrc', '.zlogin'];
const BASH_FILES = ['.bash_profile', '.bash_login', '.bashrc', '.bash_aliases', '.profile'];

/** Reads every profile there is, runs none; files that are not there are left out. */
export function readProfiles(roots: ProfileRoots): Profile[] {
  return profileFiles(roots).flatMap(({ file, syntax }): Profile[] => {
    const found = readRegularFile(file, { maxBytes: MAX_PROFILE_BYTES });
    if (found.state === 'absent' || (found.state === 'refused' && found.code === 'ENOTDIR')) return [];
    if (found.state === 'refused') return [{ file, syntax, fault: found.fault, assignments: [] }];
    return [{ file, syntax, fault: undefined, assignments: findAssignments(found.bytes.toString('utf8'), syntax) }];
  });
}

/** In the order in which they are read: what is set last counts. */
function profileFiles({ homeDir, env, systemRoot }: ProfileRoots) {
  const zdotdir = env['ZDOTDIR'];
  const hasOtherZdotdir = zdotdir !== undefined && zdotdir !== homeDir && path.isAbsolute(zdotdir);
  const etc = path.join(systemRoot, 'etc');
  const config = path.join(homeDir, '.config');
  const of = (syntax: ProfileSyntax, files: readonly string[]) => files.map((file) => ({ file, syntax }));
  return [
    ...of('environment', [path.join(etc, 'environment'), ...filesIn(path.join(config, 'environment.d'), '.conf')]),
    ...of('sh', [
      path.join(etc, 'profile'),
      ...filesIn(path.join(etc, 'profile.d'), '.sh'),
      ...[...ZSH_FILES, ...BASH_FILES].map((name) => path.join(homeDir, name)),
      ...(hasOtherZdotdir ? ZSH_FILES.map((name) => path.join(zdotdir, name)) : []),
    ]),
    ...of('fish', [path.join(config, 'fish/config.fish'), ...filesIn(path.join(config, 'fish/conf.d'), '.fish')]),
    ...of('fish-universal', [path.join(config, 'fish/fish_variables')]),
  ];
}

function filesIn(folder: string, extension: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith(extension));
    return names
      .sort()
      .slice(0, 200)
      .map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

/** One place in a profile that sets or unsets a variable that matters. */
interface Assignment {
  readonly name: string;
  /** Secret. undefined: computed when the shell runs. */
  readonly value: string | undefined;
  /** set: for everything started from the shell · local: not exported · command: for one command or alias · unset. */
  readonly effect: 'set' | 'local' | 'command' | 'unset';
  readonly line: number;
  readonly lastLine: number;
  /** Nothing else is on its lines, so that the lines can be commented out. */
  readonly alone: boolean;
}

export type ProfileSyntax = 'sh' | 'fish' | 'environment' | 'fish-universal';

const DECLARE = new Set(['export', 'declare', 'typeset', 'readonly', 'local']);
const KEYWORDS = new Set([
  'then',
  'do',
  'else',
  'elif',
  'if',
  'while',
  'until',
  '!',
  'time',
  'begin',
  'and',
  'or',
  'not',
  'builtin',
  'command',
]);

type Found = Pick<Assignment, 'name' | 'value' | 'effect'>;

/** Linear in the text; what it cannot make sense of it leaves out. */
export function findAssignments(text: string, syntax: ProfileSyntax): Assignment[] {
  if (syntax === 'environment') return byLine(text, /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/, unquote);
  if (syntax === 'fish-universal') return byLine(text, /^SETUVAR (?:--export )([A-Za-z_]\w*):(.*)$/, (value) => value);
  const found: Assignment[] = [];
  const exported = new Set<string>();
  let exportsAll = false;
  for (const { words, line, lastLine, alone } of shellStatements(text)) {
    const [command, ...rest] = withoutKeywords(words);
    if (command === undefined) continue;
    if (isExport(command, rest)) for (const word of rest) exported.add(word.text);
    if (command.text === 'set' && syntax === 'sh') exportsAll ||= /^-[a-z]*a/.test(rest[0]?.text ?? '');
    const inIt = command.text === 'set' && syntax === 'fish' ? fishSet(rest) : inStatement(command, rest, exportsAll);
    const relevant = inIt.filter(({ name }) => RELEVANT_VARIABLES.has(name));
    found.push(...relevant.map((each) => ({ ...each, line, lastLine, alone })));
  }
  // `NAME=…` on one line and `export NAME` on another.
  return found.map((each) => (each.effect === 'local' && exported.has(each.name) ? { ...each, effect: 'set' } : each));
}

function isExport(command: ShellWord, rest: readonly ShellWord[]): boolean {
  return command.text === 'export' || (DECLARE.has(command.text) && rest.some(({ text }) => /^-[a-z]*x/.test(text)));
}

function inStatement(command: ShellWord, rest: readonly ShellWord[], exportsAll: boolean): Found[] {
  if (command.text === 'unset') return rest.map(({ text }) => ({ name: text, value: undefined, effect: 'unset' }));
  if (command.text === 'alias') {
    const commands = rest.map(({ text }) => text.slice(text.indexOf('=') + 1));
    return commands.flatMap((text) => findAssignments(text, 'sh')).map((each) => ({ ...each, effect: 'command' }));
  }
  const own = exportsAll ? 'set' : 'local';
  if (DECLARE.has(command.text)) return assignmentsIn(rest, isExport(command, rest) ? 'set' : own);
  if (command.text === 'env') return assignmentsIn(rest, 'command');
  const words = [command, ...rest];
  const program = words.findIndex(({ text }) => !ASSIGNMENT.test(text));
  return program === -1 ? assignmentsIn(words, own) : assignmentsIn(words.slice(0, program), 'command');
}

function assignmentsIn(words: readonly ShellWord[], effect: Found['effect']): Found[] {
  return words.flatMap(({ text, dynamic }) => {
    const name = ASSIGNMENT.exec(text)?.[1];
    if (name === undefined) return [];
    return [{ name, value: dynamic ? undefined : text.slice(text.indexOf('=') + 1), effect }];
  });
}

/** `set -gx NAME value`, `set -Ux …`, `set --export …`, `set -e NAME`. */
function fishSet(words: readonly ShellWord[]): Found[] {
  const flags = words.filter(({ text }) => text.startsWith('-'));
  const [name, value] = words.filter(({ text }) => !text.startsWith('-'));
  if (name === undefined) return [];
  const has = (letter: string, long: string) =>
    flags.some(({ text }) => text === long || (/^-[A-Za-z]+$/.test(text) && text.includes(letter)));
  if (has('e', '--erase')) return [{ name: name.text, value: undefined, effect: 'unset' }];
  const known = value === undefined || value.dynamic ? undefined : value.text;
  return [{ name: name.text, value: known, effect: has('x', '--export') ? 'set' : 'local' }];
}

function byLine(text: string, pattern: RegExp, read: (value: string) => string): Assignment[] {
  const found: Assignment[] = [];
  for (const [index, content] of text.split('\n').entries()) {
    const [, name, value] = pattern.exec(content.trimEnd()) ?? [];
    if (name === undefined || value === undefined || !RELEVANT_VARIABLES.has(name)) continue;
    const line = index + 1;
    found.push({ name, value: read(value), effect: 'set', line, lastLine: line, alone: true });
  }
  return found;
}

function unquote(value: string): string {
  const bare = value.trim();
  return /^(["']).*\1$/.test(bare) && bare.length > 1 ? bare.slice(1, -1) : bare;
}

function withoutKeywords(words: readonly ShellWord[]): readonly ShellWord[] {
  const start = words.findIndex(({ text }) => !KEYWORDS.has(text));
  return start === -1 ? [] : words.slice(start);
}
