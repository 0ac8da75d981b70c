import { readdirSync } from 'node:fs';
import path from 'node:path';
import { readRegularFile } from '../../platform/files.ts';
import { type ShellStatement, type ShellWord, shellStatements } from './tokenizer.ts';
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
  /** Nothing else stands on its lines, so that the lines can be commented out. */
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
const ASSIGNMENT = /^([A-Za-z_]\w*)\+?=/;

/** Linear in the text; what it cannot make sense of it leaves out. */
export function findAssignments(text: string, syntax: ProfileSyntax): Assignment[] {
  if (syntax === 'environment') return byLine(text, /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/, unquote);
  if (syntax === 'fish-universal') return byLine(text, /^SETUVAR (?:--export )([A-Za-z_]\w*):(.*)$/, (value) => value);
  const found: Assignment[] = [];
  let exportAll = false;
  for (const statement of shellStatements(text)) {
    const words = withoutKeywords(statement.words);
    if (words[0]?.text === 'set' && /^-[a-z]*a/.test(words[1]?.text ?? '') && syntax === 'sh') exportAll = true;
    else if (words[0]?.text === 'set' && syntax === 'fish') found.push(...fishSet(statement, words));
    else found.push(...inStatement(statement, words, exportAll, found));
  }
  return found.filter(({ name }) => RELEVANT_VARIABLES.has(name));
}

function inStatement(statement: ShellStatement, words: readonly ShellWord[], exportAll: boolean, before: Assignment[]) {
  const [first, ...rest] = words;
  if (first === undefined) return [];
  if (first.text === 'unset') return rest.map(({ text }) => entry(statement, text, undefined, 'unset'));
  if (first.text === 'alias') {
    return rest.flatMap(({ text }) =>
      findAssignments(text.slice(text.indexOf('=') + 1), 'sh').map(({ name, value }) =>
        entry(statement, name, value, 'command'),
      ),
    );
  }
  if (DECLARE.has(first.text)) {
    const exported = first.text === 'export' || rest.some(({ text }) => /^-[a-z]*x/.test(text));
    if (exported) for (const { text } of rest) markExported(before, text);
    return rest.flatMap((word) => assignmentIn(statement, word, exported || exportAll ? 'set' : 'local'));
  }
  const command = words.findIndex(({ text }) => !ASSIGNMENT.test(text));
  if (command === 0 && first.text !== 'env') return [];
  const assignments = words.slice(0, command === -1 ? undefined : first.text === 'env' ? words.length : command);
  const effect = command === -1 ? (exportAll ? 'set' : 'local') : 'command';
  return assignments.flatMap((word) => assignmentIn(statement, word, effect));
}

/** `NAME=…` on one line and `export NAME` on another. */
function markExported(found: Assignment[], name: string): void {
  for (const [index, assignment] of found.entries()) {
    if (assignment.name === name && assignment.effect === 'local') found[index] = { ...assignment, effect: 'set' };
  }
}

function assignmentIn(statement: ShellStatement, word: ShellWord, effect: Assignment['effect']): Assignment[] {
  const name = ASSIGNMENT.exec(word.text)?.[1];
  if (name === undefined) return [];
  const value = word.text.slice(word.text.indexOf('=') + 1);
  return [entry(statement, name, word.dynamic ? undefined : value, effect)];
}

/** `set -gx NAME value`, `set -Ux …`, `set --export …`, `set -e NAME`. */
function fishSet(statement: ShellStatement, words: readonly ShellWord[]): Assignment[] {
  const flags = words.slice(1).filter(({ text }) => text.startsWith('-'));
  const [name, value] = words.slice(1).filter(({ text }) => !text.startsWith('-'));
  if (name === undefined) return [];
  const has = (letter: string, long: string) =>
    flags.some(({ text }) => text === long || (/^-[A-Za-z]+$/.test(text) && text.includes(letter)));
  if (has('e', '--erase')) return [entry(statement, name.text, undefined, 'unset')];
  const exported = has('x', '--export');
  return [
    entry(
      statement,
      name.text,
      value === undefined || value.dynamic ? undefined : value.text,
      exported ? 'set' : 'local',
    ),
  ];
}

function byLine(text: string, pattern: RegExp, read: (value: string) => string): Assignment[] {
  const found: Assignment[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const [, name, value] = pattern.exec(line.trimEnd()) ?? [];
    if (name === undefined || value === undefined || !RELEVANT_VARIABLES.has(name)) continue;
    const place = { line: index + 1, lastLine: index + 1, alone: true };
    found.push({ name, value: read(value), effect: 'set', ...place });
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

function entry(
  statement: ShellStatement,
  name: string,
  value: string | undefined,
  effect: Assignment['effect'],
): Assignment {
  return { name, value, effect, line: statement.line, lastLine: statement.lastLine, alone: statement.alone };
}
