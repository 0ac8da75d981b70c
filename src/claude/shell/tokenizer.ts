/** A word of a shell script with its quotes removed. */
export interface ShellWord {
  readonly text: string;
  /** It holds `$…`, a backquote or `$(…)` outside single quotes: its value is only known when the shell runs. */
  readonly dynamic: boolean;
}

export interface ShellStatement {
  /** Without redirections and their targets. */
  readonly words: readonly ShellWord[];
  /** First and last line, counted from 1. */
  readonly line: number;
  readonly lastLine: number;
  /** Nothing but this statement is on its lines. */
  readonly alone: boolean;
}

/** A word that sets a variable: its name. */
export const ASSIGNMENT = /^([A-Za-z_]\w*)\+?=/;

interface ShellText {
  readonly statements: readonly ShellStatement[];
  /** Words and closed quotes are all there is: no operator, line end, expansion, glob or comment. */
  readonly isLiteral: boolean;
}

/**
 * Splits a profile, a script or a command line into statements the way sh, bash, zsh and fish would, near enough to
 * find assignments: quotes, escapes, comments, line continuations, redirections and here-documents are understood,
 * nothing is expanded, nothing is run. Linear in the text.
 */
export function scanShell(text: string): ShellText {
  return new Scanner(text).scan();
}

export function shellStatements(text: string): readonly ShellStatement[] {
  return scanShell(text).statements;
}

const REDIRECTION = /<<<|<<-|<<|[<>]&|>>|>\||<>|[<>]/y;

class Scanner {
  readonly #text: string;
  readonly #found: Omit<ShellStatement, 'alone'>[] = [];
  /** Delimiters of here-documents whose text follows on the next line. */
  readonly #hereDocuments: string[] = [];
  #at = 0;
  #line = 1;
  #isLiteral = true;
  #current: { readonly line: number; readonly words: ShellWord[] } | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ShellText {
    while (this.#at < this.#text.length) this.#step();
    this.#endStatement();
    const uses = new Map<number, number>();
    for (const { line, lastLine } of this.#found) {
      for (let each = line; each <= lastLine; each += 1) uses.set(each, (uses.get(each) ?? 0) + 1);
    }
    const statements = this.#found.map((statement) => ({ ...statement, alone: isAlone(statement, uses) }));
    return { statements, isLiteral: this.#isLiteral };
  }

  #step(): void {
    const character = this.#text[this.#at] ?? '';
    if (' \t\r'.includes(character)) {
      this.#at += 1;
    } else if (character === '\\' && this.#text[this.#at + 1] === '\n') {
      this.#at += 2;
      this.#line += 1;
    } else if ('\n#;&|(){}<>'.includes(character)) {
      this.#isLiteral = false;
      this.#operator(character);
    } else {
      this.#current ??= { line: this.#line, words: [] };
      this.#current.words.push(this.#word());
    }
  }

  #operator(character: string): void {
    if (character === '\n') {
      this.#endStatement();
      this.#at += 1;
      this.#line += 1;
      this.#skipHereDocuments();
    } else if (character === '#') {
      const end = this.#text.indexOf('\n', this.#at);
      this.#at = end === -1 ? this.#text.length : end;
    } else if (character === '<' || character === '>') {
      this.#redirection();
    } else {
      this.#endStatement();
      this.#at += 1;
    }
  }

  #redirection(): void {
    REDIRECTION.lastIndex = this.#at;
    const [operator = ''] = REDIRECTION.exec(this.#text) ?? [];
    this.#at += operator.length;
    while (' \t'.includes(this.#text[this.#at] ?? '\n')) this.#at += 1;
    const target = this.#word().text;
    if ((operator === '<<' || operator === '<<-') && target !== '') this.#hereDocuments.push(target);
  }

  #word(): ShellWord {
    let text = '';
    let dynamic = false;
    let quote = '';
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at] ?? '';
      const isInCommand = character === '(' && this.#text[this.#at - 1] === '$';
      if (quote === '' && ' \t\r\n;&|()<>'.includes(character) && !isInCommand) break;
      if (character === '\n') this.#line += 1;
      if (character === '\\' && quote !== "'") {
        this.#at += 1;
        if (this.#text[this.#at] === '\n') this.#line += 1;
        else text += this.#text[this.#at] ?? '';
        continue;
      }
      if (quote !== "'" && (character === '$' || character === '`')) dynamic = true;
      if (quote === '' && '*?['.includes(character)) this.#isLiteral = false;
      const isQuote = quote === '' ? '"\'`'.includes(character) : character === quote;
      if (isQuote) quote = quote === '' ? character : '';
      if (!isQuote || character === '`') text += character;
    }
    if (dynamic || quote !== '') this.#isLiteral = false;
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
