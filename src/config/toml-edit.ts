import type { AST } from 'toml-eslint-parser';
import { writtenKey } from './positions.ts';
import { readToml, tomlValue } from './toml.ts';
import { isTable, type Table, valueAt } from './walk.ts';

export interface TomlEdit {
  /** Names of tables and, last, of the key. */
  readonly path: readonly string[];
  /** undefined: the key goes. */
  readonly value: unknown;
  /** A new key goes below the header of its table instead of behind its last key. */
  readonly first?: true;
}

/**
 * The text with these keys set or removed. Everything else stays as it is: comments, order, blank lines, line ends. A key that
 * is there keeps its place; a new one goes into the innermost table that is there.
 *
 * @returns undefined if the text is not valid, or written in a way that this does not edit.
 */
export async function editToml(text: string, edits: readonly TomlEdit[]): Promise<string | undefined> {
  const { parseTOML } = await import('toml-eslint-parser');
  let edited = text;
  let wanted = rootOf(text);
  for (const edit of edits) {
    if (wanted === undefined) return undefined;
    wanted = withEdit(wanted, edit.path, edit.value);
    if (edit.value !== undefined || valueAt(rootOf(edited), edit.path) !== undefined) {
      // The parser refuses a byte order mark.
      const { body } = parseTOML(edited.replace(/^\uFEFF/, ' '));
      edited = applied(edited, statementsOf(body[0]), edit) ?? edited;
    }
  }
  // Whatever the layout was: it now says what it said, and the edits.
  return isAlike(rootOf(edited), wanted) ? edited : undefined;
}

/** undefined if the text is not valid TOML. */
export function rootOf(text: string): Table | undefined {
  const { root, broken } = readToml(text);
  return broken.length === 0 ? root : undefined;
}

function withEdit(table: Table, [key = '', ...rest]: readonly string[], value: unknown): Table {
  if (rest.length === 0) {
    const { [key]: _, ...others } = table;
    return value === undefined ? others : { ...table, [key]: value };
  }
  const inner = table[key];
  return { ...table, [key]: withEdit(isTable(inner) ? inner : {}, rest, value) };
}

/** In whatever order, and whatever the parser makes its tables of. */
function isAlike(one: unknown, other: unknown): boolean {
  if (isTable(one) && isTable(other)) {
    const keys = Object.keys(one);
    return keys.length === Object.keys(other).length && keys.every((key) => isAlike(one[key], other[key]));
  }
  return tomlValue(one) === tomlValue(other);
}

/** A header, or a key with its value; keys of inline tables are statements of their own, within their table's. */
interface Statement {
  readonly path: readonly string[];
  /** How many names of the path are those of the table that it stands in. */
  readonly depth: number;
  readonly node: AST.TOMLTable | AST.TOMLKeyValue;
  readonly isInline: boolean;
}

function statementsOf(top: AST.TOMLTopLevelTable): readonly Statement[] {
  const found: Statement[] = [];
  const pair = (node: AST.TOMLKeyValue, table: readonly string[], isInline: boolean) => {
    const keys = node.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value));
    const path = [...table, ...keys];
    found.push({ path, depth: table.length, node, isInline });
    if (node.value.type === 'TOMLInlineTable') for (const inner of node.value.body) pair(inner, path, true);
  };
  for (const node of top.body) {
    if (node.type === 'TOMLKeyValue') pair(node, [], false);
    else {
      const path = node.resolvedKey.map(String);
      found.push({ path, depth: path.length, node, isInline: false });
      for (const inner of node.body) pair(inner, path, false);
    }
  }
  return found;
}

function applied(text: string, statements: readonly Statement[], edit: TomlEdit): string | undefined {
  const { path, value } = edit;
  const own = statements.find((each) => each.node.type === 'TOMLKeyValue' && isSame(each.path, path));
  if (own?.node.type === 'TOMLKeyValue') {
    if (value === undefined) return without(text, own, statements);
    return splice(text, own.node.value.range, tomlValue(value));
  }
  return value === undefined ? undefined : inserted(text, statements, edit);
}

function without(text: string, { node, isInline }: Statement, statements: readonly Statement[]): string {
  const [start, end] = node.range;
  if (!isInline) {
    const lineStart = text.lastIndexOf('\n', start - 1) + 1;
    const lineEnd = text.indexOf('\n', end);
    return splice(text, [lineStart, lineEnd === -1 ? text.length : lineEnd + 1], '');
  }
  const siblings = statements.filter((each) => each.node.parent === node.parent).map((each) => each.node);
  const [before, after] = [siblings[siblings.indexOf(node) - 1], siblings[siblings.indexOf(node) + 1]];
  if (before !== undefined) return splice(text, [before.range[1], end], '');
  return splice(text, [start, after?.range[0] ?? end], '');
}

/** Into the innermost table that has a header or braces, or beside keys that name it with dots. */
function inserted(text: string, statements: readonly Statement[], { path, value, first }: TomlEdit): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  for (let length = path.length - 1; length > 0; length -= 1) {
    const table = path.slice(0, length);
    const written = `${path.slice(length).map(writtenKey).join('.')} = ${tomlValue(value)}`;
    const own = statements.find((each) => isSame(each.path, table))?.node;
    if (own?.type === 'TOMLKeyValue' && own.value.type === 'TOMLInlineTable') {
      const last = own.value.body.at(-1);
      if (last !== undefined) return splice(text, [last.range[1], last.range[1]], `, ${written}`);
      return splice(text, own.value.range, `{ ${written} }`);
    }
    if (own?.type === 'TOMLTable') {
      const last = first ? undefined : own.body.at(-1);
      const headerEnd = text.indexOf(']', own.key.range[1] - 1) + (own.kind === 'array' ? 2 : 1);
      return afterLine(text, last?.range[1] ?? headerEnd, `${indentOf(text, last)}${written}`, eol);
    }
    const beside = statements.findLast((each) => !each.isInline && startsWith(each.path, table) && each.depth < length);
    if (beside !== undefined) {
      const dotted = `${path.slice(beside.depth).map(writtenKey).join('.')} = ${tomlValue(value)}`;
      return afterLine(text, beside.node.range[1], `${indentOf(text, beside.node)}${dotted}`, eol);
    }
  }
  // Above the first table is the only place for a key of none.
  const [mark, rest] = text.startsWith('\uFEFF') ? ['\uFEFF', text.slice(1)] : ['', text];
  return `${mark}${path.map(writtenKey).join('.')} = ${tomlValue(value)}${eol}${rest}`;
}

function afterLine(text: string, offset: number, line: string, eol: string): string {
  const end = text.indexOf('\n', offset);
  if (end === -1) return `${text}${eol}${line}${eol}`;
  return splice(text, [end + 1, end + 1], `${line}${eol}`);
}

function indentOf(text: string, node: AST.TOMLNode | undefined): string {
  if (node === undefined) return '';
  const start = text.lastIndexOf('\n', node.range[0] - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start))?.[0] ?? '';
}

function splice(text: string, [start, end]: readonly [number, number], replacement: string): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && startsWith(one, other);
}

function startsWith(path: readonly string[], beginning: readonly string[]): boolean {
  return beginning.every((name, at) => path[at] === name);
}
