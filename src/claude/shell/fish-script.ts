import { lineCounter, lineEnd } from './lines.ts';
import type { Span } from './script.ts';

/** A piece of a word of fish. */
export type FishPart =
  | { readonly kind: 'text'; readonly text: string; readonly isPlain: boolean }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'command'; readonly text: string };

export interface FishWord extends Span {
  readonly parts: readonly FishPart[];
  /** Quotes and escapes removed; undefined where it depends on variables or commands. */
  readonly literal: string | undefined;
}

/** How a command depends on the one before it. */
export type FishLink = 'next' | 'and' | 'or' | 'pipe';

export interface FishCommand extends Span {
  readonly kind: 'command';
  readonly link: FishLink;
  readonly isNegated: boolean;
  readonly inBackground: boolean;
  readonly words: readonly FishWord[];
}

export interface FishBlock extends Span {
  readonly kind: 'block';
  readonly link: FishLink;
  readonly type: 'if' | 'switch' | 'for' | 'while' | 'begin' | 'function';
  /** Behind the word that opens it. */
  readonly head: readonly FishWord[];
  /** Of if: one for each condition, the last without one for else; of switch: one for each case; else one. */
  readonly branches: readonly FishBranch[];
}

export interface FishBranch {
  readonly condition: readonly FishStatement[] | undefined;
  readonly patterns: readonly FishWord[];
  readonly body: readonly FishStatement[];
}

export type FishStatement = FishCommand | FishBlock;

export interface FishScript {
  readonly source: string;
  readonly statements: readonly FishStatement[];
  readonly lineAt: (position: number) => number;
}

type Token =
  | { readonly kind: 'word'; readonly word: FishWord }
  | { readonly kind: 'operator'; readonly text: string; readonly at: number };

const OPENERS = new Set(['if', 'switch', 'for', 'while', 'begin', 'function']);
const LINKS: Readonly<Record<string, FishLink>> = {
  and: 'and',
  '&&': 'and',
  or: 'or',
  '||': 'or',
  '|': 'pipe',
  '&|': 'pipe',
};
/** Deeper ones are not those of a person, and each level is a call. */
const DEEPEST = 100;

/** A text of fish as a tree. Never throws; a block without its end goes to the end of the text. */
export function parseFish(source: string): FishScript {
  const parser = new FishParser(fishTokens(source));
  return { source, statements: parser.all(), lineAt: lineCounter(source) };
}

class FishParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  all(): FishStatement[] {
    const found: FishStatement[] = [];
    while (this.#at < this.#tokens.length) {
      found.push(...this.#list());
      // `end`, `else` or `case` without a block.
      this.#at += 1;
    }
    return found;
  }

  /** Up to a word that ends or divides the block. */
  #list(): FishStatement[] {
    return this.#joined(
      (operator, link) => LINKS[operator] ?? (operator === '\n' && link !== 'next' ? link : 'next'),
      (word) => word === 'end' || word === 'else' || word === 'case',
    );
  }

  /** Statements with what joins and negates them, up to an operator that joins nothing or a word that ends them. */
  #joined(
    linkOf: (operator: string, link: FishLink) => FishLink | undefined,
    isEnd: (word: string | undefined) => boolean,
  ): FishStatement[] {
    const found: FishStatement[] = [];
    let link: FishLink = 'next';
    let isNegated = false;
    while (this.#at < this.#tokens.length) {
      const token = this.#tokens[this.#at];
      if (token?.kind === 'operator') {
        const joins = linkOf(token.text, link);
        if (joins === undefined) break;
        link = joins;
        this.#at += 1;
        continue;
      }
      const text = token?.word.literal;
      if (isEnd(text)) break;
      if (text === 'and' || text === 'or') link = text;
      else if (text === 'not' || text === '!') isNegated = !isNegated;
      else {
        found.push(this.#statement(link, isNegated));
        link = 'next';
        isNegated = false;
        continue;
      }
      this.#at += 1;
    }
    return found;
  }

  #statement(link: FishLink, isNegated: boolean): FishStatement {
    const words = this.#words();
    const [first, ...rest] = words;
    const start = first?.start ?? 0;
    const type = first?.literal ?? '';
    if (OPENERS.has(type) && this.#depth < DEEPEST && !isHelp(rest)) {
      this.#depth += 1;
      const block = this.#block(type as FishBlock['type'], rest, start, link);
      this.#depth -= 1;
      return block;
    }
    const next = this.#tokens[this.#at];
    const inBackground = next?.kind === 'operator' && next.text === '&';
    return { kind: 'command', link, isNegated, inBackground, words, start, end: words.at(-1)?.end ?? start };
  }

  #words(): FishWord[] {
    const words: FishWord[] = [];
    for (let token = this.#tokens[this.#at]; token?.kind === 'word'; token = this.#tokens[this.#at]) {
      words.push(token.word);
      this.#at += 1;
    }
    return words;
  }

  #block(type: FishBlock['type'], rest: readonly FishWord[], start: number, link: FishLink): FishBlock {
    const branches: FishBranch[] = [];
    // What follows `if`, `while` and `begin` on the line is a command itself.
    const takesCommand = type === 'if' || type === 'while' || type === 'begin';
    if (takesCommand) this.#at -= rest.length;
    let condition = type === 'if' || type === 'while' ? this.#condition() : undefined;
    let patterns: readonly FishWord[] = [];
    while (this.#at <= this.#tokens.length) {
      branches.push({ condition, patterns, body: this.#list() });
      const divider = this.#words();
      const [word, next, ...others] = divider;
      if (word?.literal === 'case') patterns = divider.slice(1);
      else if (word?.literal === 'else' && next?.literal === 'if') {
        this.#at -= others.length;
        condition = this.#condition();
      } else if (word?.literal === 'else') {
        this.#at -= divider.length - 1;
        condition = undefined;
      } else {
        this.#at -= Math.max(0, divider.length - 1);
        const end = word?.end ?? start;
        return { kind: 'block', link, type, head: takesCommand ? [] : rest, branches, start, end };
      }
    }
    return { kind: 'block', link, type, head: rest, branches, start, end: start };
  }

  /** One command, and those that `and`, `or`, `&&` and `||` join to it. */
  #condition(): FishStatement[] {
    const isJoined = () => {
      const following = this.#tokens[this.#at + 1];
      return following?.kind === 'word' && (following.word.literal === 'and' || following.word.literal === 'or');
    };
    return this.#joined(
      (operator) => LINKS[operator] ?? (isJoined() ? 'next' : undefined),
      () => false,
    );
  }
}

function isHelp([word]: readonly FishWord[]): boolean {
  return word?.literal === '-h' || word?.literal === '--help';
}

function fishTokens(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < source.length) {
    const character = source[at] ?? '';
    const operator = /^(?:\n|;|&&|&\||&|\|\||\|)/.exec(source.slice(at, at + 2))?.[0];
    if (' \t\r'.includes(character)) at += 1;
    else if (character === '\\' && source[at + 1] === '\n') at += 2;
    else if (character === '#') at = lineEnd(source, at);
    else if (operator !== undefined) {
      tokens.push({ kind: 'operator', text: operator, at });
      at += operator.length;
    } else {
      const isRedirection = /^\d?(?:>>|>\?|>|<)|^&>/.exec(source.slice(at, at + 3))?.[0];
      if (isRedirection !== undefined) {
        at += isRedirection.length;
        while (' \t&'.includes(source[at] ?? '\n')) at += 1;
        at = Math.max(fishWord(source, at).end, at);
      } else {
        const word = fishWord(source, at);
        // What begins no word, a parenthesis that was never opened.
        if (word.end > at) tokens.push({ kind: 'word', word });
        at = Math.max(word.end, at + 1);
      }
    }
  }
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', e: '\u001b', r: '\r', a: '\u0007' };

function fishWord(source: string, start: number): FishWord {
  const parts: FishPart[] = [];
  let text = '';
  let isPlain = true;
  let quote = '';
  let at = start;
  const flush = () => {
    if (text !== '' || !isPlain) parts.push({ kind: 'text', text, isPlain });
    text = '';
    isPlain = true;
  };
  for (; at < source.length; at += 1) {
    const character = source[at] ?? '';
    const next = source[at + 1] ?? '';
    if (quote === '' && ' \t\r\n;&|<>)'.includes(character)) break;
    if (
      character === '\\' &&
      (quote === '' || next === quote || next === '\\' || (quote === '"' && '$\n'.includes(next)))
    ) {
      const coded = quote === '' ? /^\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4}))/.exec(source.slice(at, at + 6)) : null;
      if (coded !== null) {
        text += String.fromCodePoint(Number.parseInt(coded[1] ?? coded[2] ?? '0', 16));
        at += coded[0].length - 1;
      } else {
        if (next !== '\n') text += quote === '' ? (ESCAPES[next] ?? next) : next;
        at += 1;
      }
      isPlain = false;
    } else if (quote === '' ? character === '"' || character === "'" : character === quote) {
      quote = quote === '' ? character : '';
      isPlain = false;
    } else if (quote !== "'" && character === '$' && /[A-Za-z_]/.test(next)) {
      flush();
      const [name = ''] = /^\w+(?:\[[^\]]*\])?/.exec(source.slice(at + 1, at + 120)) ?? [];
      parts.push({ kind: 'variable', name });
      at += name.length;
    } else if ((quote === '' && character === '(') || (quote !== "'" && character === '$' && next === '(')) {
      flush();
      const from = character === '(' ? at : at + 1;
      const end = parenthesisEnd(source, from);
      parts.push({ kind: 'command', text: source.slice(from + 1, end - 1) });
      at = end - 1;
    } else text += character;
  }
  flush();
  const literal = parts.every((part) => part.kind === 'text')
    ? parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')
    : undefined;
  return { start, end: at, parts, literal };
}

function parenthesisEnd(source: string, from: number): number {
  let open = 0;
  let quote = '';
  for (let at = from; at < source.length; at += 1) {
    const character = source[at] ?? '';
    if (character === '\\') at += 1;
    else if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (character === '(') open += 1;
    else if (character === ')') open -= 1;
    if (open === 0 && quote === '') return at + 1;
  }
  return source.length;
}
