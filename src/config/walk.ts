import { z } from 'zod';
import { expandHome } from './paths.ts';
import type { TomlPositions } from './toml.ts';

type Schema = z.core.$ZodType;

/** A schema without the wrappers around it (optional, default, transform …), and what they said. */
interface Unwrapped {
  readonly core: z.core.$ZodTypes;
  readonly meta: z.core.GlobalMeta;
  /** What stands for a key that is not written, as it would be written; undefined: there is no default. */
  readonly written: unknown;
}

export function unwrap(schema: Schema): Unwrapped {
  let meta: z.core.GlobalMeta = {};
  let written: unknown;
  let at = schema as z.core.$ZodTypes;
  for (;;) {
    meta = { ...z.globalRegistry.get(at), ...meta };
    const { def } = at._zod;
    if (def.type === 'default' || def.type === 'prefault') written ??= def.defaultValue;
    const inner = innerOf(def);
    if (inner === undefined) return { core: at, meta, written };
    at = inner as z.core.$ZodTypes;
  }
}

function innerOf(def: z.core.$ZodTypes['_zod']['def']): Schema | undefined {
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'nonoptional':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
      return def.innerType;
    case 'lazy':
      return def.getter();
    case 'pipe':
      return (def.in as z.core.$ZodTypes)._zod.def.type === 'transform' ? def.out : def.in;
    default:
      return undefined;
  }
}

/** The object schemas that a table may be checked by: one, or for a union those that its discriminator leaves. */
export function objectsOf(schema: Schema, value: unknown): readonly z.core.$ZodObject[] {
  const { core } = unwrap(schema);
  const { def } = core._zod;
  if (def.type === 'object') return [core as z.core.$ZodObject];
  if (def.type === 'intersection') return [...objectsOf(def.left, value), ...objectsOf(def.right, value)];
  if (def.type !== 'union') return [];
  const options = def.options.flatMap((option) => objectsOf(option, value));
  const { discriminator } = def as z.core.$ZodDiscriminatedUnionDef;
  if (discriminator === undefined) return options;
  const chosen = isTable(value) ? value[discriminator] : undefined;
  return options.filter(({ _zod }) => {
    const tag = _zod.def.shape[discriminator];
    return tag?._zod.values?.has(chosen as string) === true;
  });
}

/** Whether only a table will do. */
export function isTableSchema(schema: Schema): boolean {
  const { def } = unwrap(schema).core._zod;
  if (def.type === 'union') return def.options.every(isTableSchema);
  return def.type === 'object' || def.type === 'intersection';
}

/** Every key that a table may have, given the keys that it has already. */
export function keysOf(schema: Schema, value: unknown): readonly string[] {
  return [...new Set(objectsOf(schema, value).flatMap(({ _zod }) => Object.keys(_zod.def.shape)))];
}

/** The schema of one key of a table or one element of an array. */
export function childSchema(schema: Schema, key: string | number, value: unknown): Schema | undefined {
  const { def } = unwrap(schema).core._zod;
  if (def.type === 'array') return def.element;
  if (def.type === 'record') return def.valueType;
  for (const { _zod } of objectsOf(schema, value)) {
    if (Object.hasOwn(_zod.def.shape, key)) return _zod.def.shape[key];
  }
  return undefined;
}

/** The schema at a path below `schema`, led by the values on the way. */
export function schemaAt(
  schema: Schema,
  path: readonly (string | number | symbol)[],
  value: unknown,
): Schema | undefined {
  let at: Schema | undefined = schema;
  let current = value;
  for (const key of path) {
    if (at === undefined || typeof key === 'symbol') return undefined;
    at = childSchema(at, key, current);
    current = memberOf(current, key);
  }
  return at;
}

export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((at, key) => (typeof key === 'symbol' ? undefined : memberOf(at, key)), value);
}

export type Table = Record<string, unknown>;

/** A TOML table; not an array and not a date. */
export function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function memberOf(value: unknown, key: string | number): unknown {
  if (Array.isArray(value) && typeof key === 'number') return value[key];
  return isTable(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** Where an effective value comes from. */
export type Origin =
  | { readonly kind: 'file'; readonly line: number }
  | { readonly kind: 'env'; readonly variable: string }
  | { readonly kind: 'default' };

/** Remembers which values the environment contributed; what the file has is a value of the file. */
export class Origins {
  readonly #variables = new Map<string, string>();

  setVariable(path: KeyPath, variable: string): void {
    this.#variables.set(pathId(path), variable);
  }

  variableAt(path: KeyPath): string | undefined {
    return this.#variables.get(pathId(path));
  }

  of(path: KeyPath, positions: TomlPositions): Origin {
    const variable = this.variableAt(path);
    if (variable !== undefined) return { kind: 'env', variable };
    const line = positions.lineOf(path);
    return line === undefined ? { kind: 'default' } : { kind: 'file', line };
  }
}

/** Where a value stands in the file: names of tables and keys, numbers for the elements of an array. */
export type KeyPath = readonly (string | number)[];

const BARE = /^[A-Za-z0-9_-]+$/;

/** As TOML writes it, quoted where it has to be: `credentials."a.b".fields`, `command[0]`. */
export function dotted(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text === '' ? '' : '.'}${writtenKey(part)}`;
  }
  return text;
}

/** One key as it has to be written: bare if it can be. Cut short, because it may be anything at all. */
export function writtenKey(key: string): string {
  const short = key.length > 80 ? `${key.slice(0, 79)}…` : key;
  return BARE.test(short) ? short : JSON.stringify(short);
}

/** An identity for maps. */
export function pathId(path: KeyPath): string {
  return JSON.stringify(path);
}

/** Replaces `~/` in every value that its schema marks as a path (`filePath()`), in place. */
export function expandFilePaths(table: Table, schema: z.core.$ZodType, homeDir: string): void {
  for (const [key, value] of Object.entries(table)) {
    const child = childSchema(schema, key, table);
    if (child === undefined) continue;
    if (isTable(value)) expandFilePaths(value, child, homeDir);
    else if (Array.isArray(value))
      table[key] = value.map((element) => expanded(element, childSchema(child, 0, value), homeDir));
    else table[key] = expanded(value, child, homeDir);
  }
}

function expanded(value: unknown, schema: z.core.$ZodType | undefined, homeDir: string): unknown {
  const isFile = schema !== undefined && unwrap(schema).meta.file === true;
  return isFile && typeof value === 'string' ? expandHome(value, homeDir) : value;
}
