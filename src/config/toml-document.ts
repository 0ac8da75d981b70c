import { parse, TomlError, type TomlTable } from 'smol-toml';
import { dotted, type KeyPath } from './key-path.ts';
import { TomlPositions } from './toml-positions.ts';
import { DEEPEST } from './toml-scanner.ts';

export interface TomlDocument {
  readonly root: TomlTable;
  readonly positions: TomlPositions;
  readonly faults: readonly TomlFault[];
}

export interface TomlFault {
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
