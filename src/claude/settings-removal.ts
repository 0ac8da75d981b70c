import { createScanner, type Node, parseTree } from 'jsonc-parser';
import { nodeAt, propertyAt, type SettingsPath } from './settings-tree.ts';

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
