import path from 'node:path';

/** A word of a shell script with its quotes removed. */
export interface ShellWord {
  readonly text: string;
  /** It holds `$…`, a backquote or `$(…)` outside single quotes: its value is only known when the shell runs. */
  readonly dynamic: boolean;
}

export interface ShellStatement {
  readonly words: readonly ShellWord[];
  /** First and last line, counted from 1. */
  readonly line: number;
  readonly lastLine: number;
  /** Nothing but this statement stands on its lines. */
  readonly alone: boolean;
}

interface Partial {
  line: number;
  words: ShellWord[];
}

/**
 * Splits a profile into statements the way sh, bash, zsh and fish would, near enough to find assignments: quotes,
 * escapes, comments, line continuations and here-documents are understood, nothing is expanded, nothing is run.
 */
export function shellStatements(text: string): ShellStatement[] {
  return new Scanner(text).statements();
}

class Scanner {
  readonly #text: string;
  readonly #found: { words: ShellWord[]; line: number; lastLine: number }[] = [];
  readonly #hereDocuments: string[] = [];
  #at = 0;
  #line = 1;
  #current: Partial | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  statements(): ShellStatement[] {
    while (this.#at < this.#text.length) this.#step();
    this.#endStatement();
    const uses = new Map<number, number>();
    for (const { line, lastLine } of this.#found) {
      for (let each = line; each <= lastLine; each += 1) uses.set(each, (uses.get(each) ?? 0) + 1);
    }
    return this.#found.map((statement) => ({ ...statement, alone: isAlone(statement, uses) }));
  }

  #step(): void {
    const character = this.#text[this.#at] ?? '';
    if (character === '\n') {
      this.#endStatement();
      this.#at += 1;
      this.#line += 1;
      this.#skipHereDocuments();
    } else if (character === '\\' && this.#text[this.#at + 1] === '\n') {
      this.#at += 2;
      this.#line += 1;
    } else if (character === '#') {
      const end = this.#text.indexOf('\n', this.#at);
      this.#at = end === -1 ? this.#text.length : end;
    } else if (this.#text.startsWith('<<', this.#at) && this.#text[this.#at + 2] !== '<') {
      this.#at += this.#text[this.#at + 2] === '-' ? 3 : 2;
      while (this.#text[this.#at] === ' ') this.#at += 1;
      const delimiter = this.#word().text;
      if (delimiter !== '') this.#hereDocuments.push(delimiter);
    } else if (';&|(){}'.includes(character)) {
      this.#endStatement();
      this.#at += 1;
    } else if (' \t\r<>'.includes(character)) {
      this.#at += 1;
    } else {
      this.#current ??= { line: this.#line, words: [] };
      this.#current.words.push(this.#word());
    }
  }

  #word(): ShellWord {
    let text = '';
    let dynamic = false;
    let quote = '';
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at] ?? '';
      if (quote === '' && ' \t\r\n;&|()<>'.includes(character)) {
        if (character !== '(' || this.#text[this.#at - 1] !== '$') break;
      }
      if (character === '\n') this.#line += 1;
      if (quote !== "'" && (character === '$' || character === '`')) dynamic = true;
      if (quote !== '' && character === quote) quote = '';
      else if (quote === '' && (character === '"' || character === "'" || character === '`')) quote = character;
      else if (quote !== "'" && character === '\\') {
        this.#at += 1;
        if (this.#text[this.#at] === '\n') this.#line += 1;
        else text += this.#text[this.#at] ?? '';
      } else text += character;
    }
    return { text, dynamic };
  }

  #endStatement(): void {
    if (this.#current !== undefined) this.#found.push({ ...this.#current, lastLine: this.#line });
    this.#current = undefined;
  }

  #skipHereDocuments(): void {
    for (const delimiter of this.#hereDocuments.splice(0)) {
      while (this.#at < this.#text.length) {
        const end = this.#text.indexOf('\n', this.#at);
        const line = this.#text.slice(this.#at, end === -1 ? undefined : end);
        this.#at = end === -1 ? this.#text.length : end + 1;
        this.#line += 1;
        if (line.replace(/^\t+/, '').trimEnd() === delimiter) break;
      }
    }
  }
}

function isAlone(statement: { line: number; lastLine: number }, uses: Map<number, number>): boolean {
  for (let line = statement.line; line <= statement.lastLine; line += 1) {
    if (uses.get(line) !== 1) return false;
  }
  return true;
}

/** What `/bin/sh -c` would make of a helper setting, as far as that can be said without running it. */
interface HelperCommand {
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
