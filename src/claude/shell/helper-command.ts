import path from 'node:path';
import { type Command, type ParsedScript, parse, type Word } from 'unbash';
import { isLiteral } from './places.ts';
import { walk } from './script.ts';

/** What `/bin/sh -c` would make of a helper setting, as far as that can be said without running it. */
interface HelperCommand {
  /** Words of the first simple command, quotes removed; leading `NAME=value` words and `exec` are left out. */
  readonly words: readonly string[];
  /** No pipe, list (but KEEPS_SHELL), expansion, glob, redirection, comment or `NAME=value`: the words are exactly what runs. */
  readonly simple: boolean;
}

/** Changes nothing, except that a shell does not replace itself by what comes before it. */
export const KEEPS_SHELL = ' || exit';

export function parseHelperCommand(line: string): HelperCommand {
  const text = line.trim().endsWith(KEEPS_SHELL) ? line.trim().slice(0, -KEEPS_SHELL.length) : line;
  const script = parse(text);
  const [first] = commandsOf(script);
  const [only] = script.commands;
  const isWhole = only !== undefined && only.command === first?.node && text.slice(only.pos, only.end) === text.trim();
  const words = first?.words ?? [];
  const isPlain = first?.isFixed && first.node.redirects.length === 0 && first.node.prefix.length === 0;
  return {
    words: words[0] === 'exec' ? words.slice(1) : words,
    simple: isWhole && isPlain === true && only.background !== true && script.errors === undefined,
  };
}

interface SimpleCommand {
  readonly node: Command;
  /** Quotes removed; without assignments in front of it, unless there is nothing else. */
  readonly words: readonly string[];
  /** No expansion and no glob: the words are what they look like. */
  readonly isFixed: boolean;
}

/** Every simple command of a command line or a script for sh, also within others. */
export function commandsIn(text: string): SimpleCommand[] {
  return commandsOf(parse(text));
}

function commandsOf(script: ParsedScript): SimpleCommand[] {
  const found: SimpleCommand[] = [];
  walk(script, (node) => {
    if (node.type !== 'Command') return true;
    const parts = node.name === undefined ? [] : [node.name, ...node.args];
    const words = parts.map((part) => (part.type === 'Word' ? part.value : part.text));
    const own = node.prefix.flatMap((part) => (part.type === 'Assignment' ? [part.text] : []));
    const isFixed = parts.every((part) => part.type === 'Assignment' || isFixedWord(part));
    found.push({ node, words: node.name === undefined ? own : words, isFixed });
    return true;
  });
  return found;
}

function isFixedWord({ parts = [] }: Word): boolean {
  return parts.every(({ type }) => type !== 'Glob' && type !== 'ExtendedGlob') && parts.every(isLiteral);
}

/**
 * Whether a setting runs this project's helper: `broker-key …` or `broker get …` and nothing else. Such a line may be
 * replaced without asking.
 */
export function runsBrokerHelper(text: string): boolean {
  const { words, simple } = parseHelperCommand(text);
  const [program, first] = words;
  if (!simple || program === undefined) return false;
  const name = path.posix.basename(program);
  return name === 'broker-key' || (name === 'broker' && first === 'get');
}

/** The credential that a line of ours asks for; undefined where it takes the default one. */
export function credentialOf(text: string): string | undefined {
  const { words } = parseHelperCommand(text);
  const rest = words.slice(path.posix.basename(words[0] ?? '') === 'broker' ? 2 : 1);
  for (let at = 0; at < rest.length; at += 1) {
    const word = rest[at] ?? '';
    if (word === '--format') at += 1;
    else if (!word.startsWith('-')) return word;
  }
  return undefined;
}

/** The format that a line of ours asks for; undefined where it takes the bare key. */
export function formatOf(text: string): string | undefined {
  const { words } = parseHelperCommand(text);
  const at = words.indexOf('--format');
  const given = at === -1 ? words.find((word) => word.startsWith('--format='))?.slice(9) : words[at + 1];
  return given === 'raw' ? undefined : given;
}

/**
 * What may be shown of somebody's helper command: people write keys into them. Our own is shown as it is, of any other
 * the program, if it is plainly one, and the number of its arguments.
 */
export function describeCommand(command: string): string {
  if (runsBrokerHelper(command)) return command;
  const { words, simple } = parseHelperCommand(command);
  const [program = '', ...rest] = words;
  const isPath = /^(\/|~\/|\.{1,2}\/|\$HOME\/)[\w./@+ -]*$/.test(program);
  const isName = /^[a-z][a-z_.-]{0,19}$/.test(program);
  if (!isPath && !isName) return '(a command)';
  if (!simple) return `${program} …`;
  return rest.length === 0 ? program : `${program} (and ${rest.length} more word${rest.length === 1 ? '' : 's'})`;
}
