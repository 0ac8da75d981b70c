import { parse, TomlError, type TomlTable } from 'smol-toml';
import { dotted, type KeyPath, pathId } from './walk.ts';

interface TomlDocument {
  readonly root: TomlTable;
  readonly positions: TomlPositions;
  readonly faults: readonly TomlFault[];
}

interface TomlFault {
  readonly line: number;
  readonly path: KeyPath | undefined;
  readonly message: string;
  readonly remedy: string;
}

/** After so many the file is probably not TOML at all. */
const MOST_FAULTS = 20;

/**
 * Parses, and goes on after a syntax error: the statement that holds it is blanked out (a broken header with its
 * whole table) and the rest is parsed again, so that one run lists every fault.
 *
 * The parser's own message is never passed on and never kept as a cause: it quotes the lines around the fault, and
 * a token may stand there.
 */
export function parseToml(text: string): TomlDocument {
  const positions = new TomlPositions(text);
  const faults: TomlFault[] = [];
  let rest = text;
  while (faults.length < MOST_FAULTS) {
    try {
      const root = parse(rest, { unsafeKeyBehaviour: 'throw', maxDepth: 20 });
      const deep = tooDeep(root, []);
      if (deep === undefined) return { root, positions, faults };
      const [message, remedy] = TOO_DEEP;
      return {
        root: {},
        positions,
        faults: [...faults, { line: positions.lineNear(deep) ?? 1, path: undefined, message, remedy }],
      };
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const part = brokenPart(rest, error.line, positions);
      faults.push(faultOf(error, part, positions));
      if (part === undefined) break;
      const without = `${rest.slice(0, part.start)}${blank(rest.slice(part.start, part.end))}${rest.slice(part.end)}`;
      if (without === rest) break;
      rest = without;
    }
  }
  return { root: {}, positions, faults };
}

interface BrokenPart {
  readonly path: KeyPath | undefined;
  readonly line: number;
  readonly start: number;
  readonly end: number;
}

/** What to leave out of the text so that the rest may still be read. */
function brokenPart(text: string, errorLine: number, positions: TomlPositions): BrokenPart | undefined {
  const statement = positions.statementAt(errorLine);
  if (statement === undefined) return undefined;
  const { kind, path, start } = statement;
  if (kind === 'header') {
    const next = positions.statements.find((other) => other.kind === 'header' && other.start > start);
    return { path, line: errorLine, start, end: next?.start ?? text.length };
  }
  // A bracket or quote that is never closed swallows what follows; a table header there is where it should have ended.
  const swallowed = text
    .slice(start, statement.end)
    .search(/(?<=\n)[ \t]*\[{1,2}[A-Za-z_][\w. "'-]*\]{1,2}[ \t]*\r?(?:\n|#|$)/);
  const end = swallowed === -1 ? statement.end : start + swallowed;
  const line = positions.lineAt(start);
  return { path, line: errorLine < positions.lineAt(end) ? errorLine : line, start, end };
}

/** The parser limits only brackets and braces; dotted names may go as deep as the file is long. */
function tooDeep(value: unknown, path: KeyPath): KeyPath | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (path.length > DEEPEST) return path;
  for (const [key, inner] of Object.entries(value)) {
    const found = tooDeep(inner, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function blank(text: string): string {
  return text.replaceAll(/[^\r\n]/g, ' ');
}

function faultOf(error: TomlError, part: BrokenPart | undefined, positions: TomlPositions): TomlFault {
  const { message } = error;
  const path = part?.path;
  const line = part?.line ?? error.line;
  const problem = message.slice(0, message.indexOf('\n')).replace('Invalid TOML document: ', '');
  if (problem.startsWith('trying to redefine')) {
    const first = path === undefined ? undefined : positions.lineOf(path);
    const where = first === undefined || first === line ? '' : ` on line ${first}`;
    const what = path === undefined ? 'this key' : dotted(path);
    return { line, path, message: `${what} is already defined${where}`, remedy: 'keep one of the two' };
  }
  const [what, remedy] = EXPLAINED.find(([start]) => problem.startsWith(start))?.[1] ?? UNEXPLAINED;
  return { line, path, message: what, remedy };
}

const QUOTE = 'put text in double quotes, as in key = "value"; numbers, true and false have none';

const TOO_DEEP = ['the value is nested too deeply', 'write the keys that docs/configuration.md lists'] as const;

const UNEXPLAINED = ['this is not valid TOML', QUOTE] as const;

const EXPLAINED: readonly (readonly [start: string, readonly [what: string, remedy: string]])[] = [
  ['invalid value', ['the value is not valid TOML', QUOTE]],
  ['illegal character in numeric', ['the value is neither a number nor text in quotes', QUOTE]],
  ['unfinished numeric', ['the value is neither a number nor text in quotes', QUOTE]],
  ['illegal leading zero', ['a number cannot begin with 0', 'leave the zero out, or put the value in double quotes']],
  ['illegal underscore', ['an underscore in a number stands between digits', QUOTE]],
  ['integer value', ['the number is too large', 'put the value in double quotes if it is text']],
  ['invalid date', ['the date or time is malformed', 'put the value in double quotes if it is text']],
  ['unfinished string', ['the text in quotes has no end', 'close it with the same quote on the same line']],
  ['control characters', ['there is a control character or line end in the text', 'close the quotes on the same line']],
  ['invalid non-hex', ['an escape in the text is malformed', "write \\\\ for a backslash, or use single quotes: '…'"]],
  ['invalid unicode', ['an escape in the text is malformed', "write \\\\ for a backslash, or use single quotes: '…'"]],
  ['invalid escape', ['an escape in the text is malformed', "write \\\\ for a backslash, or use single quotes: '…'"]],
  [
    'unrecognised escape',
    ['an escape in the text is unknown', "write \\\\ for a backslash, or use single quotes: '…'"],
  ],
  ['each key-value', ['something follows the value on the same line', 'write each key on a line of its own']],
  ['unexpected end of key', ['there is no key', 'write key = "value", or a header like [providers.NAME]']],
  ['illegal empty bare key', ['a part of the key is empty', 'write names with single dots between them']],
  ['illegal quoted key', ['a key cannot be a multi-line text', 'write the key on one line']],
  [
    'illegal character in key',
    ['this is neither key = value nor a table header', 'write key = "value" or [table.NAME]'],
  ],
  ['incomplete key-value', ['this is neither key = value nor a table header', 'write key = "value" or [table.NAME]']],
  ['expected end of table array', ['the header has no end', 'close it as it was opened: [name] or [[name]]']],
  ['document contains an unsafe', ['__proto__ and constructor cannot be names', 'choose another name']],
  ['document contains excessively', TOO_DEEP],
  [
    'expected comma',
    ['a comma or the closing bracket is missing', 'separate the elements by commas and close the bracket'],
  ],
  ['unfinished table', ['the braces have no end', 'close them with }']],
  ['unfinished array', ['the brackets have no end', 'close them with ]']],
];

/**
 * Where every key of a TOML text stands. smol-toml gives values without positions, so this follows the same text a
 * second time, looking only for keys and for where values end. It never throws: text that is not TOML gives the
 * positions of what can still be made out, which is what recovery after a syntax error needs.
 */
export class TomlPositions {
  readonly statements: readonly Statement[];
  readonly #offsets: ReadonlyMap<string, Place>;
  readonly #lineStarts: readonly number[];

  constructor(text: string) {
    const scanner = new TomlScanner(text);
    this.statements = scanner.scan();
    this.#offsets = scanner.offsets;
    this.#lineStarts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  }

  /** The line, from 1, on which exactly this key stands or is first mentioned. */
  lineOf(path: KeyPath): number | undefined {
    const place = this.#offsets.get(pathId(path));
    return place === undefined ? undefined : this.lineAt(place.offset);
  }

  /** The line of the key, or of the innermost table around it that the file has. */
  lineNear(path: KeyPath): number | undefined {
    for (let length = Math.min(path.length, DEEPEST); length > 0; length--) {
      const line = this.lineOf(path.slice(0, length));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  lineAt(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  /** The statement that a line belongs to. */
  statementAt(line: number): Statement | undefined {
    const start = this.#lineStarts[line - 1] ?? 0;
    const end = this.#lineStarts[line] ?? Number.POSITIVE_INFINITY;
    return this.statements.find((statement) => statement.start < end && statement.end > start);
  }
}

/** A table header or a `key = value` with its whole value, over as many lines as it takes. */
interface Statement {
  readonly kind: 'header' | 'pair';
  readonly start: number;
  readonly end: number;
  /** undefined if the key itself is broken. */
  readonly path: KeyPath | undefined;
}

/** Deeper tables are not looked for: the schema knows none, and a hostile file must not cost time or stack. */
const DEEPEST = 24;

interface Place {
  readonly offset: number;
  /** Its own key or header, not only the beginning of a longer one. */
  readonly explicit: boolean;
}

/** Follows a TOML text as far as it can be followed, noting where keys stand and where values end. */
class TomlScanner {
  readonly offsets = new Map<string, Place>();
  readonly #text: string;
  readonly #arrayLengths = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.charCodeAt(0) === 0xfeff) this.#at = 1;
  }

  scan(): Statement[] {
    const statements: Statement[] = [];
    let table: KeyPath = [];
    for (this.#skipVoid(); this.#at < this.#text.length; this.#skipVoid()) {
      const start = this.#at;
      if (this.#text[start] === '[') {
        const isArray = this.#text[start + 1] === '[';
        this.#at += isArray ? 2 : 1;
        const keys = this.#readKey();
        if (keys !== undefined) {
          table = this.#resolve(keys, isArray);
          this.#record(table, start);
        }
        this.#skipLine();
        statements.push({ kind: 'header', start, end: this.#at, path: keys && table });
      } else {
        const path = this.#pair(table);
        this.#skipLine();
        statements.push({ kind: 'pair', start, end: this.#at, path });
      }
    }
    return statements;
  }

  /** `key = value`; the path, or undefined where there is no key or no equals sign. */
  #pair(table: KeyPath): KeyPath | undefined {
    const start = this.#at;
    const keys = this.#readKey();
    if (keys === undefined || this.#text[this.#at] !== '=') return undefined;
    this.#at++;
    const path = [...table, ...keys];
    this.#record(path, start);
    this.#value(path);
    return path;
  }

  #readKey(): string[] | undefined {
    const keys: string[] = [];
    for (;;) {
      this.#skipBlanks();
      const start = this.#at;
      const quote = this.#text[start];
      if (quote === '"' || quote === "'") {
        if (!this.#string()) return undefined;
        const key = decoded(this.#text.slice(start, this.#at));
        if (key === undefined) return undefined;
        keys.push(key);
      } else {
        this.#skipWhile(/[A-Za-z0-9_-]*/y);
        if (this.#at === start) return undefined;
        keys.push(this.#text.slice(start, this.#at));
      }
      this.#skipBlanks();
      if (this.#text[this.#at] !== '.') return keys;
      this.#at++;
    }
  }

  /** False where the value breaks off; the rest of the line is then skipped by the caller. */
  #value(path: KeyPath, depth = 0): boolean {
    this.#skipBlanks();
    const first = this.#text[this.#at];
    if (first === '"' || first === "'") return this.#string();
    if (first === '[' && depth < DEEPEST) return this.#list(path, depth, ']');
    if (first === '{' && depth < DEEPEST) return this.#list(path, depth, '}');
    this.#skipWhile(/[^,\]}\n#]*/y);
    return true;
  }

  #list(path: KeyPath, depth: number, close: ']' | '}'): boolean {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#skipVoid();
      if (this.#text[this.#at] === close) {
        this.#at++;
        return true;
      }
      const start = this.#at;
      const keys = close === '}' ? this.#readKey() : [index];
      if (keys === undefined || (close === '}' && this.#text[this.#at++] !== '=')) return false;
      const inner = [...path, ...keys];
      this.#record(inner, start);
      if (!this.#value(inner, depth + 1)) return false;
      this.#skipVoid();
      const end = this.#text[this.#at];
      if (end !== ',' && end !== close) return false;
      if (end === ',') this.#at++;
    }
  }

  #string(): boolean {
    const quote = this.#text[this.#at] === '"' ? '"' : "'";
    if (this.#text.startsWith(quote.repeat(3), this.#at)) {
      this.#at += 3;
      const whole = quote === '"' ? /(?:\\.|[^\\])*?"{3,5}(?!")/sy : /.*?'{3,5}(?!')/sy;
      return this.#skipWhile(whole) || this.#skipToEnd();
    }
    return this.#skipWhile(quote === '"' ? /"(?:\\.|[^"\\\n])*"/y : /'[^'\n]*'/y);
  }

  /** Puts the index of the current element behind every array of tables on the way. */
  #resolve(keys: readonly string[], isArray: boolean): KeyPath {
    const path: (string | number)[] = [];
    keys.forEach((key, i) => {
      path.push(key);
      if (i >= DEEPEST) return;
      const id = pathId(path);
      const length = this.#arrayLengths.get(id);
      const appends = isArray && i === keys.length - 1;
      if (appends) {
        this.#arrayLengths.set(id, (length ?? 0) + 1);
        path.push(length ?? 0);
      } else if (length !== undefined) {
        path.push(length - 1);
      }
    });
    return path;
  }

  #record(path: KeyPath, offset: number): void {
    for (let length = Math.min(path.length, DEEPEST); length > 0; length--) {
      const id = pathId(path.slice(0, length));
      const explicit = length === path.length;
      const known = this.offsets.get(id);
      if (known === undefined || (explicit && !known.explicit)) this.offsets.set(id, { offset, explicit });
    }
  }

  #skipVoid(): void {
    this.#skipWhile(/(?:[ \t\r\n]+|#[^\n]*)*/y);
  }

  #skipBlanks(): void {
    this.#skipWhile(/[ \t]*/y);
  }

  #skipLine(): void {
    this.#skipWhile(/[^\n]*/y);
  }

  #skipToEnd(): false {
    this.#at = this.#text.length;
    return false;
  }

  #skipWhile(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at += found[0].length;
    return found !== null;
  }
}

/** What a quoted key says, by the parser's own rules for escapes. */
function decoded(quoted: string): string | undefined {
  try {
    const { key } = parse(`key = ${quoted}`);
    return typeof key === 'string' ? key : undefined;
  } catch {
    return undefined;
  }
}
