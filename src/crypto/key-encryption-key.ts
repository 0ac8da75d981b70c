import { createHmac, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';

/** Bytes in a key-encryption key and in a data-encryption key: AES-256. */
export const KEY_BYTES = 32;
/** Bytes of a key-encryption key's id in an envelope. */
export const KEK_ID_BYTES = 8;

/**
 * The key that wraps every data-encryption key (DEK). It is held as a KeyObject: the bytes live in OpenSSL's memory,
 * which is cleansed when it is freed, they never meet the JavaScript heap again, and AES with a KeyObject is several
 * times faster than with a Buffer.
 *
 * `id` names the key without telling anything about it (an HMAC under it): the database records which key sealed it,
 * so that a key file that was swapped or restored from elsewhere is told from a damaged database.
 */
export class KeyEncryptionKey {
  readonly id: string;
  readonly key: KeyObject;

  private constructor(key: KeyObject) {
    this.key = key;
    this.id = createHmac('sha256', key)
      .update('broker key-encryption key id v1')
      .digest()
      .toString('hex', 0, KEK_ID_BYTES);
  }

  /** Wipes `bytes`. Throws a TypeError unless there are exactly 32 of them. */
  static fromBytes(bytes: Buffer): KeyEncryptionKey {
    try {
      if (bytes.length !== KEY_BYTES) throw new TypeError(`a key-encryption key has ${KEY_BYTES} bytes`);
      return new KeyEncryptionKey(createSecretKey(bytes));
    } finally {
      bytes.fill(0);
    }
  }

  /** Hands the bytes to whoever has to store them, and wipes them. */
  lend<T>(use: (bytes: Buffer) => T): T {
    const bytes = this.key.export();
    try {
      return use(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  /** A new random key that exists in memory only: for caches that do not outlive the process, or to be stored. */
  static ephemeral(): KeyEncryptionKey {
    return KeyEncryptionKey.fromBytes(randomFillSync(Buffer.alloc(KEY_BYTES)));
  }
}
