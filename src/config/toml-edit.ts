import { applyEdits, type TextEdit } from '../platform/text-edits.ts';
import { writtenKey } from './positions.ts';
import { readToml, tomlValue } from './toml.ts';
import { TomlDocument } from './toml-document.ts';
import { isTable, type Table } from './walk.ts';

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
export function editToml(text: string, edits: readonly TomlEdit[]): string | undefined {
  let edited = text;
  let wanted = rootOf(text);
  for (const edit of edits) {
    if (wanted === undefined || rootOf(edited) === undefined) return undefined;
    wanted = withEdit(wanted, edit.path, edit.value);
    const change = changeFor(TomlDocument.parse(edited, ''), edit);
    if (change !== undefined) edited = applyEdits(edited, [change]);
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

function changeFor(document: TomlDocument, edit: TomlEdit): TextEdit | undefined {
  const { path, value } = edit;
  const own = document.pair(path);
  if (value === undefined) return own && document.removePair(own);
  return own === undefined ? insertion(document, edit) : document.replaceValue(own, tomlValue(value));
}

/** Into the innermost table that has a header or braces, or beside keys that name it with dots. */
function insertion(document: TomlDocument, { path, value, first }: TomlEdit): TextEdit {
  const statement = (from: number) => `${path.slice(from).map(writtenKey).join('.')} = ${tomlValue(value)}`;
  for (let length = path.length - 1; length > 0; length -= 1) {
    const table = path.slice(0, length);
    const inline = document.pair(table);
    if (inline?.value.isInlineTable) return document.addInline(inline, statement(length));
    const section = document.section(table);
    if (section !== undefined) return document.addToSection(section, statement(length), first);
    const beside = document.lastDotted(table);
    if (beside?.isInline === false) return document.addBehind(beside, statement(beside.path.length - beside.depth));
  }
  return document.addToRoot(statement(0));
}
