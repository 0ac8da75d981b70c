import { createScanner, type Node } from 'jsonc-parser';
import { BrokerError } from '../../errors.ts';
import { lineEnd, type TextEdit } from '../../platform/text-edits.ts';
import {
  lineAndColumn,
  nodeAt,
  parseTolerantly,
  propertyAt,
  type SettingsDocument,
  type SettingsPath,
  valueAt,
} from './document.ts';

/** What is to be in a settings file: one value at a path, or items that a list must hold. */
export type Addition =
  | { readonly path: SettingsPath; readonly value: string }
  | { readonly path: SettingsPath; readonly items: readonly string[] };

export interface EditPlan {
  readonly edits: readonly TextEdit[];
  /** Objects and lists that did not exist before, outermost first: removed again when nothing is left in them. */
  readonly created: readonly SettingsPath[];
  /** Other values that the edits replace, as they are in the file. */
  readonly replaced: readonly { readonly path: SettingsPath; readonly line: number; readonly old: unknown }[];
}

/**
 * The edits that make a file hold `additions` and touch nothing else: what is missing goes in as one run right behind
 * the bracket of the innermost object that exists; where the name exists with another value, only that value changes.
 * (jsonc-parser's own `modify` reformats neighbours and edits the first of duplicate keys; it is not used.)
 *
 * @throws BrokerError ERR_CONFIG where the path leads through something that is not an object.
 */
export function planEdits(document: SettingsDocument, additions: readonly Addition[], file: string): EditPlan {
  const { root, text } = document;
  const missing = additions.filter((addition) => !isPresent(root, addition));
  if (missing.length === 0) return { edits: [], created: [], replaced: [] };
  if (root === undefined) {
    const created = unique(missing.flatMap(({ path }) => prefixes(path.slice(0, -1))));
    return { edits: [wholeFile(text, settingsObject(missing))], created, replaced: [] };
  }
  const edits: TextEdit[] = [];
  const created: SettingsPath[] = [];
  const replaced: EditPlan['replaced'][number][] = [];
  const runs = new Map<Node, { depth: number; additions: Addition[] }>();
  for (const addition of missing) {
    const { path } = addition;
    const existing = nodeAt(root, path);
    if (existing === undefined) {
      const { anchor, depth } = innermost(document, root, path, file);
      const run = runs.get(anchor) ?? { depth, additions: [] };
      run.additions.push(addition);
      runs.set(anchor, run);
      created.push(...prefixes(path.slice(0, -1)).filter((prefix) => prefix.length > depth));
    } else if ('value' in addition) {
      const { offset, length } = existing;
      edits.push({ offset, removed: text.slice(offset, offset + length), inserted: JSON.stringify(addition.value) });
      replaced.push({ path, line: lineAndColumn(text, offset).line, old: valueAt(root, path) });
    } else {
      if (existing.type !== 'array') throw notWhatItShouldBe(document, file, existing, path, 'a JSON list');
      const held = valueAt(root, path) as unknown[];
      const fresh = addition.items.filter((item) => !held.includes(item));
      edits.push(runBehind(text, existing, () => fresh.map((item) => JSON.stringify(item))));
    }
  }
  for (const [anchor, { depth, additions }] of runs) {
    const values = Object.entries(settingsObject(additions, depth));
    edits.push(
      runBehind(text, anchor, ({ space, render }) =>
        values.map(([name, value]) => `${JSON.stringify(name)}:${space}${render(value)}`),
      ),
    );
  }
  return { edits, created: unique(created), replaced };
}

export function isPresent(root: Node | undefined, addition: Addition): boolean {
  const value = valueAt(root, addition.path);
  if ('value' in addition) return value === addition.value;
  return Array.isArray(value) && addition.items.every((item) => value.includes(item));
}

/** The innermost object on the path that exists, and how many names down it is. */
function innermost(document: SettingsDocument, root: Node, path: SettingsPath, file: string) {
  for (let depth = path.length - 1; depth > 0; depth -= 1) {
    const anchor = nodeAt(root, path.slice(0, depth));
    if (anchor === undefined) continue;
    if (anchor.type !== 'object') {
      throw notWhatItShouldBe(document, file, anchor, path.slice(0, depth), 'a JSON object');
    }
    return { anchor, depth };
  }
  return { anchor: root, depth: 0 };
}

/** The additions as one JSON object, seen from `depth` names down. */
export function settingsObject(additions: readonly Addition[], depth = 0): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const addition of additions) {
    let object = result;
    for (const name of addition.path.slice(depth, -1)) {
      object[name] ??= {};
      object = object[name] as Record<string, unknown>;
    }
    object[addition.path.at(-1) ?? ''] = 'value' in addition ? addition.value : addition.items;
  }
  return result;
}

function prefixes(path: SettingsPath): SettingsPath[] {
  return path.map((_, index) => path.slice(0, index + 1));
}

function unique(paths: readonly SettingsPath[]): SettingsPath[] {
  return [...new Map(paths.map((path) => [JSON.stringify(path), path])).values()];
}

function notWhatItShouldBe(document: SettingsDocument, file: string, node: Node, path: SettingsPath, wanted: string) {
  const { line, column } = lineAndColumn(document.text, node.offset);
  return new BrokerError('ERR_CONFIG', `"${path.join('.')}" is not ${wanted}: ${file}:${line}:${column}`, {
    remedy: `make "${path.join('.')}" ${wanted} by hand; the file was left as it is`,
  });
}

/** jsonc-parser's SyntaxKind is a const enum, which isolated modules cannot read. */
const COMMA = 5;
const END = 17;
const TRIVIA = new Set([12, 13, 14, 15]);

/** Takes one property out, with the comma it no longer needs and its line if it had one to itself. */
export function removeProperty(text: string, path: SettingsPath): string {
  const property = propertyAt(parseTolerantly(text), path);
  return property === undefined ? text : removeNode(text, property);
}

/** Takes the items out of a list, wherever they are in it. */
export function removeItems(text: string, path: SettingsPath, items: readonly string[]): string {
  let result = text;
  for (const item of items) {
    const node = nodeAt(parseTolerantly(result), path)?.children?.find((child) => child.value === item);
    if (node !== undefined) result = removeNode(result, node);
  }
  return result;
}

/** True for an object or list with nothing in it: no entry and no comment. */
export function isBare(text: string, path: SettingsPath): boolean {
  const node = nodeAt(parseTolerantly(text), path);
  if (node === undefined || (node.type !== 'object' && node.type !== 'array')) return false;
  return text.slice(node.offset + 1, node.offset + node.length - 1).trim() === '';
}

function removeNode(text: string, node: Node): string {
  const start = node.offset;
  let end = node.offset + node.length;
  const commaBehind = nextToken(text, end);
  if (commaBehind !== undefined) {
    end = commaBehind + 1;
  } else {
    const siblings = node.parent?.children ?? [];
    const before = siblings[siblings.indexOf(node) - 1];
    const commaBefore = before === undefined ? undefined : nextToken(text, before.offset + before.length);
    // The comma goes alone: a comment between it and the property stays.
    if (commaBefore !== undefined)
      return removeLine(`${text.slice(0, commaBefore)}${text.slice(commaBefore + 1)}`, start - 1, end - 1);
  }
  return removeLine(text, start, end);
}

/** Removes [start, end) and, if nothing else is before it on its line, the line break before it. */
function removeLine(text: string, start: number, end: number): string {
  const lead = /\r?\n[ \t]*$|[ \t]+$/.exec(text.slice(0, start))?.[0] ?? '';
  return text.slice(0, start - lead.length) + text.slice(end);
}

/** Offset of the comma that follows, comments and white space skipped. */
function nextToken(text: string, from: number): number | undefined {
  const scanner = createScanner(text, false);
  scanner.setPosition(from);
  for (let kind: number = scanner.scan(); kind !== END; kind = scanner.scan()) {
    if (kind === COMMA) return scanner.getTokenOffset();
    if (!TRIVIA.has(kind)) return undefined;
  }
  return undefined;
}

const DEFAULT_INDENT = '  ';

/** How entries are written into an object or list: in the indentation, spacing and line ends that the file already has. */
interface Style {
  /** Behind the colon of a property. */
  readonly space: string;
  render(value: unknown): string;
  /** Each entry with what the place needs around it. */
  join(entries: readonly string[]): string;
}

/** One run right behind the opening bracket of an object or list. */
function runBehind(text: string, container: Node, entriesIn: (style: Style) => readonly string[]): TextEdit {
  const style = styleAt(text, container);
  return { offset: container.offset + 1, removed: '', inserted: style.join(entriesIn(style)) };
}

/** For a file without an object: everything at its end, behind what comments there are. */
function wholeFile(text: string, values: Record<string, unknown>): TextEdit {
  const eol = lineEnd(text);
  const lead = text === '' || text === '\uFEFF' || text.endsWith('\n') ? '' : eol;
  return { offset: text.length, removed: '', inserted: `${lead}${pretty(values, DEFAULT_INDENT, eol)}${eol}` };
}

function styleAt(text: string, container: Node): Style {
  const { offset, length, children: [first] = [] } = container;
  const eol = lineEnd(text);
  const space = colonSpace(text, first);
  const lead = text.slice(offset + 1, first?.offset);
  if (first !== undefined && !lead.includes('\n')) {
    const blank = /^[ \t]*/.exec(lead)?.[0] ?? '';
    return { space, render: JSON.stringify, join: (entries) => entries.map((entry) => `${blank}${entry},`).join('') };
  }
  const unit = indentUnit(text, container);
  const outer = leadingSpace(text, offset);
  const indent = eol + (first === undefined ? outer + unit : leadingSpace(text, first.offset));
  const render = (value: unknown) => pretty(value, unit, indent);
  if (first !== undefined) {
    return { space, render, join: (entries) => entries.map((entry) => `${indent}${entry},`).join('') };
  }
  const isSpread = text.slice(offset, offset + length).includes('\n');
  const end = isSpread ? '' : eol + outer;
  return { space, render, join: (entries) => entries.map((entry) => indent + entry).join(',') + end };
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
