import path from 'node:path';

/** What `/bin/sh -c` would make of a helper setting, as far as that can be said without running it. */
export interface HelperCommand {
  readonly text: string;
  /** Words of the first simple command, quotes removed; leading `NAME=value` words are left out. */
  readonly words: readonly string[];
  /** No pipe, list, substitution, variable, glob or redirection: the words are exactly what runs. */
  readonly simple: boolean;
}

const SPECIAL = new Set(['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '#', '\n']);

export function parseHelperCommand(text: string): HelperCommand {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  let simple = true;
  let ended = false;
  for (let at = 0; at < text.length && !ended; at += 1) {
    const character = text[at] ?? '';
    if (quote === "'") {
      if (character === "'") quote = '';
      else word += character;
    } else if (character === '\\') {
      at += 1;
      word = (word ?? '') + (text[at] ?? '');
    } else if (quote === '"') {
      if (character === '"') quote = '';
      else {
        if (character === '$' || character === '`') simple = false;
        word += character;
      }
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= '';
    } else if (character === ' ' || character === '\t') {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (SPECIAL.has(character)) {
      simple = false;
      if ('|&;<>()\n'.includes(character)) ended = true;
      else word = (word ?? '') + character;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (word !== undefined) words.push(word);
  const assignments = words.findIndex((candidate) => !/^[A-Za-z_]\w*=/.test(candidate));
  return {
    text,
    words: assignments > 0 ? words.slice(assignments) : words,
    simple: simple && quote === '' && assignments <= 0,
  };
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
