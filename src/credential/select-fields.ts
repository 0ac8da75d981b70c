import { ProviderError } from '../errors.ts';

type Json = Readonly<Record<string, unknown>>;

/** A value found in a structured secret, and the words for it in messages. */
export interface SelectedField {
  readonly value: string;
  readonly origin: string;
}

/**
 * Finds the one value that `field` names; without a `field` the only text there is.
 * @throws ProviderError `misconfigured`, naming the fields there are (names are no secrets, values are never shown).
 */
export function selectField(secret: Json, field: string | undefined): SelectedField {
  if (field !== undefined) {
    const value = walk(secret, field);
    if (value === undefined) throw missing(secret, field);
    return toText(value, field);
  }
  const texts = Object.entries(secret).filter(([, value]) => typeof value === 'string');
  const only = texts[0];
  if (only === undefined || texts.length > 1) {
    throw new ProviderError('misconfigured', `the secret has ${texts.length} text fields and \`field\` is not set`, {
      remedy: `set \`field\` to one of: ${listNames(secret)}`,
    });
  }
  return { value: String(only[1]), origin: `field "${only[0]}"` };
}

/** The value at a dotted path; a name that itself holds dots is found too. Own properties only. */
export function walk(secret: unknown, path: string): unknown {
  if (typeof secret !== 'object' || secret === null) return undefined;
  if (Object.hasOwn(secret, path)) return (secret as Json)[path];
  // Every split is tried, longest first name last, so that {"a.b": {"c": …}} and {"a": {"b.c": …}} both work.
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const head = path.slice(0, dot);
    if (!Object.hasOwn(secret, head)) continue;
    const found = walk((secret as Json)[head], path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

function toText(value: unknown, field: string): SelectedField {
  if (typeof value === 'string') return { value, origin: `field "${field}"` };
  if (typeof value === 'number') return { value: String(value), origin: `field "${field}"` };
  const kind = value === null ? 'null' : Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
  const remedy =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? `go deeper with a dot: ${Object.keys(value)
          .slice(0, 8)
          .map((name) => `"${field}.${printable(name)}"`)
          .join(', ')}`
      : 'name a field that holds text';
  throw new ProviderError('misconfigured', `field "${field}" of the secret is ${kind}, not text`, { remedy });
}

function missing(secret: Json, field: string): ProviderError {
  return new ProviderError('misconfigured', `the secret has no field "${field}"`, {
    remedy: `set \`field\` to one of: ${listNames(secret)}`,
  });
}

function listNames(secret: Json): string {
  const names = Object.keys(secret).map(printable);
  if (names.length === 0) return '(the secret has no fields)';
  const shown = names.slice(0, 12).join(', ');
  return names.length > 12 ? `${shown}, … (${names.length} in all)` : shown;
}

/** Field names come from outside: bounded and free of control characters before they reach a terminal. */
function printable(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?').slice(0, 40);
}
