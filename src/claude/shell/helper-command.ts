import path from 'node:path';
import { ASSIGNMENT, scanShell } from './tokenizer.ts';

/** What `/bin/sh -c` would make of a helper setting, as far as that can be said without running it. */
interface HelperCommand {
  /** Words of the first simple command, quotes removed; leading `NAME=value` words and `exec` are left out. */
  readonly words: readonly string[];
  /** No pipe, list, expansion, glob, redirection, comment or `NAME=value`: the words are exactly what runs. */
  readonly simple: boolean;
}

export function parseHelperCommand(text: string): HelperCommand {
  const { statements, isLiteral } = scanShell(text);
  const words = (statements[0]?.words ?? []).map((word) => word.text);
  const assignments = Math.max(
    0,
    words.findIndex((word) => !ASSIGNMENT.test(word)),
  );
  const command = words.slice(assignments);
  return { words: command[0] === 'exec' ? command.slice(1) : command, simple: isLiteral && assignments === 0 };
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
