import type { z } from 'zod';
import { expandHome } from './paths.ts';
import { type KeyPath, pathId } from './positions.ts';
import type { ProviderSchemas } from './schema.ts';
import { childSchema, isTable, membersOf, type Table, unwrap } from './walk.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The variable behind each value that the environment contributed, by the `pathId` of its key. */
export type Contributions = Map<string, string>;

/**
 * Fills what a provider's table leaves open from the environment, as its definition says, and remembers which variable
 * it came from. A variable whose key the table cannot have (a token beside an AppRole login) contributes nothing.
 */
export function applyEnvironment(
  table: Table,
  schemas: ProviderSchemas,
  env: Environment,
  base: KeyPath,
  contributions: Contributions,
): void {
  for (const [key, contributed] of Object.entries(schemas.environmentDefaults)) {
    const variables = 'variablesFor' in contributed ? contributed.variablesFor(table, env) : contributed;
    const variable = variables.find((name) => (env[name] ?? '') !== '');
    const text = variable === undefined ? undefined : env[variable];
    if (variable === undefined || text === undefined) continue;
    const path = key.split('.');
    if (putIfAbsent(table, schemas.providerSchema, path, text)) contributions.set(pathId([...base, ...path]), variable);
  }
}

function putIfAbsent(table: Table, schema: z.core.$ZodType, path: readonly string[], text: string): boolean {
  const [key = '', ...rest] = path;
  const child = childSchema(schema, key, table);
  if (child === undefined) return false;
  if (rest.length === 0) {
    if (Object.hasOwn(table, key)) return false;
    table[key] = typed(text, child);
    return true;
  }
  const present = Object.hasOwn(table, key) ? table[key] : unwrap(child).written;
  const inner: Table = isTable(present) ? { ...present } : {};
  if ((present !== undefined && !isTable(present)) || !putIfAbsent(inner, child, rest, text)) return false;
  table[key] = inner;
  return true;
}

/** Variables are text; what is not a boolean or number stays text, and the schema refuses it. */
function typed(text: string, schema: z.core.$ZodType): unknown {
  const { type } = unwrap(schema).core._zod.def;
  if (type === 'boolean') {
    // The spellings of Go's strconv.ParseBool, which Vault's and many other tools read their variables with.
    if (/^(?:1|t|true)$/i.test(text)) return true;
    if (/^(?:0|f|false)$/i.test(text)) return false;
  }
  if (type === 'number' && /^-?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  return text;
}

/** Replaces `~/` in every value that its schema marks as a path (`filePath()`), in place. */
export function expandFilePaths(table: Table, schema: z.core.$ZodType, homeDir: string): void {
  // Most tables have none.
  if (!JSON.stringify(table).includes('"~')) return;
  for (const { key, value, schema: own, isWritten, parent } of membersOf(table, schema, [])) {
    const isFile = own !== undefined && unwrap(own).meta.file === true;
    if (isFile && isWritten && typeof value === 'string')
      Object.assign(parent.value, { [key]: expandHome(value, homeDir) });
  }
}
