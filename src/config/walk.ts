import { z } from 'zod';
import { isSecretName } from '../platform/text.ts';
import type { KeyPath } from './positions.ts';

type Schema = z.core.$ZodType;

/** One value in a table that a schema describes, at whatever depth. */
export interface Member {
  /** From the outermost table of the file. */
  readonly path: KeyPath;
  /** The last part of `path`. */
  readonly key: string | number;
  readonly value: unknown;
  /** undefined: the schema does not have this key. */
  readonly schema: Schema | undefined;
  /** By the schema, by the name of its key, or because of a table around it. */
  readonly isSecret: boolean;
  /** False: a default, of a key that the table leaves open. */
  readonly isWritten: boolean;
  /** In an array, which has been visited itself. */
  readonly isElement: boolean;
  /** The table or array that it is in. */
  readonly parent: { readonly value: Table | unknown[]; readonly schema: Schema };
}

/**
 * Every value of a table and of the tables and arrays in it, in their order, and after those of each table the defaults
 * of the keys that it leaves open. Tables themselves are passed over, arrays are not.
 *
 * @param base the path of the table.
 */
export function membersOf(table: Table, schema: Schema, base: KeyPath): Generator<Member> {
  return members(table, schema, { path: base, isSecret: false, isWritten: true, isElement: false });
}

type Around = Pick<Member, 'path' | 'isSecret' | 'isWritten' | 'isElement'>;

function* members(holder: Table | unknown[], schema: Schema, around: Around): Generator<Member> {
  const parent = { value: holder, schema };
  const isElement = around.isElement || Array.isArray(holder);
  const inCredential = around.path[0] === 'credentials';
  function* visit(
    key: string | number,
    value: unknown,
    child: Schema | undefined,
    isWritten: boolean,
  ): Generator<Member> {
    // A table that says where a secret is kept holds none, unless one of its own keys is one.
    const isOfWords = isTable(value) && child !== undefined && objectsOf(child, value).length > 0;
    const isSecret =
      around.isSecret || (typeof key === 'string' && !isOfWords && isSecretKey(key, child, inCredential));
    const path = [...around.path, key];
    const member = { path, key, value, schema: child, isSecret, isWritten, isElement, parent };
    if (!isTable(value)) yield member;
    if (isTable(value) || Array.isArray(value)) yield* members(value, child ?? ANYTHING, member);
  }
  const entries = Array.isArray(holder) ? holder.entries() : Object.entries(holder);
  for (const [key, value] of entries) yield* visit(key, value, childSchema(schema, key, holder), around.isWritten);
  const [only, ...others] = Array.isArray(holder) ? [] : objectsOf(schema, holder);
  if (only === undefined || others.length > 0) return;
  for (const [key, child] of Object.entries(only._zod.def.shape)) {
    const { written } = unwrap(child);
    if (written !== undefined && !Object.hasOwn(holder, key)) yield* visit(key, written, child, false);
  }
}

/** Whether nobody is shown the value: a secret, or a variable of a command, whatever its name is. */
export function isHidden({ isSecret, path }: Member): boolean {
  return isSecret || path.slice(0, -1).includes('env');
}

/** For what the schema does not have. */
const ANYTHING = z.unknown();

/**
 * Whether the value of a key is a secret: what the schema says with `.meta({ secret })`, else by its name. `secret_id` of a
 * credential (`inCredential`) is not: there it is the name that AWS Secrets Manager gives to a secret.
 */
export function isSecretKey(name: string, schema: Schema | undefined, inCredential = false): boolean {
  const marked = schema === undefined ? undefined : unwrap(schema).meta.secret;
  if (typeof marked === 'boolean') return marked;
  if (inCredential && /^secret[_-]?id$/i.test(name)) return false;
  return isSecretName(name);
}

/** A schema without the wrappers around it (optional, default, transform …), and what they said. */
interface Unwrapped {
  readonly core: z.core.$ZodTypes;
  readonly meta: z.core.GlobalMeta;
  /** The default, as it would be written in the file; undefined: there is none. */
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
