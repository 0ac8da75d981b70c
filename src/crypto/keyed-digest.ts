import { createHmac, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';
import type { SecretBytes } from '../credential/secret-bytes.ts';
import { encodeFields, type Field } from './canonical.ts';
import { KEY_BYTES } from './key-encryption-key.ts';

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
