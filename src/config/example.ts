import type { CheckedTable } from './checked-table.ts';
import { dotted, type KeyPath, writtenKey } from './key-path.ts';
import { isSecret, maskShapes } from './mask.ts';
import { isTableSchema, schemaAt, unwrap, valueAt } from './schema-walk.ts';
import { tomlValue } from './toml-words.ts';

/** What to write at `path`, by the schema there: its example, its default, the value itself in quotes, or its form. */
export function exampleFor(path: KeyPath, table: CheckedTable): string {
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
  if (type === 'string' && isScalar && !isSecret(key, schema)) {
    return `write ${left}${maskShapes(shorten(tomlValue(String(found))))}`;
  }
  if (isTableSchema(schema)) return `write a table: [${dotted([...table.base, ...path])}]`;
  return `write ${left}${placeholder(core)}${aside(meta.description)}`;
}

export function shorten(words: string): string {
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
