import type { z } from 'zod';
import type { CheckedTable } from './checked-table.ts';
import { exampleFor, shorten } from './example.ts';
import type { Finding } from './findings.ts';
import { dotted, type KeyPath, writtenKey } from './key-path.ts';
import { isSecret, maskShapes, redactor } from './mask.ts';
import { nearest } from './nearest.ts';
import { keysOf, schemaAt, valueAt } from './schema-walk.ts';
import { kindOf, kindWord, orList, tomlValue } from './toml-words.ts';

type Issue = z.core.$ZodIssue;

/** zod's issues in the words of the configuration: what is wrong, what to write instead. */
export function explainIssues(issues: readonly Issue[], table: CheckedTable): readonly Finding[] {
  // A schema's own words might repeat what it refused.
  const redact = redactor(table.value, table.schema, table.base[0] === 'credentials');
  return issues
    .flatMap((issue) => explain(issue, table))
    .map((found) => ({ ...found, message: redact(found.message), remedy: redact(found.remedy) }));
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
  const hidden = isSecret(key, schemaAt(table.schema, path, table.value), table.base[0] === 'credentials');
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
