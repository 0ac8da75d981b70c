import { type Assignment as AssignmentNode, type Command, forEachChild, type SyntaxNode, type Word } from 'unbash';
import { parseScript, type Script, type Span, type Spanned } from './script.ts';

/** One place in a file that gives a variable a value, or takes it away. */
export interface Assignment {
  readonly file: string;
  readonly name: string;
  /** Secret. undefined: computed when the shell runs. */
  readonly value: string | undefined;
  /** First and last line, counted from 1. */
  readonly line: number;
  readonly lastLine: number;
  /** What the place is in: a function, a condition or loop, a subshell, or one command or alias alone. */
  readonly scope: Scope;
  /** Whether a new shell hands the variable on to what it starts: yes · perhaps, a condition decides · no. */
  readonly exported: 'yes' | 'perhaps' | 'no';
  /** How the assignment, and nothing else, is taken out; undefined: not by changing this text alone. */
  readonly removal: Removal | undefined;
}

export type Scope = 'top' | 'condition' | 'function' | 'subshell' | 'command';

export interface Removal extends Span {
  readonly replacement: string;
  /** The text that goes; secret where it holds the value. */
  readonly removed: string;
  /** It stands at the top of the file, on a line of its own command, and its value has no side effect. */
  readonly isSafe: boolean;
}

/** An assignment while shells are followed; `exported` only ever grows. */
export type TrackedAssignment = { -readonly [Key in keyof Assignment]: Assignment[Key] };

/** A word that sets a variable: its name. */
export const ASSIGNMENT = /^([A-Za-z_]\w*)\+?=/;
export const DECLARERS: ReadonlySet<string> = new Set(['export', 'declare', 'typeset', 'readonly', 'local']);
const SUBSHELLS = new Set([
  'Subshell',
  'CommandExpansion',
  'ProcessSubstitution',
  'Coproc',
  'ArithmeticCommandExpansion',
]);
const CONDITIONS = new Set(['If', 'While', 'For', 'ArithmeticFor', 'Select', 'Case', 'AndOr']);
/** Words before a command that is run all the same. */
const FORERUNNERS = new Set(['command', 'builtin', 'noglob', 'nocorrect', 'exec']);

export type AssigningNode = AssignmentNode | Word;

/** Every assignment in a script, whatever becomes of it. */
export function placesIn(file: string, script: Script): Map<AssigningNode, TrackedAssignment> {
  const found = new Map<AssigningNode, TrackedAssignment>();
  const visit = (node: SyntaxNode, scope: Scope): void => {
    let inner = scope;
    if (node.type === 'Statement') {
      if (node.background) inner = 'subshell';
    } else if (node.type === 'Function') inner = 'function';
    else if (SUBSHELLS.has(node.type)) inner = 'subshell';
    else if (node.type === 'Pipeline' && node.commands.length > 1) inner = 'subshell';
    else if (CONDITIONS.has(node.type) && scope === 'top') inner = 'condition';
    else if (node.type === 'Command') for (const place of placesOf(file, script, node, scope)) found.set(...place);
    forEachChild(node, (child) => visit(child, inner));
  };
  visit(script.root, 'top');
  return found;
}

function placesOf(file: string, script: Script, command: Command, scope: Scope): [AssigningNode, TrackedAssignment][] {
  const given = commandWords(command);
  const [name] = given;
  const make = (node: AssigningNode, variable: string, value: string | undefined, inner: Scope = scope) => {
    const { start, end } = script.spanOf(node);
    const removal = inner === 'command' ? undefined : removalOf(script, command, node, scope);
    const [line, lastLine] = [script.lineAt(start), script.lineAt(Math.max(start, end - 1))];
    const place: TrackedAssignment = {
      file,
      name: variable,
      value,
      line,
      lastLine,
      scope: inner,
      exported: 'no',
      removal,
    };
    return [node, place] as [AssigningNode, TrackedAssignment];
  };
  const own = command.prefix.filter((part) => part.type === 'Assignment');
  const places = own.map((node) =>
    make(node, node.name, literalOf(node.value), name === undefined ? scope : 'command'),
  );
  for (const part of command.args) {
    if (name === 'alias')
      places.push(...inAlias(part).map(([variable, value]) => make(part, variable, value, 'command')));
    else if (name !== undefined && DECLARERS.has(name)) {
      const [variable, value] = assigned(part) ?? [];
      if (variable !== undefined) places.push(make(part, variable, value));
    } else if (name === 'env') {
      const [variable, value] = assigned(part) ?? [];
      if (variable === undefined && part !== command.args[0]) break;
      if (variable !== undefined) places.push(make(part, variable, value, 'command'));
    }
  }
  return places;
}

/** The command's name and words without those that only say how it is looked up; assignments as they are written. */
export function commandWords({ name, args }: Command): string[] {
  if (name === undefined) return [];
  const words = [name.value, ...args.map((part) => (part.type === 'Word' ? part.value : part.text))];
  const first = words.findIndex((word) => !FORERUNNERS.has(word));
  return words.slice(Math.max(0, first)).map((word, at) => (at === 0 ? word.replace(/^\\/, '') : word));
}

/** Name and value of `NAME=value` in either form in which the parser has it. */
function assigned(part: AssigningNode): [name: string, value: string | undefined] | undefined {
  if (part.type === 'Assignment') return [part.name, literalOf(part.value)];
  const name = ASSIGNMENT.exec(part.value)?.[1];
  const value = literalOf(part);
  return name === undefined ? undefined : [name, value?.slice(value.indexOf('=') + 1)];
}

function inAlias(part: AssigningNode): [name: string, value: string | undefined][] {
  const text = assigned(part)?.[1];
  if (text === undefined) return [];
  return [...placesIn('', parseScript(text, 'bash')).values()].map(({ name, value }) => [name, value]);
}

/** What a word is without running anything; undefined if that depends. */
export function literalOf(word: AssignmentNode['value']): string | undefined {
  if (word.type === 'ArrayValue') return undefined;
  return (word.parts ?? []).every(isLiteral) ? word.value : undefined;
}

/** It is what it looks like, whatever runs around it. */
export function isLiteral(part: SyntaxNode): boolean {
  if (part.type === 'DoubleQuoted' || part.type === 'LocaleString') return part.parts.every(isLiteral);
  return ['Literal', 'SingleQuoted', 'AnsiCQuoted', 'Glob', 'BraceExpansion', 'ExtendedGlob'].includes(part.type);
}

/**
 * Of `export A=1 KEY=v PATH=…` only the assignment goes, with the white space before it; a command of which nothing would be
 * left becomes `:`, which is a command wherever one has to be.
 */
function removalOf(script: Script, command: Command, node: AssigningNode, scope: Scope): Removal | undefined {
  const options = command.args.filter((part) => part.type === 'Word' && /^[-+]/.test(part.value));
  const parts = [...command.prefix.filter((part) => part.type === 'Assignment'), ...command.args];
  const isOnly =
    parts.every((part) => part === node || options.includes(part as Word)) && command.redirects.length === 0;
  const before = [...(command.name === undefined ? [] : [command.name]), ...parts].filter(({ end }) => end <= node.pos);
  const next = parts.find(({ pos }) => pos >= node.end);
  const previous = before.toSorted((a, b) => a.end - b.end).at(-1);
  const whole = script.spanOf(command);
  const own = script.spanOf(node);
  const span = isOnly
    ? whole
    : previous !== undefined
      ? { start: script.spanOf(previous).end, end: own.end }
      : next !== undefined
        ? { start: own.start, end: script.spanOf(next).start }
        : undefined;
  if (span === undefined) return undefined;
  const lines = [whole.start, whole.end - 1].map(script.lineAt);
  const at = script.root.commands.findIndex((statement) => statement.command === command && !statement.background);
  const following = script.root.commands[at + 1];
  // Its exit status is that of the `$(…)` in its value.
  const isAsked = following !== undefined && /\$\?/.test(sourceOf(script, following));
  return {
    ...span,
    removed: script.source.slice(span.start, span.end),
    replacement: isOnly ? ':' : '',
    isSafe: scope === 'top' && at !== -1 && !isAsked && lines[0] === lines[1] && !hasSideEffect(node),
  };
}

function sourceOf({ source, spanOf }: Script, node: Spanned): string {
  const { start, end } = spanOf(node);
  return source.slice(start, end);
}

/** `${x:=…}`, `$((x++))`: what it does besides giving a value would be lost. */
function hasSideEffect(node: SyntaxNode): boolean {
  if (node.type === 'ArithmeticExpansion' || node.type === 'ProcessSubstitution') return true;
  if (
    node.type === 'ParameterExpansion' &&
    node.operation?.type === 'Default' &&
    /[=?]/.test(node.operation.operator)
  ) {
    return true;
  }
  let found = false;
  forEachChild(node, (child) => {
    found ||= hasSideEffect(child);
  });
  return found;
}
