import type { z } from 'zod';
import type { CheckedTable } from './check.ts';
import { tomlValue } from './explain.ts';
import type { TomlPositions } from './toml.ts';
import {
  childSchema,
  dotted,
  isTable,
  isTableSchema,
  type KeyPath,
  type Origin,
  type Origins,
  objectsOf,
  schemaAt,
  type Table,
  unwrap,
  valueAt,
  writtenKey,
} from './walk.ts';

/** One key as it takes effect: what `config show` prints. Secrets are masked already. */
export interface EffectiveValue {
  readonly key: string;
  readonly value: unknown;
  readonly origin: Origin;
}

/** Lists what is written and what takes effect unwritten. */
export class EffectiveValues {
  readonly values: EffectiveValue[] = [];
  readonly #positions: TomlPositions;
  readonly #origins: Origins;

  constructor(positions: TomlPositions, origins: Origins) {
    this.#positions = positions;
    this.#origins = origins;
  }

  add(path: KeyPath, value: unknown, secret = false): void {
    const masked = maskValue(value, secret);
    this.values.push({ key: maskShapes(dotted(path)), value: masked, origin: this.#origins.of(path, this.#positions) });
  }

  /** Every key of a table, then the defaults of the keys that it leaves open. */
  addTable(path: KeyPath, table: Table, schema: z.core.$ZodType, secret = false): void {
    for (const [key, value] of Object.entries(table)) {
      const child = childSchema(schema, key, table);
      this.#addAny([...path, key], value, child, secret || isSecret(key, child, path[0] === 'credentials'));
    }
    const objects = objectsOf(schema, table);
    if (objects.length !== 1) return;
    for (const [key, child] of Object.entries(objects[0]?._zod.def.shape ?? {})) {
      const { written } = unwrap(child);
      if (written === undefined || Object.hasOwn(table, key)) continue;
      this.#addAny([...path, key], written, child, isSecret(key, child));
    }
  }

  #addAny(path: KeyPath, value: unknown, schema: z.core.$ZodType | undefined, secret: boolean): void {
    if (isTable(value) && schema !== undefined) this.addTable(path, value, schema, secret);
    else this.add(path, value, secret);
  }
}

/** What differs between the daemon's effective values and those that this shell's environment would give. */
export function differences(daemon: readonly EffectiveValue[], here: readonly EffectiveValue[]): readonly Difference[] {
  const ours = new Map(here.map((value) => [value.key, value]));
  const theirs = new Map(daemon.map((value) => [value.key, value]));
  return [...new Set([...theirs.keys(), ...ours.keys()])]
    .map((key) => ({ key, daemon: theirs.get(key), here: ours.get(key) }))
    .filter((pair) => JSON.stringify(pair.daemon?.value) !== JSON.stringify(pair.here?.value));
}

export interface Difference {
  readonly key: string;
  readonly daemon: EffectiveValue | undefined;
  readonly here: EffectiveValue | undefined;
}

/** Always the same, so that not even the length of a secret is told. */
const MASK = '********';

const SECRET_NAMES =
  /(?:^|[_-])(?:token|password|passwd|passphrase|pass|pin|secret|secret[_-]?id|jwt|private[_-]?key|client[_-]?secret|secret[_-]?access[_-]?key|session[_-]?token|secret[_-]?key|api[_-]?key|apikey|bearer|authorization|cookie)s?$/i;

/** Shapes that are secrets wherever they stand, a path or a wrong key included. */
const SECRET_SHAPES =
  /\b(?:hv[sbr]\.[\w-]{8,}|s\.[A-Za-z0-9]{24}\b|sk-(?:ant|proj)-|sk-[A-Za-z0-9]{20,}|gh[pousr]_\w{20,}|eyJ[\w-]{8,}\.)[\w.+/=-]*|-----BEGIN .*/gs;

const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*:)[^\s/?#]*(@)/gi;

/**
 * Whether the value of a key is a secret: what the schema says with `.meta({ secret })`, else by its name. A file
 * that holds a secret (`token_file`) is none, nor is `secret_id` of a credential (`inCredential`): there it is the name that
 * AWS Secrets Manager gives to a secret.
 */
export function isSecret(name: string, schema: z.core.$ZodType | undefined, inCredential = false): boolean {
  const marked = schema === undefined ? undefined : unwrap(schema).meta.secret;
  if (typeof marked === 'boolean') return marked;
  if (inCredential && /^secret[_-]?id$/i.test(name)) return false;
  return SECRET_NAMES.test(name);
}

/** Text that holds no secret by its place, but may hold one by its shape: a password in a URL, a pasted token. */
export function maskShapes(text: string): string {
  return text.replaceAll(SECRET_SHAPES, MASK).replaceAll(URL_PASSWORD, `$1${MASK}$2`);
}

/** Everything that lies under a secret key is masked, whatever its type; elsewhere every text is looked at. */
export function maskValue(value: unknown, secret: boolean): unknown {
  if (value === undefined) return undefined;
  if (secret) return MASK;
  if (typeof value === 'string') return maskShapes(value);
  if (Array.isArray(value)) return value.map((element) => maskValue(element, false));
  return value;
}

/** Takes every secret of a table out of foreign words. */
export function redactor(table: unknown, schema: z.core.$ZodType, inCredential: boolean): (words: string) => string {
  const secrets = [...secretsIn(table, schema, '', inCredential)].sort((a, b) => b.length - a.length);
  return (words) => secrets.reduce((clean, secret) => clean.replaceAll(secret, MASK), words);
}

function* secretsIn(
  value: unknown,
  schema: z.core.$ZodType | undefined,
  name: string,
  inCredential: boolean,
): Generator<string> {
  if (Array.isArray(value)) {
    const element = schema === undefined ? undefined : childSchema(schema, 0, value);
    for (const inner of value)
      yield* secretsIn(inner, isSecret(name, schema, inCredential) ? schema : element, name, inCredential);
  } else if (isTable(value)) {
    for (const [key, inner] of Object.entries(value)) {
      yield* secretsIn(inner, schema === undefined ? undefined : childSchema(schema, key, value), key, inCredential);
    }
  } else if (typeof value === 'string' && value.length > 3 && isSecret(name, schema, inCredential)) {
    yield value;
  }
}

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
