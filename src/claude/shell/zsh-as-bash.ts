import { lineEnd } from './lines.ts';
import {
  balancedEnd,
  type Edit,
  edited,
  heredocAt,
  isQualifier,
  listEdits,
  quotedEnd,
  type Rewritten,
} from './rewriting.ts';

/** What an open block is: `(`, `{`, the header of an if or a loop, or a brace that stands for then or do. */
type Block = 'paren' | 'brace' | 'anonymous' | 'if-header' | 'loop-header' | 'for-list' | 'if-brace' | 'loop-brace';

const IF_WORDS = new Set(['if', 'elif']);
const LOOP_WORDS = new Set(['while', 'until', 'for', 'select', 'foreach']);
const COMMAND_FOLLOWS = new Set(['then', 'do', 'else', 'time', '!', '{', 'always', 'noglob', 'builtin', 'command']);
const ARRAY = /^[A-Za-z_]\w*(\[[^\]]*\])?\+?=$/;

/**
 * What zsh has and bash has not, written as bash has it, so that one parser reads both: glob qualifiers and alternatives,
 * braces in place of then and do, a `}` that needs no `;`, lists in parentheses, functions without a name, `&!`.
 * Nothing is run, and what is not understood stays as it is.
 */
export function zshAsBash(text: string): Rewritten {
  return new Rewriter(text).rewrite();
}

/** One pass, not divided: what a character means depends on every block, list and word that is open. */
class Rewriter {
  readonly #text: string;
  readonly #edits: Edit[] = [];
  readonly #blocks: Block[] = [];
  readonly #heredocs: string[] = [];
  #at = 0;
  /** The word that is being read; -1: none. */
  #wordFrom = -1;
  /** The next word is a command. */
  #commandNext = true;
  /** The last character that is not white space; a line end counts. */
  #last = '\n';
  #inTest = false;
  /** Open within the word. */
  #wordBraces = 0;
  #anonymousNext = false;
  /** A loop without braces and `do`: it ends with its line. */
  #openShortLoops = 0;

  constructor(text: string) {
    this.#text = text;
  }

  rewrite(): Rewritten {
    while (this.#at < this.#text.length) this.#step(this.#text[this.#at] ?? '');
    this.#endWord();
    return edited(this.#text, this.#edits);
  }

  #step(character: string): void {
    const next = this.#text[this.#at + 1] ?? '';
    if (character === '\\') this.#inWord(2);
    else if ('\'"`'.includes(character) || (character === '$' && '({\'"'.includes(next) && next !== '')) {
      this.#inWord(quotedEnd(this.#text, this.#at) - this.#at);
    } else if (character === '\n') this.#lineEnd();
    else if (' \t\r'.includes(character)) this.#skip(1);
    else if (character === '#' && this.#wordFrom === -1) this.#at = lineEnd(this.#text, this.#at);
    else if (';&|'.includes(character)) this.#operator(character, next);
    else if (character === '<' || character === '>') this.#redirection();
    else if (character === '(') this.#openParenthesis(next);
    else if (character === ')') this.#closeParenthesis();
    else if (character === '{') this.#leftBrace(next);
    else if (character === '}') this.#rightBrace();
    else this.#inWord(1);
  }

  /** A word of its own, or in front of a command; elsewhere it is a part of a word. */
  #leftBrace(next: string): void {
    const isAlone = this.#wordFrom === -1 && /^\s?$/.test(next);
    const isGroup =
      this.#wordFrom === -1 &&
      this.#commandNext &&
      !/^\{[^\s{}]*[,.][^\s{}]*\}/.test(this.#text.slice(this.#at, this.#at + 80));
    if (isAlone || isGroup) {
      if (!isAlone) this.#replace(this.#at + 1, 0, ' ');
      this.#openBrace();
      return;
    }
    this.#wordBraces += 1;
    this.#inWord(1);
  }

  /** Ends a block wherever it stands, unless it ends a brace of its word. */
  #rightBrace(): void {
    if (this.#wordBraces === 0 && this.#closesBlock()) {
      this.#endWord();
      this.#closeBrace();
      return;
    }
    this.#wordBraces = Math.max(0, this.#wordBraces - 1);
    this.#inWord(1);
  }

  #inWord(length: number): void {
    if (this.#wordFrom === -1) this.#wordFrom = this.#at;
    this.#at += length;
    this.#last = 'a';
  }

  #skip(length: number): void {
    this.#endWord();
    this.#at += length;
  }

  #endWord(): void {
    if (this.#wordFrom === -1) return;
    const word = this.#text.slice(this.#wordFrom, Math.min(this.#at, this.#wordFrom + 80));
    const from = this.#wordFrom;
    this.#wordFrom = -1;
    this.#wordBraces = 0;
    if (this.#inTest) {
      this.#inTest = word !== ']]';
      return;
    }
    if (!this.#commandNext) return;
    this.#commandNext = COMMAND_FOLLOWS.has(word) || /^[A-Za-z_]\w*\+?=/.test(word);
    if (word === '[[') this.#inTest = true;
    else if (IF_WORDS.has(word)) this.#open('if-header');
    else if (word === 'while' || word === 'until') this.#open('loop-header');
    else if (LOOP_WORDS.has(word)) this.#forWord();
    else if (word === 'function') this.#functionWord(from);
    else if (word === 'then' && this.#top === 'if-header') this.#blocks.pop();
    else if (word === 'do' && (this.#top === 'loop-header' || this.#top === 'for-list')) this.#blocks.pop();
    else if (word === 'always') this.#replace(from, 6, ';     ');
  }

  get #top(): Block | undefined {
    return this.#blocks.at(-1);
  }

  #open(block: Block): void {
    this.#blocks.push(block);
    this.#commandNext = true;
  }

  /** `for key value in …`: bash knows one name. */
  #forWord(): void {
    this.#blocks.push('for-list');
    const found = /^([ \t]+\w+)((?:[ \t]+(?!in\b)\w+)+)[ \t]+(?:in\b|\()/.exec(
      this.#text.slice(this.#at, this.#at + 200),
    );
    const [, first = '', others = ''] = found ?? [];
    if (found !== null) this.#replace(this.#at + first.length, others.length, ' '.repeat(others.length));
  }

  /** `function {` runs at once; `function a b {` defines both, of which bash knows one. */
  #functionWord(from: number): void {
    const [all, names = ''] = /^[ \t]*([^{}()\n;]*)(?:\([ \t]*\))?/.exec(
      this.#text.slice(this.#at, this.#at + 200),
    ) ?? [''];
    this.#commandNext = true;
    const words = names.trim().split(/[ \t]+/);
    if (names.trim() === '') {
      this.#replace(from, 8, ' '.repeat(8));
      this.#anonymousNext = true;
    } else {
      const kept = names.indexOf(words[0] ?? '') + (words[0] ?? '').length;
      const skipped = all.indexOf(names);
      if (words.length > 1)
        this.#replace(this.#at + skipped + kept, names.length - kept, ' '.repeat(names.length - kept));
      // Whoever ends the word steps over the white space behind it.
      this.#at += Math.max(0, all.length - 1);
    }
  }

  #lineEnd(): void {
    this.#endWord();
    if (this.#openShortLoops > 0) {
      this.#replace(this.#at, 0, ';done'.repeat(this.#openShortLoops).slice(this.#needsNoSeparator ? 1 : 0));
      this.#openShortLoops = 0;
    }
    this.#at += 1;
    for (const delimiter of this.#heredocs.splice(0)) this.#skipHeredoc(delimiter);
    this.#commandNext = true;
    this.#last = '\n';
  }

  get #needsNoSeparator(): boolean {
    return '\n;&'.includes(this.#last);
  }

  #separator(word: string): string {
    return this.#needsNoSeparator ? word : `;${word}`;
  }

  #operator(character: string, next: string): void {
    this.#endWord();
    if (character === '&' && (next === '!' || next === '|')) {
      const [more = ''] = /^[ \t]*;/.exec(this.#text.slice(this.#at + 2, this.#at + 20)) ?? [];
      this.#replace(this.#at + 1, 1 + more.length, ' '.repeat(1 + more.length));
      this.#at += 1 + more.length;
    }
    this.#at += 1;
    this.#last = character;
    if (!this.#inTest) this.#commandNext = true;
  }

  #redirection(): void {
    const rest = this.#text.slice(this.#at, this.#at + 3);
    const [numbers] = /^<\d*-\d*>/.exec(this.#text.slice(this.#at, this.#at + 20)) ?? [];
    if (numbers !== undefined) {
      this.#replace(this.#at, numbers.length, '_'.repeat(numbers.length));
      this.#inWord(numbers.length);
      return;
    }
    this.#endWord();
    if (rest === '<<<') this.#at += 3;
    else if (rest.startsWith('<<')) this.#heredoc();
    else if (rest[1] === '(') this.#at = balancedEnd(this.#text, this.#at + 1);
    else this.#at += /^[<>][&>|!]/.test(rest) ? 2 : 1;
    this.#last = 'a';
  }

  #heredoc(): void {
    const { length, delimiter } = heredocAt(this.#text, this.#at);
    this.#at += length;
    if (delimiter !== undefined) this.#heredocs.push(delimiter);
  }

  #skipHeredoc(delimiter: string): void {
    while (this.#at < this.#text.length) {
      const end = lineEnd(this.#text, this.#at);
      const line = this.#text.slice(this.#at, end);
      this.#at = Math.min(end + 1, this.#text.length);
      if (line.replace(/^\t+/, '') === delimiter) return;
    }
  }

  #openParenthesis(next: string): void {
    const end = () => balancedEnd(this.#text, this.#at);
    if (this.#wordFrom !== -1) {
      const word = this.#text.slice(this.#wordFrom, this.#at);
      if (ARRAY.test(word)) {
        const to = end();
        this.#edits.push(...listEdits(this.#text, this.#at + 1, to - 1, false));
        this.#inWord(to - this.#at);
      } else if (next === ')' && this.#commandNext) {
        this.#wordFrom = -1;
        this.#at += 2;
      } else if (word === '=') {
        // `=(…)` is a file with the output, as `<(…)` is.
        this.#replace(this.#at - 1, 1, '<');
        this.#inWord(end() - this.#at);
      } else if (/[?*+@!]$/.test(word)) this.#inWord(end() - this.#at);
      else this.#blank(end());
    } else if (this.#top === 'for-list') this.#forList();
    else if (next === '(' && this.#commandNext) this.#inWord(end() - this.#at);
    else if (next === ')' && this.#commandNext) {
      this.#replace(this.#at, 2, '  ');
      this.#at += 2;
      this.#anonymousNext = true;
    } else if (next === ')' && this.#last === 'a') {
      // `name ()`.
      this.#at += 2;
      this.#commandNext = true;
    } else if (this.#commandNext && /^[\w*?[\-.]/.test(this.#text.slice(end(), end() + 1))) this.#blank(end());
    else if (this.#commandNext) {
      this.#at += 1;
      this.#open('paren');
      this.#last = '{';
    } else this.#blank(end());
  }

  /** A glob qualifier, or alternatives: no assignment, no command. */
  #blank(to: number): void {
    const group = this.#text.slice(this.#at, to);
    const isOneLine = !group.includes('\n');
    const inserted = isQualifier(this.#text, this.#at, to) ? '' : '_'.repeat(group.length);
    if (isOneLine) this.#replace(this.#at, group.length, inserted);
    this.#inWord(isOneLine ? group.length : 1);
  }

  /** `for x (a b c)`, with braces, do or nothing behind it; `for ((…))` is as in bash. */
  #forList(): void {
    const end = balancedEnd(this.#text, this.#at);
    this.#blocks.pop();
    if (this.#text[this.#at + 1] === '(') this.#at = end;
    else {
      this.#replace(this.#at, 1, ' in ');
      this.#edits.push(...listEdits(this.#text, this.#at + 1, end - 1, true));
      // Another `;` may follow.
      this.#replace(end - 1, 1, /^[ \t]*;/.test(this.#text.slice(end, end + 20)) ? ' ' : ';');
      this.#at = end;
    }
    this.#last = this.#text[end - 2] === ')' ? 'a' : ';';
    this.#commandNext = true;
    const rest = /^[ \t]*(;?\s*)(\{|do\b)?/.exec(this.#text.slice(end, end + 80));
    if (rest?.[2] !== undefined) this.#blocks.push('loop-header');
    else if (!/^[ \t]*(;|\n|#|$)/.test(this.#text.slice(end, end + 80))) {
      this.#replace(end, 0, ' do ');
      this.#openShortLoops += 1;
    } else this.#blocks.push('loop-header');
  }

  #closeParenthesis(): void {
    this.#endWord();
    if (this.#top === 'paren') this.#blocks.pop();
    this.#at += 1;
    // Behind the pattern of a case a command follows, behind a subshell an operator.
    this.#commandNext = true;
    this.#last = ')';
  }

  #openBrace(): void {
    const top = this.#top;
    if (top === 'if-header' || top === 'loop-header' || top === 'for-list') {
      if (
        !this.#commandNext ||
        this.#last === ']' ||
        this.#last === ')' ||
        '\n;'.includes(this.#last) ||
        top === 'for-list'
      ) {
        this.#blocks.pop();
        const isIf = top === 'if-header';
        this.#replace(this.#at, 1, `${this.#separator(isIf ? 'then' : 'do')} `);
        this.#blocks.push(isIf ? 'if-brace' : 'loop-brace');
        this.#enter();
        return;
      }
    }
    this.#blocks.push(this.#anonymousNext ? 'anonymous' : 'brace');
    this.#anonymousNext = false;
    this.#enter();
  }

  #enter(): void {
    this.#at += 1;
    this.#commandNext = true;
    this.#last = '{';
  }

  #closesBlock(): boolean {
    return ['brace', 'anonymous', 'if-brace', 'loop-brace'].includes(this.#top ?? '');
  }

  #closeBrace(): void {
    const block = this.#blocks.pop();
    const separator = this.#last === '{' ? ':;' : '\n;&'.includes(this.#last) ? '' : ';';
    const rest = this.#text.slice(this.#at + 1, this.#at + 80);
    let word = '}';
    if (block === 'loop-brace') word = 'done';
    if (block === 'if-brace') word = /^\s*(else|elif)\b/.test(rest) ? '' : 'fi';
    this.#replace(this.#at, 1, separator + word);
    this.#at += 1;
    this.#last = word === '' ? ';' : 'a';
    this.#commandNext = word === '';
    const [orElse] = /^\s*else\s*(?=\{\s)/.exec(rest) ?? [];
    if (block === 'if-brace' && orElse !== undefined) {
      this.#at += orElse.length;
      this.#replace(this.#at, 1, ' ');
      this.#blocks.push('if-brace');
      this.#enter();
    } else if (block === 'anonymous') {
      const [given = ''] = /^[ \t]+[\w"'$/.@{}[\]*-][^\n;&|]*/.exec(rest) ?? [];
      this.#replace(this.#at, given.length, ' '.repeat(given.length));
      this.#at += given.length;
    } else if (/^[ \t]*always\b/.test(rest)) this.#commandNext = true;
  }

  #replace(at: number, removed: number, inserted: string): void {
    if (removed > 0 || inserted !== '') this.#edits.push({ at, removed, inserted });
  }
}
