import { forEachChild, type ParsedScript, parse, type SyntaxNode } from 'unbash';
import { lineCounter, lineEnd } from './lines.ts';
import { zshAsBash } from './zsh-as-bash.ts';

export type ShDialect = 'sh' | 'bash' | 'zsh';

/**
 * A text of sh, bash or zsh as a tree, by unbash: all of bash's grammar with the place of every word, whatever is wrong in it, and
 * nothing else to load. tree-sitter-bash and sh-syntax (mvdan/sh) are some 1 MB of WebAssembly each; the latter reads zsh but gives
 * up at the first line it does not know, of which frameworks have many. Of 584 zsh files of two frameworks that zsh -n reads, 5 lose
 * lines here (97 of 34,988).
 */
export interface Script {
  readonly source: string;
  readonly root: ParsedScript;
  /** Where a part of the tree is in `source`. */
  readonly spanOf: (node: Spanned) => Span;
  /** Of a position in `source`; counted from 1. */
  readonly lineAt: (position: number) => number;
  /** Lines, counted from 1, that could not be read; the tree is that of the rest. */
  readonly unread: readonly number[];
}

export interface Spanned {
  readonly pos: number;
  readonly end: number;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A line of which more than these are wrong is no shell script. */
const MOST_UNREAD = 60;

/**
 * Never throws. A line that the parser does not understand is left out, so that it hides none of those behind it.
 */
export function parseScript(source: string, dialect: ShDialect): Script {
  const { text, originalOf } =
    dialect === 'zsh' ? zshAsBash(source) : { text: source, originalOf: (position: number) => position };
  const lineAt = lineCounter(source);
  const unread: number[] = [];
  let readable = text;
  let root = parse(readable);
  for (let tries = 0; tries < MOST_UNREAD; tries += 1) {
    const at = firstFault(root, readable);
    if (at === undefined) break;
    const start = readable.lastIndexOf('\n', at - 1) + 1;
    const end = lineEnd(readable, at);
    unread.push(lineAt(originalOf(start)));
    readable = `${readable.slice(0, start)}${' '.repeat(end - start)}${readable.slice(end)}`;
    root = parse(readable);
  }
  const spanOf = ({ pos, end }: Spanned) => ({ start: originalOf(pos), end: originalOf(end) });
  return { source, root, spanOf, lineAt, unread: [...new Set(unread)] };
}

/** Where the parser stopped understanding; what is wrong with the end alone is in the tree as far as it goes. */
function firstFault({ errors = [] }: ParsedScript, text: string): number | undefined {
  const [first] = errors.map(({ pos }) => pos).sort((a, b) => a - b);
  if (first === undefined) return undefined;
  const end = text.trimEnd().length;
  if (first >= end) return undefined;
  // An error at a line end belongs to the line.
  const at = text[first] === '\n' && first > 0 ? first - 1 : first;
  return text.slice(text.lastIndexOf('\n', at - 1) + 1, lineEnd(text, at)).trim() === '' ? undefined : at;
}

/** Every part of a tree, each before what is in it; `enter` says whether to look into it. */
export function walk(node: SyntaxNode, enter: (node: SyntaxNode) => boolean): void {
  const open = [node];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (!enter(next)) continue;
    const children: SyntaxNode[] = [];
    forEachChild(next, (child) => children.push(child));
    open.push(...children.reverse());
  }
}
