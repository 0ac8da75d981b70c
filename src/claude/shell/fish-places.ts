import type { FishCommand, FishScript, FishStatement, FishWord } from './fish-script.ts';
import { ASSIGNMENT, type Removal, type Scope, type TrackedAssignment } from './places.ts';

/** Every assignment in a script of fish that sets a variable by name. */
export function fishPlacesIn(file: string, script: FishScript): Map<FishCommand, TrackedAssignment> {
  const found = new Map<FishCommand, TrackedAssignment>();
  const visit = (statements: readonly FishStatement[], scope: Scope): void => {
    for (const [index, statement] of statements.entries()) {
      const isJoined = statement.link !== 'next' || (statements[index + 1]?.link ?? 'next') !== 'next';
      const inner = isJoined && scope === 'top' ? 'condition' : scope;
      if (statement.kind === 'command') {
        const place = fishPlace(file, script, statement, inner);
        if (place !== undefined) found.set(statement, place);
      } else {
        const within = statement.type === 'function' ? 'function' : scope === 'top' ? 'condition' : scope;
        for (const { condition, body } of statement.branches) {
          visit(condition ?? [], within);
          visit(body, within);
        }
      }
    }
  };
  visit(script.statements, 'top');
  return found;
}

function fishPlace(
  file: string,
  script: FishScript,
  command: FishCommand,
  scope: Scope,
): TrackedAssignment | undefined {
  const words = withoutForerunners(command.words);
  const [first, ...rest] = words;
  const make = (name: string, value: string | undefined, inner: Scope = scope): TrackedAssignment => {
    const [line, lastLine] = [script.lineAt(command.start), script.lineAt(command.end - 1)];
    return {
      file,
      name,
      value,
      line,
      lastLine,
      scope: inner,
      exported: 'no',
      removal: removalOf(script, command, scope, inner),
    };
  };
  if (first?.literal === 'set') {
    const { flags, name, values } = setArguments(rest);
    if (name?.literal === undefined || flags.has('e') || flags.has('q')) return undefined;
    return make(
      name.literal,
      values.every(({ literal }) => literal !== undefined) ? values.map(({ literal }) => literal).join(' ') : undefined,
    );
  }
  const isExport = first?.literal === 'export';
  const word = isExport ? rest[0] : first;
  if (word === undefined || (!isExport && command.words.length < 2)) return undefined;
  const name = ASSIGNMENT.exec(literalStart(word))?.[1];
  if (name === undefined) return undefined;
  const value = word.literal?.slice(word.literal.indexOf('=') + 1);
  return make(name, value, isExport ? scope : 'command');
}

function removalOf(script: FishScript, command: FishCommand, scope: Scope, inner: Scope): Removal | undefined {
  if (inner === 'command') return undefined;
  const { start, end } = command;
  const isExportOfSeveral = command.words[0]?.literal === 'export' && command.words.length > 2;
  if (isExportOfSeveral) return undefined;
  const isOneLine = script.lineAt(start) === script.lineAt(end - 1);
  const isAsked = /^[^\n]*\n[^\n]*\$status/.test(script.source.slice(end, end + 400));
  return {
    start,
    end,
    removed: script.source.slice(start, end),
    replacement: ':',
    isSafe: scope === 'top' && isOneLine && !isAsked,
  };
}

/** What follows `builtin` and `command`. */
export function withoutForerunners(words: readonly FishWord[]): readonly FishWord[] {
  const first = words.findIndex(({ literal }) => literal !== 'builtin' && literal !== 'command');
  return first === -1 ? [] : words.slice(first);
}

/** Up to the first variable or command in it. */
export function literalStart({ parts }: FishWord): string {
  const [first] = parts;
  return first?.kind === 'text' ? first.text : '';
}

const LONG_FLAGS: Readonly<Record<string, string>> = {
  export: 'x',
  unexport: 'u',
  universal: 'U',
  global: 'g',
  local: 'l',
  function: 'f',
  erase: 'e',
  query: 'q',
  append: 'a',
  prepend: 'p',
  path: '',
  unpath: '',
};

/** The arguments of `set`: flags by their letters, the variable's name, its values. */
export function setArguments(words: readonly FishWord[]): {
  flags: ReadonlySet<string>;
  name: FishWord | undefined;
  values: readonly FishWord[];
} {
  const end = words.findIndex(({ literal }) => literal === undefined || !/^-./.test(literal));
  const options = end === -1 ? words : words.slice(0, end);
  const flags = new Set(
    options.flatMap(({ literal = '' }) =>
      literal.startsWith('--') ? [LONG_FLAGS[literal.slice(2)] ?? ''] : [...literal.slice(1)],
    ),
  );
  const [name, ...values] = end === -1 ? [] : words.slice(end);
  return {
    flags,
    name,
    values: values.filter(({ literal }) => !/^--?(path|unpath|export|x|g|gx|l)$/.test(literal ?? '')),
  };
}
