import type { Answer } from '../broker/ask.ts';
import { BrokerError } from '../errors.ts';

/** A key as it goes over the wire. The server wipes `body` when it is written; it may be the secret's own buffer. */
export interface FormattedKey {
  readonly contentType: string;
  readonly body: Buffer;
}

export interface FormatContext {
  /** RFC 3339; undefined where the expiry is unknown. */
  readonly expiresAt: string | undefined;
}

/** Throws a BrokerError if this key cannot be put in this format. Leaves no copy of a secret behind but `body`. */
export type Formatter = (answer: Answer, context: FormatContext) => FormattedKey;

/** The formats that every server has; `headers`, `aws` and `proxy` are handed in. */
export const BASIC_FORMATS: ReadonlyMap<string, Formatter> = new Map([
  ['raw', raw],
  ['json', json],
]);

/** As the cache names the value of a credential that has only one. */
export const VALUE = 'value';

function raw({ key, secrets }: Answer): FormattedKey {
  const value = secrets.get(VALUE);
  if (value === undefined || secrets.size !== 1) {
    throw new BrokerError('ERR_USAGE', `${key.credential} has several fields (${[...secrets.keys()].join(', ')})`, {
      remedy: 'ask for another format: --format json, headers, aws or proxy',
    });
  }
  return { contentType: 'text/plain; charset=us-ascii', body: value.bytes };
}

/** `key` for a single value, else `fields`; then what the headers say of it. */
function json({ key, secrets, state }: Answer, { expiresAt }: FormatContext): FormattedKey {
  const facts = { credential: key.credential, version: key.version ?? null, expiresAt: expiresAt ?? null, state };
  const value = secrets.size === 1 ? secrets.get(VALUE) : undefined;
  const parts: Buffer[] = [Buffer.from(`${JSON.stringify(facts).slice(0, -1)},`)];
  if (value !== undefined) {
    parts.push(Buffer.from('"key":'), jsonString(value.bytes));
  } else {
    [...secrets].forEach(([name, secret], index) => {
      parts.push(Buffer.from(`${index === 0 ? '"fields":{' : ','}${JSON.stringify(name)}:`), jsonString(secret.bytes));
    });
    parts.push(Buffer.from('}'));
  }
  parts.push(Buffer.from('}'));
  const body = Buffer.concat(parts);
  for (const part of parts) part.fill(0);
  return { contentType: 'application/json', body };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** JSON.stringify for bytes of UTF-8, without a string that nobody can wipe. */
export function jsonString(text: Uint8Array): Buffer {
  const out = Buffer.alloc(text.length * 6 + 2);
  let length = out.write('"');
  for (const byte of text) {
    if (byte < 0x20) length += out.write(`\\u${byte.toString(16).padStart(4, '0')}`, length);
    else {
      if (byte === QUOTE || byte === BACKSLASH) out[length++] = BACKSLASH;
      out[length++] = byte;
    }
  }
  length += out.write('"', length);
  return out.subarray(0, length);
}
