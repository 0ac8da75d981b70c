import type { Node } from 'jsonc-parser';
import type { TextEdit } from './text-edits.ts';

/** Runs of text in the indentation, spacing and line ends that the file already has. */

const DEFAULT_INDENT = '  ';

/** One run right behind the `{` of `object` with every property of `values`, each followed by what the place needs. */
export function objectRun(text: string, object: Node, values: Record<string, unknown>): TextEdit {
  const style = styleAt(text, object);
  const lines = Object.entries(values).map(
    ([name, value]) => `${JSON.stringify(name)}:${style.space}${style.render(value)}`,
  );
  return { offset: object.offset + 1, removed: '', inserted: style.join(lines) };
}

/** One run right behind the `[` of `list`. */
export function arrayRun(text: string, list: Node, items: readonly string[]): TextEdit {
  const style = styleAt(text, list);
  return { offset: list.offset + 1, removed: '', inserted: style.join(items.map((item) => JSON.stringify(item))) };
}

/** For a file without an object: everything at its end, behind what comments there are. */
export function wholeFile(text: string, values: Record<string, unknown>): TextEdit {
  const eol = lineEnd(text);
  const lead = text === '' || text === '\uFEFF' || text.endsWith('\n') ? '' : eol;
  return { offset: text.length, removed: '', inserted: `${lead}${pretty(values, DEFAULT_INDENT, eol)}${eol}` };
}

interface Style {
  readonly space: string;
  render(value: unknown): string;
  join(entries: readonly string[]): string;
}

function styleAt(text: string, container: Node): Style {
  const open = container.offset + 1;
  const first = container.children?.[0];
  const eol = lineEnd(text);
  const space = colonSpace(text, first);
  const outer = leadingSpace(text, container.offset);
  const unit = indentUnit(text, container);
  if (first === undefined) {
    const spread = text.slice(open, container.offset + container.length - 1).includes('\n');
    const indent = outer + unit;
    return {
      space,
      render: (value) => pretty(value, unit, eol + indent),
      join: (entries) => entries.map((entry) => eol + indent + entry).join(',') + (spread ? '' : eol + outer),
    };
  }
  if (text.slice(open, first.offset).includes('\n')) {
    const indent = leadingSpace(text, first.offset);
    return {
      space,
      render: (value) => pretty(value, unit, eol + indent),
      join: (entries) => entries.map((entry) => `${eol}${indent}${entry},`).join(''),
    };
  }
  const lead = /^[ \t]*/.exec(text.slice(open, first.offset))?.[0] ?? '';
  return {
    space,
    render: (value) => JSON.stringify(value),
    join: (entries) => entries.map((entry) => `${lead}${entry},`).join(''),
  };
}

function lineEnd(text: string): string {
  const at = text.indexOf('\n');
  return at > 0 && text[at - 1] === '\r' ? '\r\n' : '\n';
}

function leadingSpace(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? '';
}

/** What the file's outermost properties are indented by. */
function indentUnit(text: string, node: Node): string {
  let root = node;
  while (root.parent !== undefined) root = root.parent;
  const first = root.children?.[0];
  if (first === undefined || !text.slice(root.offset, first.offset).includes('\n')) return DEFAULT_INDENT;
  return leadingSpace(text, first.offset) || DEFAULT_INDENT;
}

function colonSpace(text: string, first: Node | undefined): string {
  const value = first?.children?.[1];
  if (first?.colonOffset === undefined || value === undefined) return ' ';
  const between = text.slice(first.colonOffset + 1, value.offset);
  return /^[ \t]*$/.test(between) ? between : ' ';
}

function pretty(value: unknown, unit: string, lineStart: string): string {
  return JSON.stringify(value, null, unit).replaceAll('\n', lineStart);
}
