import type { AST } from 'toml-eslint-parser';

/** Where a value is in the file: names of tables and keys, numbers for the elements of an array. */
export type KeyPath = readonly (string | number)[];

type Span = readonly [start: number, end: number];

interface Place {
  readonly line: number;
  /** Its own key or header, not only the beginning of a longer one. */
  readonly isExplicit: boolean;
  /** Of the value; undefined for a table with a header. */
  readonly value?: Span | undefined;
}

/** Longer paths are not remembered: no schema has them. */
const LONGEST_PATH = 24;

/**
 * Where every key of a TOML text is. smol-toml gives values without positions, so this is a second parse, by a parser that
 * is loaded only then: its first parse takes 18 ms against 6, and most starts of the daemon need no line.
 */
export class TomlPositions {
  readonly #places = new Map<string, Place>();
  readonly #tables: { readonly start: number; readonly path: KeyPath }[] = [];

  /** Of a text that cannot be parsed it knows nothing. */
  static async of(text: string): Promise<TomlPositions> {
    const positions = new TomlPositions();
    try {
      const { parseTOML } = await import('toml-eslint-parser');
      // It refuses a byte order mark.
      positions.#read(parseTOML(text.replace(/^\uFEFF/, ' ')));
    } catch {
      // Not TOML, or too long for its stack; or an upgrade replaced this program's files while it ran.
    }
    return positions;
  }

  /** The line, from 1, on which exactly this key is written or first mentioned. */
  lineOf(path: KeyPath): number | undefined {
    return this.#places.get(pathId(path))?.line;
  }

  /** The line of the key, or of the innermost table around it that the text has. */
  lineNear(path: KeyPath): number | undefined {
    for (let length = Math.min(path.length, LONGEST_PATH); length > 0; length--) {
      const line = this.lineOf(path.slice(0, length));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  /** What to replace in order to change the value of this key: from the first character of the value to the end of its last. */
  valueSpan(path: KeyPath): Span | undefined {
    return this.#places.get(pathId(path))?.value;
  }

  /** The table that a statement at this offset belongs to. */
  tableAt(offset: number): KeyPath {
    return this.#tables.findLast(({ start }) => start <= offset)?.path ?? [];
  }

  #read({ body: [top] }: AST.TOMLProgram): void {
    for (const node of top.body) {
      if (node.type === 'TOMLKeyValue') this.#readPair(node, []);
      else {
        this.#tables.push({ start: node.range[0], path: node.resolvedKey });
        this.#record(node.resolvedKey, node);
        for (const pair of node.body) this.#readPair(pair, node.resolvedKey);
      }
    }
  }

  #readPair(pair: AST.TOMLKeyValue, table: KeyPath): void {
    const keys = pair.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value));
    this.#readValue(pair.value, [...table, ...keys], pair);
  }

  #readValue(value: AST.TOMLContentNode, path: KeyPath, at: AST.TOMLNode): void {
    this.#record(path, at, value.range);
    if (value.type === 'TOMLInlineTable') for (const pair of value.body) this.#readPair(pair, path);
    if (value.type === 'TOMLArray') {
      value.elements.forEach((element, index) => {
        this.#readValue(element, [...path, index], element);
      });
    }
  }

  #record(path: KeyPath, { loc }: AST.TOMLNode, value?: Span): void {
    for (let length = Math.min(path.length, LONGEST_PATH); length > 0; length--) {
      const id = pathId(path.slice(0, length));
      const isExplicit = length === path.length;
      const known = this.#places.get(id);
      if (known?.isExplicit === true || (known !== undefined && !isExplicit)) continue;
      this.#places.set(id, { line: loc.start.line, isExplicit, value: isExplicit ? value : undefined });
    }
  }
}

/** An identity for maps. */
export function pathId(path: KeyPath): string {
  return JSON.stringify(path);
}

/** As TOML writes it, quoted where it has to be: `credentials."a.b".fields`, `command[0]`. */
export function dotted(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text === '' ? '' : '.'}${writtenKey(part)}`;
  }
  return text;
}

const BARE = /^[A-Za-z0-9_-]+$/;

/** One key as it has to be written: bare if it can be. Cut short, because it may be anything at all. */
export function writtenKey(key: string): string {
  const short = key.length > 80 ? `${key.slice(0, 79)}…` : key;
  return BARE.test(short) ? short : quoted(short);
}

/** In double quotes, with an escape for whatever cannot be seen or changes how the rest is shown; TOML demands some of them. */
export function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, '0')}` : `\\u${code.padStart(4, '0')}`;
  });
}
