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
    const length = Buffer.alloc(4);
    for (const [name, secret] of [...fields].sort(byName)) {
      const { bytes } = secret;
      length.writeUInt32BE(bytes.length);
      hmac.update(lengthPrefixed(name)).update(length).update(bytes);
    }
    return hmac.digest('hex');
  }
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : Number(a > b);
}

/**
 * One byte string for one list of parts, and never the same for two different lists: each part carries its length
 * (4 bytes, big endian), so that no two neighbours can be cut differently ("ab","c" against "a","bc"). Text is UTF-8.
 *
 * Additional authenticated data is made of this, and what is sealed for a key: its layout is part of the format on disk.
 */
export function lengthPrefixed(...parts: readonly (string | Uint8Array)[]): Buffer {
  const bytes: Uint8Array[] = [];
  let size = 0;
  for (const part of parts) {
    const each = typeof part === 'string' ? Buffer.from(part, 'utf8') : part;
    bytes.push(each);
    size += 4 + each.length;
  }
  const whole = Buffer.alloc(size);
  let at = 0;
  for (const part of bytes) {
    at = whole.writeUInt32BE(part.length, at);
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
