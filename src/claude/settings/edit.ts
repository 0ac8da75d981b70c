import { createScanner, type Node, parseTree } from 'jsonc-parser';
import { BrokerError } from '../../errors.ts';
import { lineAndColumn, nodeAt, propertyAt, type SettingsDocument, type SettingsPath, valueAt } from './document.ts';

/** What is to stand in a settings file: one value at a path, or items that a list must hold. */
export type Addition =
  | { readonly path: SettingsPath; readonly value: string }
  | { readonly path: SettingsPath; readonly items: readonly string[] };

export interface EditPlan {
  readonly edits: readonly TextEdit[];
  /** Objects and lists that did not exist before, outermost first: removed again when nothing is left in them. */
  readonly created: readonly SettingsPath[];
  /** Values of somebody else's that the edits replace, as they are in the file. */
  readonly replaced: readonly { readonly path: SettingsPath; readonly line: number; readonly old: unknown }[];
}

/**
 * The edits that make a file hold `additions` and touch nothing else: what is missing goes in as one run right behind
 * the bracket of the innermost object that exists; where the name exists with another value, only that value changes.
 * (jsonc-parser's own `modify` reformats neighbours and edits the first of duplicate keys; it is not used.)
 *
 * @throws BrokerError ERR_CONFIG where the path leads through something that is no object.
 */
export function planEdits(document: SettingsDocument, additions: readonly Addition[], file: string): EditPlan {
  const { root } = document;
  const missing = additions.filter((addition) => !isPresent(root, addition));
  if (missing.length === 0) return { edits: [], created: [], replaced: [] };
  if (root === undefined) {
    const created = missing.flatMap(({ path }) => prefixes(path.slice(0, -1)));
    return { edits: [wholeFile(document.text, settingsObject(missing))], created: unique(created), replaced: [] };
  }
  return planIn(document, root, missing, file);
}

function planIn(document: SettingsDocument, root: Node, missing: readonly Addition[], file: string): EditPlan {
  const edits: TextEdit[] = [];
  const created: SettingsPath[] = [];
  const replaced: { path: SettingsPath; line: number; old: unknown }[] = [];
  const runs = new Map<Node, { depth: number; additions: Addition[] }>();
  for (const addition of missing) {
    const existing = propertyAt(root, addition.path)?.children?.[1];
    if (existing !== undefined && 'items' in addition) {
      if (existing.type !== 'array') throw notWhatItShouldBe(document, file, existing, addition.path, 'list');
      const held = valueAt(root, addition.path) as unknown[];
      const fresh = addition.items.filter((item) => !held.includes(item));
      edits.push(arrayRun(document.text, existing, fresh));
    } else if (existing !== undefined && 'value' in addition) {
      const removed = document.text.slice(existing.offset, existing.offset + existing.length);
      edits.push({ offset: existing.offset, removed, inserted: JSON.stringify(addition.value) });
      const { line } = lineAndColumn(document.text, existing.offset);
      replaced.push({ path: addition.path, line, old: valueAt(root, addition.path) });
    } else {
      const depth = depthOfExisting(document, root, addition.path, file);
      const anchor = nodeAt(root, addition.path.slice(0, depth)) ?? root;
      const run = runs.get(anchor) ?? { depth, additions: [] };
      run.additions.push(addition);
      runs.set(anchor, run);
      created.push(...prefixes(addition.path.slice(0, -1)).filter((prefix) => prefix.length > depth));
    }
  }
  for (const [anchor, run] of runs)
    edits.push(objectRun(document.text, anchor, settingsObject(run.additions, run.depth)));
  return { edits, created: unique(created), replaced };
}

export function isPresent(root: Node | undefined, addition: Addition): boolean {
  const value = valueAt(root, addition.path);
  if ('value' in addition) return value === addition.value;
  return Array.isArray(value) && addition.items.every((item) => value.includes(item));
}

/** How many names of the path, the last one not counted, lead through objects that are there. */
function depthOfExisting(document: SettingsDocument, root: Node, path: SettingsPath, file: string): number {
  for (let depth = path.length - 1; depth > 0; depth -= 1) {
    const node = nodeAt(root, path.slice(0, depth));
    if (node === undefined) continue;
    if (node.type !== 'object') throw notWhatItShouldBe(document, file, node, path.slice(0, depth), 'object');
    return depth;
  }
  return 0;
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
  return new BrokerError('ERR_CONFIG', `"${path.join('.')}" is no ${wanted}: ${file}:${line}:${column}`, {
    remedy: `make "${path.join('.')}" a JSON ${wanted} by hand; the file was left as it is`,
  });
}

/** One replacement in a text; `offset` counts in the text before any edit of the same list. */
interface TextEdit {
  readonly offset: number;
  readonly removed: string;
  readonly inserted: string;
}

/** Edits must not overlap; their order does not matter. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  let result = text;
  for (const { offset, removed, inserted } of inOrder(edits).reverse()) {
    result = result.slice(0, offset) + inserted + result.slice(offset + removed.length);
  }
  return result;
}

/** The text as it was before `applyEdits`; undefined if what was inserted is no longer where it was put. */
export function revertEdits(text: string, edits: readonly TextEdit[]): string | undefined {
  const forward = inOrder(edits);
  let shift = 0;
  const places = forward.map(({ offset, removed, inserted }) => {
    const place = offset + shift;
    shift += inserted.length - removed.length;
    return place;
  });
  let result = text;
  for (const [index, edit] of [...forward.entries()].reverse()) {
    const place = places[index] ?? 0;
    if (!result.startsWith(edit.inserted, place)) return undefined;
    result = result.slice(0, place) + edit.removed + result.slice(place + edit.inserted.length);
  }
  return result;
}

function inOrder(edits: readonly TextEdit[]): TextEdit[] {
  return [...edits].sort((a, b) => a.offset - b.offset);
}

/** jsonc-parser's SyntaxKind is a const enum, which isolated modules cannot read. */
const COMMA = 5;
const END = 17;
const TRIVIA = new Set([12, 13, 14, 15]);

/** Takes one property out, with the comma it no longer needs and its line if it had one to itself. */
export function removeProperty(text: string, path: SettingsPath): string {
  const property = propertyAt(tree(text), path);
  return property === undefined ? text : removeNode(text, property);
}

/** Takes the items out of a list, wherever they stand in it. */
export function removeItems(text: string, path: SettingsPath, items: readonly string[]): string {
  let result = text;
  for (const item of items) {
    const node = nodeAt(tree(result), path)?.children?.find((child) => child.value === item);
    if (node !== undefined) result = removeNode(result, node);
  }
  return result;
}

/** True for an object or list with nothing in it: no entry and no comment. */
export function isBare(text: string, path: SettingsPath): boolean {
  const node = nodeAt(tree(text), path);
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
    // The comma goes alone: a comment between it and the property belongs to somebody.
    if (commaBefore !== undefined)
      return removeLine(`${text.slice(0, commaBefore)}${text.slice(commaBefore + 1)}`, start - 1, end - 1);
  }
  return removeLine(text, start, end);
}

/** Removes [start, end) and, if nothing else stands before it on its line, the line break before it. */
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

function tree(text: string): Node | undefined {
  return parseTree(text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text, [], { allowTrailingComma: true });
}

/** Runs of text in the indentation, spacing and line ends that the file already has. */

const DEFAULT_INDENT = '  ';

/** One run right behind the `{` of `object` with every property of `values`, each followed by what the place needs. */
function objectRun(text: string, object: Node, values: Record<string, unknown>): TextEdit {
  const style = styleAt(text, object);
  const lines = Object.entries(values).map(
    ([name, value]) => `${JSON.stringify(name)}:${style.space}${style.render(value)}`,
  );
  return { offset: object.offset + 1, removed: '', inserted: style.join(lines) };
}

/** One run right behind the `[` of `list`. */
function arrayRun(text: string, list: Node, items: readonly string[]): TextEdit {
  const style = styleAt(text, list);
  return { offset: list.offset + 1, removed: '', inserted: style.join(items.map((item) => JSON.stringify(item))) };
}

/** For a file without an object: everything at its end, behind what comments there are. */
function wholeFile(text: string, values: Record<string, unknown>): TextEdit {
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
