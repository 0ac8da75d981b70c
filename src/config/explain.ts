import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { scrub } from '../platform/text.ts';
import { MASK, maskShapes } from './effective.ts';
import type { KeyFault } from './faults.ts';
import { dotted, type KeyPath, writtenKey } from './positions.ts';
import { tomlValue } from './toml.ts';
import {
  isHidden,
  isSecretKey,
  isTableSchema,
  keysOf,
  membersOf,
  schemaAt,
  type Table,
  unwrap,
  valueAt,
} from './walk.ts';

type Issue = z.core.$ZodIssue;

/** A table with the schema that it was checked by, for saying what is wrong with it. */
export interface CheckedTable {
  readonly schema: z.core.$ZodType;
  readonly value: Table;
  /** The path of the table in the file. */
  readonly base: KeyPath;
  /** Keys that are right in this table although its schema does not have them. */
  readonly moreKeys?: readonly string[];
  /** What to write for a key, where that depends on the rest of the file. */
  readonly examples?: Readonly<Record<string, string>>;
  /** Where a key belongs that is wrong here. */
  readonly placeOf?: (key: string, path: KeyPath) => string | undefined;
}

/** zod's issues in the words of the configuration: what is wrong, what to write instead. */
export function explainIssues(issues: readonly Issue[], table: CheckedTable): readonly KeyFault[] {
  // A schema's own words might repeat what it refused.
  const secrets = [...membersOf(table.value, table.schema, table.base)].flatMap((member) =>
    typeof member.value === 'string' && isHidden(member) ? [member.value] : [],
  );
  return issues
    .flatMap((issue) => explain(issue, table))
    .map((found) => ({
      ...found,
      message: scrub(found.message, secrets, MASK),
      remedy: scrub(found.remedy, secrets, MASK),
    }));
}

/** What an issue is about. */
interface Subject {
  readonly table: CheckedTable;
  /** In the table. */
  readonly path: KeyPath;
  /** undefined: there is nothing. */
  readonly found: unknown;
  /** What to write if nothing better is known. */
  readonly example: string;
}

function explain(issue: Issue, table: CheckedTable): readonly KeyFault[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  const subject = { table, path, found: valueAt(table.value, path), example: exampleFor(path, table) };
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, subject));
    case 'invalid_type':
      return [wrongKind([kindWord(issue.expected)], subject)];
    case 'invalid_value':
      return [noneOf(issue.values.map(String), subject)];
    case 'invalid_union':
      return explainUnion(issue, subject);
    case 'invalid_key':
      return [finding(subject, 'this name is not allowed', issue.issues[0]?.message || 'choose another name')];
    case 'too_small':
    case 'too_big':
      return [outOfBounds(issue, subject)];
    case 'invalid_format':
      return [finding(subject, ownMessage(issue) ?? `this is not a valid ${FORMATS[issue.format] ?? 'value'}`)];
    default: {
      const remedy = issue.code === 'custom' ? issue.params?.['remedy'] : undefined;
      return [finding(subject, ownMessage(issue) ?? 'the value is not allowed', remedy)];
    }
  }
}

function finding({ table, path, example }: Subject, message: string, remedy: unknown = example): KeyFault {
  return { path: [...table.base, ...path], message, remedy: typeof remedy === 'string' ? remedy : example };
}

function missing(subject: Subject, remedy = subject.example): KeyFault {
  return { ...finding(subject, 'this key is missing', remedy), absence: true };
}

function wrongKind(kinds: readonly string[], subject: Subject): KeyFault {
  if (subject.found === undefined) return missing(subject);
  return finding(subject, `this is ${kindOf(subject.found)}, not ${orList([...new Set(kinds)])}`);
}

/** @param kinds what is allowed besides these words. */
function noneOf(words: readonly string[], subject: Subject, kinds: readonly string[] = []): KeyFault {
  const { table, path, found } = subject;
  const left = path.length === 0 ? '' : leftSide(path);
  const near = typeof found === 'string' ? nearest(found, words) : undefined;
  const remedy = `write ${left}${near === undefined ? orList(words.map(tomlValue)) : tomlValue(near)}`;
  if (found === undefined) return missing(subject, remedy);
  const schema = schemaAt(table.schema, path, table.value);
  const isHidden = isSecretKey(String(path.at(-1)), schema, table.base[0] === 'credentials');
  const shown = isHidden || typeof found === 'object' ? 'the value' : maskShapes(shorten(tomlValue(found)));
  return finding(subject, `${shown} is none of ${orList([...kinds, ...words])}`, remedy);
}

function unknownKey(key: string, { table, path, found }: Subject): KeyFault {
  const schema = schemaAt(table.schema, path, table.value);
  const own = schema === undefined ? [] : keysOf(schema, found);
  const known = path.length === 0 ? [...new Set([...own, ...(table.moreKeys ?? [])])] : own;
  const around = [...table.base, ...path];
  const near = nearest(key, known);
  const place = table.placeOf?.(key, path);
  const where = around.length === 0 ? 'at the top of the file' : `in [${dotted(around)}]`;
  let remedy = `remove it; the keys ${where} are ${known.toSorted().join(', ')}`;
  if (place !== undefined) remedy = `move it: ${writtenKey(key)} belongs ${place}`;
  else if (near !== undefined) remedy = `write ${near}`;
  else if (known.length === 0) remedy = 'remove it';
  return { path: [...around, key], message: `there is no key ${writtenKey(key)} ${where}`, remedy };
}

function explainUnion(issue: z.core.$ZodIssueInvalidUnion, subject: Subject): readonly KeyFault[] {
  const { options } = issue as { options?: readonly unknown[] };
  if (options !== undefined) return [noneOf(options.map(String), subject)];
  const refusals = issue.errors.map((branch) => branch.find(isRefusalOfKind));
  if (refusals.every((refusal) => refusal !== undefined)) {
    const values = refusals.flatMap((refusal) => (refusal.code === 'invalid_value' ? refusal.values.map(String) : []));
    const kinds = refusals.flatMap((refusal) => (refusal.code === 'invalid_type' ? [kindWord(refusal.expected)] : []));
    return [
      values.length > 0 && subject.found !== undefined ? noneOf(values, subject, kinds) : wrongKind(kinds, subject),
    ];
  }
  const [best = []] = issue.errors
    .filter((_, index) => refusals[index] === undefined)
    .toSorted((a, b) => a.length - b.length);
  return best.flatMap((inner) => explain({ ...inner, path: [...issue.path, ...inner.path] }, subject.table));
}

/** The branch of the union is not meant at all, for the value is of another kind. */
function isRefusalOfKind(issue: Issue): issue is z.core.$ZodIssueInvalidType | z.core.$ZodIssueInvalidValue {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
}

function outOfBounds(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, subject: Subject): KeyFault {
  const { found, example } = subject;
  const isSmall = issue.code === 'too_small';
  const bound = isSmall ? issue.minimum : issue.maximum;
  let message = isSmall ? 'the value is too short' : 'the value is too long';
  if (issue.origin === 'number' || issue.origin === 'int') message = `the number is too ${isSmall ? 'small' : 'large'}`;
  else if (isSmall && found === '') message = 'the text is empty';
  else if (isSmall && Array.isArray(found) && found.length === 0) message = 'the array is empty';
  const noun = { string: 'character', array: 'element' }[issue.origin as string];
  const unit = noun === undefined ? '' : ` ${noun}${bound === 1 ? '' : 's'}`;
  const as = example.startsWith('write ') && !example.includes('…') ? `, as in ${example.slice('write '.length)}` : '';
  return finding(subject, message, `write at ${isSmall ? 'least' : 'most'} ${bound}${unit}${as}`);
}

const FORMATS: Record<string, string> = { url: 'URL', regex: 'value', email: 'address', uuid: 'UUID' };

/** What the schema says itself; zod's own sentences all begin with these words. */
function ownMessage({ message }: Issue): string | undefined {
  return message === '' || /^(?:Invalid|Too (?:small|big)|Unrecognized)\b/.test(message) ? undefined : message;
}

/** What to write at `path`, by the schema there: its example, its default, the value itself in quotes, or its form. */
function exampleFor(path: KeyPath, table: CheckedTable): string {
  const key = String([...path].reverse().find((part) => typeof part === 'string') ?? '');
  if (path.length === 1 && table.examples?.[key] !== undefined) return table.examples[key];
  const schema = schemaAt(table.schema, path, table.value);
  if (schema === undefined) return `write what broker help configuration says about ${writtenKey(key)}`;
  const found = valueAt(table.value, path);
  const { core, meta, written } = unwrap(schema);
  const { type } = core._zod.def;
  const left = leftSide(path);
  if (type === 'boolean') return `write ${left}true or false`;
  if (isListOfTexts(core._zod) && typeof found === 'string' && !isSecretKey(key, schema)) {
    // A command written as one line; behind a flag there might be a secret.
    const words = found.split(/\s+/).filter((word) => word !== '');
    if (words.length > 0 && !/["'\\$`|=]|(?:^|\s)-/.test(found))
      return `write ${left}${maskShapes(shorten(tomlValue(words)))}`;
  }
  const [example] = Array.isArray(meta['examples']) ? meta['examples'] : [];
  if (example !== undefined) return `write ${left}${tomlValue(example)}`;
  if (written !== undefined && typeof written !== 'object') return `write ${left}${tomlValue(written)}`;
  const isScalar = typeof found === 'number' || typeof found === 'boolean';
  if (type === 'string' && isScalar && !isSecretKey(key, schema)) {
    return `write ${left}${maskShapes(shorten(tomlValue(String(found))))}`;
  }
  if (isTableSchema(schema)) return `write a table: [${dotted([...table.base, ...path])}]`;
  return `write ${left}${placeholder(core)}${aside(meta.description)}`;
}

function leftSide(path: KeyPath): string {
  const last = path.at(-1);
  return typeof last === 'number' ? 'elements like ' : `${writtenKey(String(last ?? ''))} = `;
}

function isListOfTexts({ def }: ReturnType<typeof unwrap>['core']['_zod']): boolean {
  return def.type === 'array' && unwrap(def.element).core._zod.def.type === 'string';
}

function shorten(words: string): string {
  return words.length > 60 ? `${words.slice(0, 59)}…` : words;
}

function placeholder(core: ReturnType<typeof unwrap>['core']): string {
  const { def } = core._zod;
  if ('format' in def && def.format === 'url') return '"https://…"';
  return PLACEHOLDERS[def.type] ?? '…';
}

const PLACEHOLDERS: Record<string, string> = {
  string: '"…"',
  number: '1',
  array: '["…"]',
  record: '{ name = "…" }',
};

/** Where there is no example, at least what the key is: the first sentence of its description. */
function aside(description: string | undefined): string {
  const sentence = description?.match(/^.*?[.:](?=\s|$)/)?.[0].replace(/[.:]$/, '');
  return sentence === undefined ? '' : ` (${sentence})`;
}

/**
 * The candidate that `word` was most likely meant to be; undefined if none is near. `apiKey`, `api-key` and `API_KEY`
 * are all next to `api_key`.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(word.slice(0, 100));
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const plainCandidate = plain(candidate);
    const d = swapped(wanted, plainCandidate) ? 1 : distance(wanted, plainCandidate);
    const longer = Math.max(wanted.length, plainCandidate.length);
    const near = d <= Math.max(1, Math.floor((longer + 1) / 3)) && d < longer;
    const begins = wanted.length >= 3 && (plainCandidate.startsWith(wanted) || wanted.startsWith(plainCandidate));
    const rank = near ? d : begins ? d + 100 : Number.POSITIVE_INFINITY;
    if (rank < bestDistance) {
      best = candidate;
      bestDistance = rank;
    }
  }
  return best;
}

/** What was most likely meant, or the first of what there is, as TOML writes it. */
export function nearOrAll(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? orList(known.slice(0, 10).map(tomlValue)) : tomlValue(near);
}

/** The same letters in another order, as fingers type them. */
function swapped(a: string, b: string): boolean {
  return a.length > 2 && a !== b && [...a].sort().join() === [...b].sort().join();
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_. ]/g, '');
}

/** `a number`, `a table` …: what a value is, in the words of TOML. */
export function kindOf(value: unknown): string {
  if (value instanceof Date) return 'a date';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'a table';
  return KIND_WORDS[typeof value] ?? 'something else';
}

/** The same for a type that a schema expects. */
function kindWord(expected: string): string {
  return KIND_WORDS[expected] ?? expected;
}

const KIND_WORDS: Record<string, string> = {
  string: 'text in quotes',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'a table',
  record: 'a table',
  date: 'a date',
};

/** `a, b or c`. */
function orList(words: readonly string[]): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} or ${last}`;
}
