import type { Node } from 'jsonc-parser';
import { BrokerError } from '../errors.ts';
import { lineAndColumn } from './positions.ts';
import type { SettingsDocument } from './settings.ts';
import { arrayRun, objectRun, wholeFile } from './settings-style.ts';
import { nodeAt, propertyAt, type SettingsPath, valueAt } from './settings-tree.ts';
import type { TextEdit } from './text-edits.ts';

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
    return { edits: [wholeFile(document.text, nested(missing, 0))], created: unique(created), replaced: [] };
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
  for (const [anchor, run] of runs) edits.push(objectRun(document.text, anchor, nested(run.additions, run.depth)));
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

/** The additions as one value, seen from an object `depth` names down. */
function nested(additions: readonly Addition[], depth: number): Record<string, unknown> {
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
