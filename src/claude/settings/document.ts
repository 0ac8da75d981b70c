import { createScanner, getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';
import { BrokerError } from '../../errors.ts';

/** Larger than any settings file that a person wrote. */
export const MAX_SETTINGS_BYTES = 4 * 1024 * 1024;

/** The text of a settings file with its syntax tree; offsets are into `text`, a byte-order mark included. */
export interface SettingsDocument {
  readonly text: string;
  /** The root object; undefined where the file holds nothing but white space and comments. */
  readonly root: Node | undefined;
}

/** A settings file that is not a JSON object. The message ends with `file:line:column`. */
export class SettingsSyntaxError extends BrokerError {
  readonly what: string;
  readonly position: Position;

  constructor(file: string, position: Position, what: string, remedy = `fix line ${position.line} of ${file} by hand`) {
    super('ERR_CONFIG', `${what}: ${file}:${position.line}:${position.column}`, {
      remedy: `${remedy}; the file was left as it is`,
    });
    this.name = 'SettingsSyntaxError';
    this.what = what;
    this.position = position;
  }
}

/**
 * Reads more than the client does: comments, trailing commas, a byte-order mark and an empty file are taken as they
 * are, so that they can be kept byte for byte. `firstLaxity` says where the client would disagree.
 *
 * @throws SettingsSyntaxError where it is not a JSON object, or the bytes are not UTF-8.
 */
export function parseSettings(bytes: Uint8Array, file: string): SettingsDocument {
  const text = decode(bytes, file);
  requireShallow(text, file);
  const errors: ParseError[] = [];
  const root = parseTree(withoutBom(text), errors, { allowTrailingComma: true, allowEmptyContent: true });
  const error = errors[0];
  if (error !== undefined) {
    throw new SettingsSyntaxError(file, lineAndColumn(text, error.offset), sentence(error));
  }
  if (root !== undefined && root.type !== 'object') {
    throw new SettingsSyntaxError(file, lineAndColumn(text, root.offset), 'the settings are not a JSON object');
  }
  return { text, root };
}

/**
 * Where the text stops being strict JSON. The client (seen with 2.1.330) refuses the whole file for one comment or
 * one trailing comma, and then nothing in it is in effect; a byte-order mark, duplicate keys and an empty file it takes.
 */
export function firstLaxity(document: SettingsDocument): Position | undefined {
  const errors: ParseError[] = [];
  parseTree(withoutBom(document.text), errors, { disallowComments: true, allowEmptyContent: true });
  const first = errors.toSorted((a, b) => a.offset - b.offset)[0];
  return first === undefined ? undefined : lineAndColumn(document.text, first.offset);
}

/** The syntax tree of what was parsed before: faults are passed over. */
export function parseTolerantly(text: string): Node | undefined {
  return parseTree(withoutBom(text), [], { allowTrailingComma: true });
}

/** Same length, so that every offset still counts from the start of the file. */
function withoutBom(text: string): string {
  return text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text;
}

function decode(bytes: Uint8Array, file: string): string {
  if (bytes.byteLength > MAX_SETTINGS_BYTES) {
    throw new SettingsSyntaxError(file, { line: 1, column: 1 }, `the file is over ${MAX_SETTINGS_BYTES} bytes`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SettingsSyntaxError(file, { line: 1, column: 1 }, 'the file is not UTF-8', 'save it as UTF-8');
  }
}

/** Settings have five levels. The parser and whatever walks its tree recurse. */
const DEEPEST = 100;

function requireShallow(text: string, file: string): void {
  const scanner = createScanner(text, true);
  let depth = 0;
  for (scanner.scan(); scanner.getTokenOffset() < text.length; scanner.scan()) {
    const first = text.charAt(scanner.getTokenOffset());
    if (first === '{' || first === '[') depth += 1;
    if (first === '}' || first === ']') depth -= 1;
    if (depth <= DEEPEST) continue;
    throw new SettingsSyntaxError(file, lineAndColumn(text, scanner.getTokenOffset()), 'the file is nested too deeply');
  }
}

function sentence(error: ParseError): string {
  const words = printParseErrorCode(error.error).replace(/([a-z])([A-Z])/g, '$1 $2');
  return `not valid JSON (${words.toLowerCase()})`;
}

/** A path of property names from the root; the tree is searched as the client reads it: of duplicate keys the last counts. */
export type SettingsPath = readonly string[];

function propertyOf(object: Node, name: string): Node | undefined {
  return object.children?.findLast((property) => property.children?.[0]?.value === name && property.children[1]);
}

export function propertyAt(root: Node | undefined, path: SettingsPath): Node | undefined {
  let property: Node | undefined;
  let object = root;
  for (const name of path) {
    if (object?.type !== 'object') return undefined;
    property = propertyOf(object, name);
    object = property?.children?.[1];
  }
  return property;
}

export function nodeAt(root: Node | undefined, path: SettingsPath): Node | undefined {
  return path.length === 0 ? root : propertyAt(root, path)?.children?.[1];
}

export function valueAt(root: Node | undefined, path: SettingsPath): unknown {
  const node = nodeAt(root, path);
  return node === undefined ? undefined : getNodeValue(node);
}

/** How often a name is set in one object; above 1 the earlier ones are dead text. */
export function countOf(object: Node | undefined, name: string): number {
  return object?.children?.filter((property) => property.children?.[0]?.value === name).length ?? 0;
}

/** Counted from 1, as editors do; columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export function lineAndColumn(text: string, offset: number): Position {
  let line = 1;
  let start = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) {
    line += 1;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}
