import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { BrokerError } from '../errors.ts';
import { scrub } from '../platform/text.ts';
import { MASK, maskShapes } from './effective.ts';
import type { Contributions } from './environment.ts';
import { dotted, type KeyPath, pathId, type TomlPositions, writtenKey } from './positions.ts';
import { tomlValue } from './toml.ts';
import { isSecretKey, isTableSchema, keysOf, membersOf, schemaAt, type Table, unwrap, valueAt } from './walk.ts';

type Issue = z.core.$ZodIssue;

/** A table with the schema that it was checked by, for saying what is wrong with it. */
interface CheckedTable {
  readonly schema: z.core.$ZodType;
  readonly value: Table;
  /** The path of the table in the file. */
  readonly base: KeyPath;
  /** Keys that are right in this table although its schema does not have them. */
  readonly moreKeys?: readonly string[];
  /** Where a key belongs that is wrong here. */
  readonly placeOf?: (key: string) => string | undefined;
}

/** zod's issues in the words of the configuration: what is wrong, what to write instead. */
export function explainIssues(issues: readonly Issue[], table: CheckedTable): readonly Finding[] {
  // A schema's own words might repeat what it refused.
  const secrets = [...membersOf(table.value, table.schema, table.base)].flatMap(({ value, isSecret }) =>
    isSecret && typeof value === 'string' ? [value] : [],
  );
  return issues
    .flatMap((issue) => explain(issue, table))
    .map((found) => ({
      ...found,
      message: scrub(found.message, secrets, MASK),
      remedy: scrub(found.remedy, secrets, MASK),
    }));
}

function explain(issue: Issue, table: CheckedTable): readonly Finding[] {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  const found = valueAt(table.value, path);
  const at = [...table.base, ...path];
  const example = exampleFor(path, table);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, path, table));
    case 'invalid_type':
      if (found === undefined) return [missing(at, example)];
      return [finding(at, `this is ${kindOf(found)}, not ${kindWord(issue.expected)}`, example)];
    case 'invalid_value': {
      if (found === undefined) return [missing(at, oneOf(issue.values.map(String), path.at(-1)))];
      return [noneOf(found, issue.values.map(String), at, path, table)];
    }
    case 'invalid_union':
      return explainUnion(issue, table, path, example);
    case 'invalid_key': {
      const reason = issue.issues[0]?.message ?? '';
      return [finding(at, 'this name is not allowed', reason === '' ? 'choose another name' : reason)];
    }
    case 'too_small':
      return [
        finding(
          at,
          issue.origin === 'number' || issue.origin === 'int' ? 'the number is too small' : emptyWord(found),
          `write ${limit(issue.minimum, 'at least', issue.origin)}${examplePart(example)}`,
        ),
      ];
    case 'too_big':
      return [
        finding(
          at,
          issue.origin === 'number' || issue.origin === 'int' ? 'the number is too large' : 'the value is too long',
          `write ${limit(issue.maximum, 'at most', issue.origin)}${examplePart(example)}`,
        ),
      ];
    case 'invalid_format':
      return [finding(at, ownMessage(issue) ?? `this is not a valid ${FORMATS[issue.format] ?? 'value'}`, example)];
    case 'custom': {
      const remedy = issue.params?.['remedy'];
      const message = ownMessage(issue) ?? 'the value is not allowed';
      return [finding(at, message, typeof remedy === 'string' ? remedy : example)];
    }
    default:
      return [finding(at, ownMessage(issue) ?? 'the value is not allowed', example)];
  }
}

function unknownKey(key: string, path: KeyPath, table: CheckedTable): Finding {
  const schema = schemaAt(table.schema, path, table.value);
  const own = schema === undefined ? [] : keysOf(schema, valueAt(table.value, path));
  const known = path.length === 0 ? [...new Set([...own, ...(table.moreKeys ?? [])])] : own;
  const at = [...table.base, ...path, key];
  const near = nearest(key, known);
  const place = table.placeOf?.(key);
  const where =
    table.base.length + path.length === 0 ? 'at the top of the file' : `in [${dotted([...table.base, ...path])}]`;
  let remedy = `remove it; the keys ${where} are ${known.toSorted().join(', ')}`;
  if (place !== undefined) remedy = `move it: ${writtenKey(key)} belongs ${place}`;
  else if (near !== undefined) remedy = `write ${near}`;
  else if (known.length === 0) remedy = 'remove it';
  return finding(at, `there is no key ${writtenKey(key)} ${where}`, remedy);
}

function explainUnion(
  issue: z.core.$ZodIssueInvalidUnion,
  table: CheckedTable,
  path: KeyPath,
  example: string,
): readonly Finding[] {
  const at = [...table.base, ...path];
  const found = valueAt(table.value, path);
  const { options } = issue as { options?: readonly unknown[] };
  if (options !== undefined) {
    const words = options.map(String);
    if (found === undefined) return [missing(at, oneOf(words, path.at(-1)))];
    return [noneOf(found, words, at, path, table)];
  }
  const branches = issue.errors;
  const refusals = branches.map((branch) => branch.find((inner) => inner.path.length === 0 && isKindOfRefusal(inner)));
  if (refusals.every((refusal) => refusal !== undefined)) {
    if (found === undefined) return [missing(at, example)];
    const values = refusals.flatMap((refusal) => (refusal.code === 'invalid_value' ? refusal.values.map(String) : []));
    const kinds = refusals.flatMap((refusal) => (refusal.code === 'invalid_type' ? [kindWord(refusal.expected)] : []));
    if (values.length > 0) return [noneOf(found, values, at, path, table, kinds)];
    return [finding(at, `this is ${kindOf(found)}, not ${orList([...new Set(kinds)])}`, example)];
  }
  const [best = []] = branches
    .filter((_, index) => refusals[index] === undefined)
    .toSorted((a, b) => a.length - b.length);
  return best.flatMap((inner) => explain({ ...inner, path: [...issue.path, ...inner.path] }, table));
}

/** The branch of the union is not meant at all, for the value is of another kind. */
function isKindOfRefusal(issue: Issue): issue is z.core.$ZodIssueInvalidType | z.core.$ZodIssueInvalidValue {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value';
}

function noneOf(
  found: unknown,
  words: readonly string[],
  at: KeyPath,
  path: KeyPath,
  table: CheckedTable,
  kinds: readonly string[] = [],
): Finding {
  const key = String(path.at(-1) ?? '');
  const near = typeof found === 'string' ? nearest(found, words) : undefined;
  const hidden = isSecretKey(key, schemaAt(table.schema, path, table.value), table.base[0] === 'credentials');
  const shown = hidden || typeof found === 'object' ? 'the value' : maskShapes(shorten(tomlValue(found)));
  return finding(
    at,
    `${shown} is none of ${orList([...kinds, ...words])}`,
    near === undefined ? oneOf(words, key) : `write ${key} = ${tomlValue(near)}`,
  );
}

function oneOf(words: readonly string[], key?: string | number): string {
  const prefix = key === undefined ? '' : `${key} = `;
  return `write ${prefix}${orList(words.map(tomlValue))}`;
}

const FORMATS: Record<string, string> = { url: 'URL', regex: 'value', email: 'address', uuid: 'UUID' };

function missing(at: KeyPath, remedy: string): Finding {
  return { path: at, message: 'this key is missing', remedy, absence: true };
}

function finding(path: KeyPath, message: string, remedy: string): Finding {
  return { path, message, remedy };
}

/** What the schema says itself; zod's own sentences all begin with these words. */
function ownMessage({ message }: Issue): string | undefined {
  return message === '' || /^(?:Invalid|Too (?:small|big)|Unrecognized)\b/.test(message) ? undefined : message;
}

function emptyWord(found: unknown): string {
  if (found === '') return 'the text is empty';
  return Array.isArray(found) && found.length === 0 ? 'the array is empty' : 'the value is too short';
}

function limit(bound: number | bigint, word: string, origin: string): string {
  const unit = origin === 'string' ? ' characters' : origin === 'array' ? ' elements' : '';
  return `${word} ${bound}${bound === 1 && unit !== '' ? unit.slice(0, -1) : unit}`;
}

function examplePart(example: string): string {
  return example.startsWith('write ') && !example.includes('…') ? `, as in ${example.slice('write '.length)}` : '';
}

/** What to write at `path`, by the schema there: its example, its default, the value itself in quotes, or its form. */
function exampleFor(path: KeyPath, table: CheckedTable): string {
  const key = String([...path].reverse().find((part) => typeof part === 'string') ?? '');
  const schema = schemaAt(table.schema, path, table.value);
  if (schema === undefined) return `write what docs/configuration.md says about ${writtenKey(key)}`;
  const found = valueAt(table.value, path);
  const { core, meta, written } = unwrap(schema);
  const { type } = core._zod.def;
  const left = typeof path.at(-1) === 'number' ? 'elements like ' : `${writtenKey(key)} = `;
  if (type === 'boolean') return `write ${left}true or false`;
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

/** The same letters in another order, as fingers type them. */
function swapped(a: string, b: string): boolean {
  return a.length > 2 && a !== b && [...a].sort().join() === [...b].sort().join();
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_. ]/g, '');
}

/** One thing that is wrong with a configuration file. No part of it ever holds a secret from the file. */
export interface ConfigFault {
  readonly file: string;
  /** Counted from 1; undefined where the fault is the file itself, or comes from the environment. */
  readonly line: number | undefined;
  /** Dotted key path; undefined where no key is meant. */
  readonly key: string | undefined;
  /** What is wrong. */
  readonly message: string;
  /** What to write instead, or the command to run. */
  readonly remedy: string;
}

/** `FILE:LINE: KEY: what is wrong`, as editors and grep read it, and below it what to do. */
export function describeFault(fault: ConfigFault): string {
  const place = fault.line === undefined ? fault.file : `${fault.file}:${fault.line}`;
  const key = fault.key === undefined ? '' : `${fault.key}: `;
  return `${place}: ${key}${fault.message}\n  hint: ${fault.remedy}`;
}

/** In the order of the file, each only once. */
export function inFileOrder(faults: readonly ConfigFault[]): readonly ConfigFault[] {
  const unique = new Map(faults.map((fault) => [describeFault(fault), fault]));
  return [...unique.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

/** All faults as one error. */
export function configError(faults: readonly ConfigFault[]): BrokerError {
  const [first] = faults;
  if (faults.length === 1 && first !== undefined) {
    const place = first.line === undefined ? first.file : `${first.file}:${first.line}`;
    const key = first.key === undefined ? '' : `${first.key}: `;
    return new BrokerError('ERR_CONFIG', `${place}: ${key}${first.message}`, { remedy: first.remedy });
  }
  const list = faults.map((fault) => `\n${describeFault(fault)}`).join('');
  return new BrokerError('ERR_CONFIG', `the configuration has ${faults.length} faults${list}`, {
    remedy: 'fix them, then run: broker config validate',
  });
}

/** What is wrong at one place of the file, before it is known which line that is. */
interface Finding {
  readonly path: KeyPath;
  readonly message: string;
  readonly remedy: string;
  /** Something is missing. Not reported beside syntax errors, which may have swallowed it. */
  readonly absence?: boolean;
}

/** Collects what is wrong. */
export class Findings {
  readonly faults: Finding[] = [];
  readonly warnings: Finding[] = [];
  readonly #isIncomplete: boolean;

  /** @param isIncomplete parts of the file could not be read. */
  constructor(isIncomplete: boolean) {
    this.#isIncomplete = isIncomplete;
  }

  add(...findings: readonly Finding[]): void {
    this.faults.push(...findings.filter(({ absence }) => absence !== true || !this.#isIncomplete));
  }

  warn(finding: Finding): void {
    this.warnings.push(finding);
  }
}

interface Whereabouts {
  readonly file: string;
  readonly positions: TomlPositions;
  readonly contributions: Contributions;
}

/** Says where a finding is; `line` where that is known already. */
export function locate(found: Finding & { readonly line?: number }, where: Whereabouts): ConfigFault {
  const { path, message, remedy } = found;
  const variable = where.contributions.get(pathId(path));
  return {
    file: where.file,
    line: found.line ?? where.positions.lineNear(path),
    key: path.length === 0 ? undefined : maskShapes(dotted(path)),
    message: maskShapes(variable === undefined ? message : `${message} (from the environment variable ${variable})`),
    remedy: maskShapes(variable === undefined ? remedy : `correct or unset ${variable}, or ${remedy}`),
  };
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
export function orList(words: readonly string[]): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} or ${last}`;
}
