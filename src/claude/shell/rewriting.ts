import { lineEnd } from './lines.ts';

/** A text in place of another one, and where each position of it was there. */
export interface Rewritten {
  readonly text: string;
  readonly originalOf: (position: number) => number;
}

export interface Edit {
  readonly at: number;
  readonly removed: number;
  readonly inserted: string;
}

/** Makes the edits, of which those that overlap an earlier one are left out. */
export function edited(text: string, unordered: readonly Edit[]): Rewritten {
  const edits = unordered.toSorted((a, b) => a.at - b.at);
  const parts: string[] = [];
  /** Position in the result behind each edit, and the position in the text that it is for. */
  const anchors: { readonly from: number; readonly to: number }[] = [];
  let at = 0;
  let length = 0;
  for (const edit of edits) {
    if (edit.at < at) continue;
    const kept = text.slice(at, edit.at);
    parts.push(kept, edit.inserted);
    length += kept.length + edit.inserted.length;
    at = edit.at + edit.removed;
    if (edit.removed !== edit.inserted.length) anchors.push({ from: length, to: at });
  }
  parts.push(text.slice(at));
  const originalOf = (position: number) => {
    let low = 0;
    let high = anchors.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((anchors[middle]?.from ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    const anchor = anchors[low - 1] ?? { from: 0, to: 0 };
    return anchor.to + (position - anchor.from);
  };
  return { text: parts.join(''), originalOf };
}

/** Quotes and parentheses within each other; deeper ones are not those of a person. */
const DEEPEST = 40;

/** The end of what begins with a quote, `$(`, `${`, `$'` or a backquote. */
export function quotedEnd(text: string, from: number, depth = 0): number {
  const opening = text[from] ?? '';
  if (opening === '$') {
    const next = text[from + 1] ?? '';
    if (next === '(' || next === '{') return balancedEnd(text, from + 1, depth);
    return quotedEnd(text, from + 1, depth);
  }
  const isPlain = opening === "'" && text[from - 1] !== '$';
  for (let at = from + 1; at < text.length; at += 1) {
    const character = text[at];
    if (character === opening) return at + 1;
    if (character === '\\' && !isPlain) at += 1;
    else if (opening === '"' && character === '$' && /[({]/.test(text[at + 1] ?? ''))
      at = balancedEnd(text, at + 1, depth + 1) - 1;
  }
  return text.length;
}

/** The end of what begins with a parenthesis or a brace. */
export function balancedEnd(text: string, from: number, depth = 0): number {
  if (depth > DEEPEST) return text.length;
  const opening = text[from] ?? '';
  const closing = opening === '(' ? ')' : '}';
  // In `((…))` a # is no comment.
  const hasComments = opening === '(' && text[from + 1] !== '(';
  let open = 0;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === '\\') at += 1;
    else if ('\'"`'.includes(character)) at = quotedEnd(text, at, depth + 1) - 1;
    else if (character === '#' && hasComments && /[\s;]/.test(text[at - 1] ?? '')) at = lineEnd(text, at) - 1;
    else if (character === opening) open += 1;
    else if (character === closing) open -= 1;
    if (open === 0) return at + 1;
  }
  return text.length;
}

/** In a list of words: groups and, in that of a loop, line ends and comments, which bash does not have there. */
export function listEdits(text: string, from: number, to: number, isLoop: boolean): Edit[] {
  const edits: Edit[] = [];
  for (let at = from; at < to; at += 1) {
    const character = text[at] ?? '';
    if ('\'"`'.includes(character) || (character === '$' && /[({]/.test(text[at + 1] ?? ''))) {
      at = quotedEnd(text, at) - 1;
    } else if (character === '#' && /\s/.test(text[at - 1] ?? '')) {
      const end = Math.min(lineEnd(text, at), to);
      if (isLoop) edits.push({ at, removed: end - at, inserted: ' '.repeat(end - at) });
      at = end - 1;
    } else if (character === '\n' && isLoop) {
      edits.push({ at, removed: 1, inserted: ' ' });
    } else if (character === '(') {
      const end = Math.min(balancedEnd(text, at), to);
      edits.push({ at, removed: end - at, inserted: isQualifier(text, at, end) ? '' : '_'.repeat(end - at) });
      at = end - 1;
    }
  }
  return edits;
}

/** `*.zsh(N)` is a glob all the same. */
export function isQualifier(text: string, from: number, to: number): boolean {
  return /[^\s(]/.test(text[from - 1] ?? ' ') && /^[\s;)]?$/.test(text[to] ?? '');
}

/** The delimiter of a here-document that begins here, and how long its operator is with it. */
export function heredocAt(
  text: string,
  at: number,
): { readonly length: number; readonly delimiter: string | undefined } {
  const found = /^<<-?[ \t]*(?:'([^'\n]*)'|"([^"\n]*)"|\\?([^\s;&|<>()]+))/.exec(text.slice(at, at + 200));
  return { length: found?.[0].length ?? 2, delimiter: found?.[1] ?? found?.[2] ?? found?.[3] };
}
