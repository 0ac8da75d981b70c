import type { z } from 'zod';
import { childSchema, isTable, unwrap } from './schema-walk.ts';

/** Always the same, so that not even the length of a secret is told. */
export const MASK = '********';

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
