import { createHmac, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';
import type { SecretBytes } from '../credential/secret.ts';
import { KEY_BYTES } from './envelope.ts';

/**
 * HMAC-SHA256 under a random key of the cache's own, itself sealed by the key-encryption key. A plain hash of a key
 * would let anybody with the file test guesses and recognise a key that leaked elsewhere; this tells nothing.
 */
export class DigestKey {
  readonly #key: KeyObject;

  /** Wipes `bytes`. */
  constructor(bytes: Buffer) {
    this.#key = createSecretKey(bytes);
    bytes.fill(0);
  }

  static generateBytes(): Buffer {
    return randomFillSync(Buffer.alloc(KEY_BYTES));
  }

  /** Of a secret's fields, whatever order they come in; 64 hex digits. The secrets are fed in place, never copied. */
  ofSecret(fields: ReadonlyMap<string, SecretBytes>): string {
    const hmac = createHmac('sha256', this.#key);
    hmac.update(encodeFields('broker/value', [fields.size]));
    for (const [name, secret] of [...fields].sort(byName)) {
      hmac.update(encodeFields('', [name, secret.length])).update(secret.bytes);
    }
    return hmac.digest('hex');
  }

  /** Authenticates a row that holds no secret; 32 bytes. */
  ofRow(domain: string, fields: readonly Field[]): Buffer {
    return createHmac('sha256', this.#key)
      .update(encodeFields(`broker/row/${domain}`, fields))
      .digest();
  }
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : Number(a > b);
}

/** What a canonical encoding can hold. A number is any IEEE double except NaN; undefined is "not known". */
export type Field = string | number | boolean | undefined | Uint8Array;

const TAG = { absent: 0, string: 1, number: 2, false: 3, true: 4, bytes: 5 } as const;

/**
 * One byte string for one list of values, and never the same for two different lists: every field carries its type
 * and its length, so that no two neighbours can be cut differently ("ab","c" against "a","bc") and no absent field
 * passes for an empty one. `domain` keeps encodings of different purposes apart.
 *
 * Additional authenticated data and MACs are computed over this: its layout is part of the format on disk.
 */
export function encodeFields(domain: string, fields: readonly Field[]): Buffer {
  const parts = [encodeField(domain), ...fields.map(encodeField)];
  return Buffer.concat(parts);
}

function encodeField(field: Field): Buffer {
  if (field === undefined) return tagged(TAG.absent, 0);
  if (typeof field === 'boolean') return tagged(field ? TAG.true : TAG.false, 0);
  if (typeof field === 'number') return encodeNumber(field);
  if (typeof field === 'string') return encodeText(field);
  const buffer = tagged(TAG.bytes, field.length);
  buffer.set(field, HEADER);
  return buffer;
}

const HEADER = 5;
const LONE_SURROGATE = /\p{Surrogate}/u;

function tagged(tag: number, length: number): Buffer {
  const buffer = Buffer.alloc(HEADER + length);
  buffer.writeUInt8(tag, 0);
  buffer.writeUInt32BE(length, 1);
  return buffer;
}

function encodeText(text: string): Buffer {
  // A lone surrogate becomes U+FFFD in UTF-8, and then two different strings would share one encoding.
  if (LONE_SURROGATE.test(text)) throw new TypeError('text with a lone surrogate has no canonical encoding');
  const bytes = Buffer.from(text, 'utf8');
  const buffer = tagged(TAG.string, bytes.length);
  bytes.copy(buffer, HEADER);
  return buffer;
}

function encodeNumber(value: number): Buffer {
  if (Number.isNaN(value)) throw new TypeError('NaN has no canonical encoding');
  const buffer = tagged(TAG.number, 8);
  // Equal numbers are encoded equally: SQLite hands -0 back as 0.
  buffer.writeDoubleBE(value === 0 ? 0 : value, HEADER);
  return buffer;
}
