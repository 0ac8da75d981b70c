import { parse, TomlError, type TomlTable } from 'smol-toml';
import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import { BrokerError } from '../errors.ts';
import { lineEnd, type TextEdit } from '../platform/text-edits.ts';
import type { KeyPath } from './positions.ts';
import { tooDeep } from './toml.ts';
import { valueAt } from './walk.ts';

/**
 * Edits of a TOML text by the positions of what is in it: everything else keeps its bytes. Each method gives one edit, for
 * `applyEdits`; whoever makes them parses the result and compares its values with what was meant.
 */

/** `key = value`, also within an inline table. */
interface TomlPair {
  /** From the root: names, and numbers for the elements of arrays. */
  readonly path: KeyPath;
  /** How many of these names its own key has; over 1: a dotted key. */
  readonly depth: number;
  readonly start: number;
  readonly value: { readonly start: number; readonly end: number; readonly isInlineTable: boolean };
  readonly isInline: boolean;
}

/** A header with the pairs below it; the first one is the root, which has no header. */
interface TomlSection {
  readonly path: KeyPath;
  readonly isElement: boolean;
  readonly start: number;
  readonly headerEnd: number;
  readonly pairs: readonly TomlPair[];
}

export class TomlDocument {
  readonly text: string;
  readonly values: TomlTable;
  readonly #sections: readonly TomlSection[];
  readonly #pairs: readonly TomlPair[];
  readonly #eol: string;

  private constructor(text: string, values: TomlTable, ast: AST.TOMLProgram) {
    this.text = text;
    this.values = values;
    this.#eol = lineEnd(text);
    this.#sections = sectionsOf(ast);
    this.#pairs = this.#sections.flatMap(({ pairs }) => pairs);
  }

  /** @throws BrokerError ERR_CONFIG with file, line and column for what two parsers do not both take. */
  static parse(text: string, file: string): TomlDocument {
    try {
      const values = parse(text, { unsafeKeyBehaviour: 'throw', maxDepth: 20, integersAsBigInt: 'asNeeded' });
      if (tooDeep(values) !== undefined) {
        throw new BrokerError('ERR_CONFIG', `${file} is nested too deeply`, {
          remedy: 'write its tables with headers by hand; the file was left as it is',
        });
      }
      // It refuses a byte order mark; a blank keeps the offsets.
      return new TomlDocument(text, values, parseTOML(text.replace(/^\uFEFF/, ' ')));
    } catch (error) {
      throw notToml(error, file);
    }
  }

  /** What is at this path; undefined: nothing. */
  valueAt(path: readonly string[]): unknown {
    return valueAt(this.values, path);
  }

  /** The pair with exactly this path; undefined: it has none, or a header of its own. */
  pair(path: KeyPath): TomlPair | undefined {
    return this.#pairs.find((pair) => isSame(pair.path, path));
  }

  /** The last pair of a table that is written as dotted keys: `a.b.c = 1` of `a.b`. */
  lastDotted(path: KeyPath): TomlPair | undefined {
    const reaches = (pair: TomlPair) => pair.path.length - pair.depth < path.length && pair.path.length > path.length;
    return this.#pairs.findLast((pair) => reaches(pair) && isSame(pair.path.slice(0, path.length), path));
  }

  section(path: KeyPath): TomlSection | undefined {
    return this.#sections.find((section) => section.path.length > 0 && isSame(section.path, path));
  }

  lineOf(offset: number): number {
    return this.text.slice(0, offset).split('\n').length;
  }

  valueText({ value }: TomlPair): string {
    return this.text.slice(value.start, value.end);
  }

  /** A statement of the root: behind the last one there is, else above everything. */
  addToRoot(statement: string): TextEdit {
    const last = this.#sections[0]?.pairs.findLast(({ isInline }) => !isInline);
    if (last !== undefined) return this.addBehind(last, statement);
    const offset = this.text.startsWith('\uFEFF') ? 1 : 0;
    return inserting(offset, `${statement}${this.#eol}`);
  }

  /** Behind the last statement of a section, or on the line below its header. */
  addToSection({ headerEnd, pairs }: TomlSection, statement: string, first = false): TextEdit {
    const last = first ? undefined : pairs.findLast(({ isInline }) => !isInline);
    if (last !== undefined) return this.addBehind(last, statement);
    const end = this.#lineEndAfter(headerEnd);
    if (end === undefined) return inserting(this.text.length, `${this.#eol}${statement}${this.#eol}`);
    return inserting(end, `${statement}${this.#eol}`);
  }

  /** A statement on the line below a pair, which is in no inline table. */
  addBehind(pair: TomlPair, statement: string): TextEdit {
    const indent = /[ \t]*$/.exec(this.text.slice(0, pair.start))?.[0] ?? '';
    const end = this.#lineEndAfter(pair.value.end);
    if (end === undefined) return inserting(this.text.length, `${this.#eol}${indent}${statement}${this.#eol}`);
    return inserting(end, `${indent}${statement}${this.#eol}`);
  }

  /** Whole sections at the end of the file: there they move nothing into another table. */
  addAtEnd(lines: readonly string[]): TextEdit {
    const { text } = this;
    const isEmpty = text === '' || text === '\uFEFF';
    const gap = isEmpty ? '' : text.endsWith('\n') ? this.#eol : this.#eol + this.#eol;
    return inserting(text.length, gap + lines.map((line) => line + this.#eol).join(''));
  }

  /** Between the braces of an inline table, behind what is there. */
  addInline({ value: { start }, path }: TomlPair, statement: string): TextEdit {
    const isInside = (pair: TomlPair) =>
      pair.path.length > path.length && isSame(pair.path.slice(0, path.length), path);
    const ends = this.#pairs.filter((pair) => pair.isInline && isInside(pair)).map((pair) => pair.value.end);
    return ends.length === 0 ? inserting(start + 1, ` ${statement} `) : inserting(Math.max(...ends), `, ${statement}`);
  }

  replaceValue({ value: { start, end } }: TomlPair, written: string): TextEdit {
    return { offset: start, removed: this.text.slice(start, end), inserted: written };
  }

  /** With its whole line, or lines, and a comment on them; within an inline table with its comma. */
  removePair(pair: TomlPair): TextEdit {
    if (!pair.isInline) return this.#removeLines(pair.start, pair.value.end);
    const tableOf = ({ path, depth }: TomlPair) => path.slice(0, path.length - depth);
    const beside = this.#pairs.filter((each) => each.isInline && isSame(tableOf(each), tableOf(pair)));
    const at = beside.indexOf(pair);
    const from = beside[at - 1]?.value.end ?? pair.start;
    const to = at > 0 ? pair.value.end : (beside[at + 1]?.start ?? pair.value.end);
    return { offset: from, removed: this.text.slice(from, to), inserted: '' };
  }

  /** A header and its pairs, with the comments that are between them. */
  removeSection({ start, headerEnd, pairs }: TomlSection): TextEdit {
    return this.#removeLines(start, Math.max(headerEnd, ...pairs.map(({ value }) => value.end)));
  }

  /** Lines that were taken out, below the header of their section. */
  putBack({ headerEnd }: TomlSection, lines: string): TextEdit {
    const end = this.#lineEndAfter(headerEnd);
    if (end === undefined) return inserting(this.text.length, this.#eol + lines);
    return inserting(end, lines.endsWith('\n') ? lines : lines + this.#eol);
  }

  #removeLines(from: number, to: number): TextEdit {
    const start = this.text.lastIndexOf('\n', from - 1) + 1;
    const offset = start === 0 && this.text.startsWith('\uFEFF') ? 1 : start;
    return { offset, removed: this.text.slice(offset, this.#lineEndAfter(to)), inserted: '' };
  }

  /** Behind the line break that follows; undefined: there is none any more. */
  #lineEndAfter(offset: number): number | undefined {
    const at = this.text.indexOf('\n', offset);
    return at === -1 ? undefined : at + 1;
  }
}

function sectionsOf({ body: [top] }: AST.TOMLProgram): TomlSection[] {
  const root: TomlPair[] = [];
  const sections: TomlSection[] = [{ path: [], isElement: false, start: 0, headerEnd: 0, pairs: root }];
  for (const node of top.body) {
    if (node.type === 'TOMLKeyValue') {
      root.push(...pairsOf(node, [], false));
      continue;
    }
    const path = node.resolvedKey;
    const pairs = node.body.flatMap((pair) => pairsOf(pair, path, false));
    const headerEnd = node.key.range[1] + (node.kind === 'array' ? 2 : 1);
    sections.push({ path, isElement: node.kind === 'array', start: node.range[0], headerEnd, pairs });
  }
  return sections;
}

function pairsOf(node: AST.TOMLKeyValue, table: KeyPath, isInline: boolean): TomlPair[] {
  const names = node.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value));
  const path = [...table, ...names];
  const [start, end] = node.value.range;
  const value = { start, end, isInlineTable: node.value.type === 'TOMLInlineTable' };
  return [{ path, depth: names.length, start: node.range[0], value, isInline }, ...pairsWithin(node.value, path)];
}

function pairsWithin(value: AST.TOMLContentNode, path: KeyPath): TomlPair[] {
  if (value.type === 'TOMLInlineTable') return value.body.flatMap((pair) => pairsOf(pair, path, true));
  if (value.type !== 'TOMLArray') return [];
  return value.elements.flatMap((element, index) => pairsWithin(element, [...path, index]));
}

function inserting(offset: number, inserted: string): TextEdit {
  return { offset, removed: '', inserted };
}

function isSame(one: KeyPath, other: KeyPath): boolean {
  return one.length === other.length && one.every((part, index) => part === other[index]);
}

/** The parsers' own messages quote the file, and a key may be in it: only the place is told. */
function notToml(error: unknown, file: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const at =
    error instanceof TomlError
      ? `:${error.line}:${error.column}`
      : error instanceof ParseError
        ? `:${error.lineNumber}:${error.column + 1}`
        : '';
  return new BrokerError('ERR_CONFIG', `not valid TOML: ${file}${at}`, {
    remedy: 'fix that line by hand; the file was left as it is',
  });
}
