import { ProviderError } from '../errors.ts';
import { unusableKey, whyNotAKey } from './key.ts';
import { type Json, parseJson } from './secret.ts';

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
  return toText(only[1], only[0]);
}

/** The value at a dotted path; a name that itself holds dots is found too. Own properties only; JSON in a text is entered. */
export function fieldAt(secret: unknown, path: string): unknown {
  const holder = typeof secret === 'string' ? parseJson(secret) : secret;
  if (typeof holder !== 'object' || holder === null) return undefined;
  if (Object.hasOwn(holder, path)) return (holder as Json)[path];
  // Every split is tried, longest first name last, so that {"a.b": {"c": …}} and {"a": {"b.c": …}} both work.
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const head = path.slice(0, dot);
    if (!Object.hasOwn(holder, head)) continue;
    const found = fieldAt((holder as Json)[head], path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

function toText(value: unknown, field: string): SelectedField {
  const origin = `field "${field}"`;
  if (typeof value === 'number' || typeof value === 'bigint') return { value: String(value), origin };
  if (typeof value === 'string') {
    const inner = parseJson(value);
    if (inner === undefined) return { value, origin };
    throw unusableKey(origin, 'it holds JSON', chooseFrom(inner, `${field}.`));
  }
  const kind = value === null ? 'null' : Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
  const remedy = isHolder(value) ? chooseFrom(value, `${field}.`) : 'name a field that holds text';
  throw new ProviderError('misconfigured', `field "${field}" of the secret is ${kind}, not text`, { remedy });
}

/** Of a secret that is not a JSON object. */
export function hasNoFields(text: Buffer, field: string): ProviderError {
  if (/^{/.test(text.toString('latin1', 0, 64).trimStart())) {
    return new ProviderError(
      'misconfigured',
      `the secret begins like JSON and is none, so field "${field}" is not found`,
      {
        remedy: 'store it as one valid JSON object; jq says where it is broken',
      },
    );
  }
  return new ProviderError('misconfigured', `the secret is plain text, so it has no field "${field}"`, {
    remedy: 'remove `field` from the credential, or store the secret as a JSON object',
  });
}

function missing(secret: Json, field: string): ProviderError {
  return new ProviderError('misconfigured', `the secret has no field "${field}"`, { remedy: chooseFrom(secret) });
}

const MOST_NAMES = 12;

function chooseFrom(secret: Holder, prefix = ''): string {
  const names = servableFields(secret, prefix);
  if (Object.keys(secret).length === 0) return 'store the key as a field there: the secret is empty';
  if (names.length === 0) return 'store the bare key as a field there: no field of the secret holds one';
  const shown = names.slice(0, MOST_NAMES).join(', ');
  const rest = names.length > MOST_NAMES ? `, ... (${names.length} in all)` : '';
  return `set \`field\` to one of: ${shown}${rest}`;
}

/** Deeper, secrets hold no keys. */
const DEEPEST = 5;

/**
 * The fields whose values could be served, as `field` wants them: through tables, lists and JSON in a text. Numbers only
 * where there is no text.
 */
export function servableFields(secret: Holder, prefix = ''): readonly string[] {
  const found = [...walk(secret, prefix, 0)];
  const texts = found.filter(({ isText }) => isText);
  return (texts.length > 0 ? texts : found).map(({ path }) => path);
}

interface ServableField {
  readonly path: string;
  readonly isText: boolean;
}

function* walk(holder: Holder, prefix: string, depth: number): Generator<ServableField> {
  for (const [name, value] of Object.entries(holder)) {
    if (!WRITABLE.test(name)) continue;
    const path = prefix + name;
    const inner = typeof value === 'string' ? parseJson(value) : value;
    if (isHolder(inner)) {
      if (depth < DEEPEST) yield* walk(inner, `${path}.`, depth + 1);
    } else if (typeof value === 'string') {
      if (whyNotAKey(value) === undefined) yield { path, isText: true };
    } else if (typeof value === 'number' || typeof value === 'bigint') yield { path, isText: false };
  }
}

/** A name that can be written as (part of) a `field`; they come from outside and reach a terminal. */
const WRITABLE = /^(?!\.|.*\.\.|.*\.$)[\x20-\x7e]{1,100}$/;

type Holder = Json | readonly unknown[];

function isHolder(value: unknown): value is Holder {
  return typeof value === 'object' && value !== null;
}
