import { parse, TomlError, type TomlTable } from 'smol-toml';
import { dotted, type KeyPath, quoted, type TomlPositions, writtenKey } from './positions.ts';

/** What a TOML text says, and the statements of it that are not TOML. */
export interface TomlReading {
  /** Empty if nothing can be read. */
  readonly root: TomlTable;
  /** What the values and their places can be read from: the text with blanks in the place of broken statements. */
  readonly sound: string;
  readonly broken: readonly BrokenStatement[];
}

interface BrokenStatement {
  /** Counted from 1; undefined: that of `path`. */
  readonly line?: number;
  readonly start: number;
  /** Of a header: where it leads. */
  readonly path?: KeyPath | undefined;
  /** Of `key = value`: the names in the key. */
  readonly keys?: readonly string[] | undefined;
  /** The first line of the parser's message: the others quote the file, and a token may be in it. Only compared, never shown. */
  readonly problem: string;
  /** A character of the line that TOML does not take there and that looks like another one, or like nothing. */
  readonly odd?: string | undefined;
}

interface SyntaxFault {
  readonly line: number;
  readonly path: KeyPath;
  readonly message: string;
  readonly remedy: string;
}

/** After so many the file is probably not TOML at all. */
const MOST_FAULTS = 20;

/** Deeper tables are refused: the schema has none, and what is made of keys must not cost stack. */
const DEEPEST = 24;

/**
 * Parses, and goes on after a syntax error: the statement that holds it is blanked out (a broken header with its
 * whole table) and the rest is parsed again, so that one run lists every fault.
 */
export function readToml(text: string): TomlReading {
  const broken: BrokenStatement[] = [];
  let sound = text;
  while (broken.length < MOST_FAULTS) {
    try {
      const root = parse(sound, { unsafeKeyBehaviour: 'throw', maxDepth: 20 });
      const path = tooDeep(root);
      if (path !== undefined) broken.push({ start: 0, path, problem: TOO_DEEP });
      return { root: path === undefined ? root : {}, sound, broken };
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      const { end, ...statement } = brokenStatement(sound, error);
      broken.push(statement);
      const rest = sound.slice(0, statement.start) + blank(sound.slice(statement.start, end)) + sound.slice(end);
      if (rest === sound) break;
      sound = rest;
    }
  }
  return { root: {}, sound: sound.slice(0, broken.at(-1)?.start), broken };
}

/** Says what is wrong with a broken statement. */
export function syntaxFault(broken: BrokenStatement, positions: TomlPositions): SyntaxFault {
  const { keys, problem } = broken;
  const table = keys === undefined ? undefined : positions.tableAt(broken.start);
  const path = broken.path ?? (table && keys ? [...table, ...keys] : []);
  const line = broken.line ?? positions.lineNear(path) ?? 1;
  if (problem.startsWith(REDEFINED)) {
    const first = positions.lineOf(path);
    const around = first === undefined ? path.slice(0, -1) : [];
    const whole = positions.lineOf(around);
    if (whole !== undefined) {
      const message = `${dotted(around)} is written as one value on line ${whole}, and nothing can be added to it here`;
      return { line, path, message, remedy: 'keep one of the two, or write it there' };
    }
    const where = first === undefined || first === line ? '' : ` on line ${first}`;
    const what = path.length === 0 ? 'this key' : dotted(path);
    return { line, path, message: `${what} is already defined${where}`, remedy: 'keep one of the two' };
  }
  if (broken.odd !== undefined) return { line, path, ...oddCharacter(broken.odd) };
  const [, message, remedy] = EXPLAINED.find(([start]) => problem.startsWith(start)) ?? UNEXPLAINED;
  return { line, path: problem === TOO_DEEP ? [] : path, message, remedy };
}

/** Control characters are allowed nowhere; the others may be in a text or a comment. */
const CONTROL = /[^\P{Cc}\t\r\n]|\r(?!\n|$)/u;
const QUOTED_OR_COMMENT = /"(?:[^"\\]|\\.)*"|'[^']*'|#.*/g;
const LOOKALIKE = /[\p{Cf}\p{Zl}\p{Zp}“”„‟‘’‚＝]|(?! )\p{Zs}/u;

function oddIn(line: string): string | undefined {
  return (CONTROL.exec(line) ?? LOOKALIKE.exec(line.replaceAll(QUOTED_OR_COMMENT, '')))?.[0];
}

function oddCharacter(odd: string): { readonly message: string; readonly remedy: string } {
  const name = `U+${(odd.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
  if (/[“”„‟‘’‚]/.test(odd))
    return { message: `the quotes are typographic ones (${name})`, remedy: 'write straight ones: "' };
  return {
    message: `there is a character that cannot be seen or is not what it looks like (${name})`,
    remedy: 'type the line again, in an editor that saves plain UTF-8',
  };
}

/** The parser limits only brackets and braces; dotted names may go as deep as the file is long. */
export function tooDeep(value: unknown, path: KeyPath = []): KeyPath | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (path.length > DEEPEST) return path;
  for (const [key, inner] of Object.entries(value)) {
    const found = tooDeep(inner, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** In lines; the end of a longer one is guessed. */
const LONGEST_VALUE = 100;

/** A table header, or the first half of one. */
const HEADER = /^[ \t]*\[{1,2}[ \t]*["'A-Za-z_\]][^,=#]*(?:#|$)/;
const PAIR = /^[ \t]*["'\w][\w."' \t-]*=/;

/** The statement with the error in it, to its end: what to leave out so that the rest may still be read. */
function brokenStatement(text: string, error: TomlError): BrokenStatement & { readonly end: number } {
  const lines = text.split(/(?<=\n)/);
  const starts = startsOf(lines);
  const first = firstLine(text, lines, starts, error.line);
  const statement = lines[first - 1] ?? '';
  const isHeader = /^[ \t]*\[/.test(statement);
  const problem = error.message.slice(0, error.message.indexOf('\n')).replace('Invalid TOML document: ', '');
  const opened = /=\s*(\[|\{|"""|''')/.exec(statement)?.[1];
  // A bracket or quote that is never closed swallows what follows; the next statement is where it should have ended.
  const isNext = (line: string, number: number) => {
    if (isHeader) return HEADER.test(line);
    if (problem.startsWith(REDEFINED) && number - first < LONGEST_VALUE) {
      return canBeRead(lines.slice(first - 1, number - 1).join(''));
    }
    if (opened === undefined && error.line <= first) return true;
    return number >= error.line && (HEADER.test(line) || (opened === '[' && PAIR.test(line)));
  };
  const found = lines.findIndex((line, at) => at >= first && isNext(line, at + 1));
  const next = found === -1 ? lines.length : found;
  const place = {
    line: error.line <= next ? error.line : first,
    start: starts[first - 1] ?? 0,
    end: starts[next] ?? text.length,
    problem,
    odd: oddIn(lines[error.line - 1] ?? ''),
  };
  return isHeader ? { ...place, path: headerPath(statement) } : { ...place, keys: leadingKeys(statement) };
}

function startsOf(lines: readonly string[]): readonly number[] {
  let at = 0;
  return lines.map((line) => {
    at += line.length;
    return at - line.length;
  });
}

/** So many characters are parsed again at most to find where a statement begins: the longest file a few times. */
const MOST_PARSED = 4 * 1024 * 1024;

/** A value may go over many lines: its statement begins on the nearest line above which everything can be read. */
function firstLine(text: string, lines: readonly string[], starts: readonly number[], errorLine: number): number {
  let parsed = 0;
  for (let line = Math.min(errorLine, lines.length); line > 0 && parsed < MOST_PARSED; line--) {
    const content = lines[line - 1] ?? '';
    if (line !== errorLine && !HEADER.test(content) && !PAIR.test(content)) continue;
    const before = text.slice(0, starts[line - 1]);
    parsed += before.length;
    if (canBeRead(before)) return line;
  }
  return errorLine;
}

function canBeRead(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

function headerPath(line: string): readonly string[] | undefined {
  return namesIn(`[${/^[ \t]*\[{1,2}([^\]#\r\n]*)/.exec(line)?.[1]}]`);
}

/** The names before the equals sign; a quoted one may have one too. */
function leadingKeys(line: string): readonly string[] | undefined {
  const ends = [...line.matchAll(/=/g)].slice(0, 4).map(({ index }) => index);
  return ends.map((end) => namesIn(`${line.slice(0, end)}= 0`)).find((names) => names !== undefined);
}

/** The names of a text that defines one key or table, by the parser's own rules for quotes and escapes. */
function namesIn(toml: string): readonly string[] | undefined {
  try {
    const names: string[] = [];
    for (let at: unknown = parse(toml); typeof at === 'object' && at !== null; ) {
      const [entry] = Object.entries(at);
      if (entry === undefined) break;
      names.push(entry[0]);
      at = entry[1];
    }
    return names.length === 0 ? undefined : names;
  } catch {
    return undefined;
  }
}

function blank(text: string): string {
  return text.replaceAll(/[^\r\n]/g, ' ');
}

const QUOTE = 'put text in double quotes, as in key = "value"; numbers, true and false have none';
const ESCAPE = "write \\\\ for a backslash, or use single quotes: '…'";
const REDEFINED = 'trying to redefine';
const TOO_DEEP = 'document contains excessively';

type Explanation = readonly [start: string, what: string, remedy: string];

const UNEXPLAINED: Explanation = ['', 'this is not valid TOML', QUOTE];

/** By how the parser's message begins. */
const EXPLAINED: readonly Explanation[] = [
  ['invalid value', 'the value is not valid TOML', QUOTE],
  ['illegal character in numeric', 'the value is neither a number nor text in quotes', QUOTE],
  ['unfinished numeric', 'the value is neither a number nor text in quotes', QUOTE],
  ['illegal leading zero', 'a number cannot begin with 0', 'leave the zero out, or put the value in double quotes'],
  ['illegal underscore', 'an underscore in a number is allowed between digits only', QUOTE],
  ['integer value', 'the number is too large', 'put the value in double quotes if it is text'],
  ['invalid date', 'the date or time is malformed', 'put the value in double quotes if it is text'],
  ['unfinished string', 'the text in quotes has no end', 'close it with the same quote on the same line'],
  ['control characters', 'there is a control character or line end in the text', 'close the quotes on the same line'],
  ['invalid non-hex', 'an escape in the text is malformed', ESCAPE],
  ['invalid unicode', 'an escape in the text is malformed', ESCAPE],
  ['invalid escape', 'an escape in the text is malformed', ESCAPE],
  ['unrecognised escape', 'an escape in the text is unknown', ESCAPE],
  ['each key-value', 'something follows the value on the same line', 'write each key on a line of its own'],
  ['unexpected end of key', 'there is no key', 'write key = "value", or a header like [providers.NAME]'],
  ['illegal empty bare key', 'a part of the key is empty', 'write names with single dots between them'],
  ['illegal quoted key', 'a key cannot be a multi-line text', 'write the key on one line'],
  ['illegal character in key', 'this is neither key = value nor a table header', 'write key = "value" or [table.NAME]'],
  ['incomplete key-value', 'this is neither key = value nor a table header', 'write key = "value" or [table.NAME]'],
  ['expected end of table array', 'the header has no end', 'close it as it was opened: [name] or [[name]]'],
  ['document contains an unsafe', '__proto__ and constructor cannot be names', 'choose another name'],
  [TOO_DEEP, 'the value is nested too deeply', 'write the keys that broker help configuration lists'],
  [
    'expected comma',
    'a comma or the closing bracket is missing',
    'separate the elements by commas and close the bracket',
  ],
  ['unfinished table', 'the braces have no end', 'close them with }'],
  ['unfinished array', 'the brackets have no end', 'close them with ]'],
];

/** A value as one would write it in the file, on one line. */
export function tomlValue(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${writtenKey(key)} = ${tomlValue(inner)}`);
    return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
  }
  return String(value);
}
