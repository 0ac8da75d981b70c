import { inspect } from 'node:util';
import { ProviderError } from '../errors.ts';

const REDACTED = '[redacted]';

/**
 * A secret in memory that cannot be printed by accident: as text, as JSON and in the inspector it shows itself
 * redacted. It owns its buffer; `wipe()` overwrites it, after which any use is a programming error.
 */
export class SecretBytes {
  #bytes: Buffer | undefined;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Takes ownership of `bytes`: the caller must not keep or change them. */
  static from(bytes: Buffer): SecretBytes {
    return new SecretBytes(bytes);
  }

  /** Strings cannot be wiped; hold the one handed in as briefly as can be. */
  static fromString(text: string): SecretBytes {
    return new SecretBytes(Buffer.from(text, 'utf8'));
  }

  /** The live bytes, not a copy: gone after `wipe()`. */
  get bytes(): Buffer {
    if (this.#bytes === undefined) throw new TypeError('this secret has been wiped');
    return this.#bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  /** Where a library insists on a string. */
  reveal(): string {
    return this.bytes.toString('utf8');
  }

  copy(): SecretBytes {
    return new SecretBytes(Buffer.from(this.bytes));
  }

  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

export function wipeAll(secrets: ReadonlyMap<string, SecretBytes>): void {
  for (const secret of secrets.values()) secret.wipe();
}

type Json = Readonly<Record<string, unknown>>;

/** A value found in a structured secret, and the words for it in messages. */
interface SelectedField {
  readonly value: string;
  readonly origin: string;
}

/**
 * Finds the one value that `field` names; without a `field` the only text there is.
 * @throws ProviderError `misconfigured`, naming the fields there are (names are no secrets, values are never shown).
 */
export function selectField(secret: Json, field: string | undefined): SelectedField {
  if (field !== undefined) {
    const value = fieldAt(secret, field);
    if (value === undefined) throw missing(secret, field);
    return toText(value, field);
  }
  const texts = Object.entries(secret).filter(([, value]) => typeof value === 'string');
  const only = texts[0];
  if (only === undefined || texts.length > 1) {
    throw new ProviderError('misconfigured', `the secret has ${texts.length} text fields and \`field\` is not set`, {
      remedy: chooseFrom(secret),
    });
  }
  return { value: String(only[1]), origin: `field "${only[0]}"` };
}

/** The value at a dotted path; a name that itself holds dots is found too. Own properties only. */
export function fieldAt(secret: unknown, path: string): unknown {
  if (typeof secret !== 'object' || secret === null) return undefined;
  if (Object.hasOwn(secret, path)) return (secret as Json)[path];
  // Every split is tried, longest first name last, so that {"a.b": {"c": …}} and {"a": {"b.c": …}} both work.
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const head = path.slice(0, dot);
    if (!Object.hasOwn(secret, head)) continue;
    const found = fieldAt((secret as Json)[head], path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

function toText(value: unknown, field: string): SelectedField {
  if (typeof value === 'string') return { value, origin: `field "${field}"` };
  if (typeof value === 'number') return { value: String(value), origin: `field "${field}"` };
  const kind = value === null ? 'null' : Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
  const remedy = isObject(value) ? chooseFrom(value, `${field}.`) : 'name a field that holds text';
  throw new ProviderError('misconfigured', `field "${field}" of the secret is ${kind}, not text`, { remedy });
}

function missing(secret: Json, field: string): ProviderError {
  return new ProviderError('misconfigured', `the secret has no field "${field}"`, { remedy: chooseFrom(secret) });
}

const MOST_NAMES = 12;

/** Names as `field` wants them: where a value is a table of its own, the way into it. */
function chooseFrom(secret: Json, prefix = ''): string {
  const names = Object.entries(secret).flatMap(([name, value]) =>
    isObject(value) && prefix === ''
      ? Object.keys(value).map((inner) => `${printable(name)}.${printable(inner)}`)
      : [prefix + printable(name)],
  );
  if (names.length === 0) return 'store the key as a field there: the secret is empty';
  const shown = names.slice(0, MOST_NAMES).join(', ');
  const rest = names.length > MOST_NAMES ? `, ... (${names.length} in all)` : '';
  return `set \`field\` to one of: ${shown}${rest}`;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Field names come from outside: bounded and free of control characters before they reach a terminal. */
function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, 40);
}
