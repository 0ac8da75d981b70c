import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from 'node:crypto';
import { SecretBytes } from '../credential/secret.ts';

/** Bytes in a key-encryption key and in a data-encryption key: AES-256. */
export const KEY_BYTES = 32;
/** Bytes of a key-encryption key's id in an envelope. */
const KEK_ID_BYTES = 8;

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

  /** Hands the bytes to `use`, which stores them, and wipes them. */
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

/**
 * Envelope encryption: every record has a data-encryption key (DEK) of its own, and the key-encryption key (KEK)
 * wraps only that. A new KEK then means wrapping 32 bytes per record again, without ever decrypting a record.
 *
 *     version 1 | KEK id 8 | wrap IV 12, wrapped DEK 32, wrap tag 16 | IV 12, ciphertext n, tag 16
 *     └────────┬─────────┘
 *     additional data of the wrap; the record's own are the version and the caller's binding
 *
 * The DEK is wrapped with AES-256-GCM as well, not with AES-KW: GCM authenticates the header together with the DEK,
 * its tag is 128 bits and not 64, and one primitive is easier to reason about than two. What AES-KW would add, safety
 * from a repeated IV, is not needed: with random 96-bit IVs one KEK may wrap 2^32 times (NIST SP 800-38D 8.3), more
 * than a century of a record every second; a DEK encrypts exactly once.
 */
const FORMAT_VERSION = 1;
const IV = 12;
const TAG = 16;
const HEADER = 1 + KEK_ID_BYTES;
const WRAP = IV + KEY_BYTES + TAG;

/** What an envelope adds to the length of what it holds, in bytes. */
export const ENVELOPE_OVERHEAD = HEADER + WRAP + IV + TAG;

/**
 * Encrypts `plaintext`, which stays the caller's to wipe. `binding` is authenticated, not stored: the same bytes have
 * to be given to `openEnvelope`. Build it with `lengthPrefixed`.
 */
export function sealEnvelope(kek: KeyEncryptionKey, plaintext: Uint8Array, binding: Uint8Array): Buffer {
  const dek = randomFillSync(Buffer.alloc(KEY_BYTES));
  try {
    const head = header(kek);
    const wrapped = encrypt(kek.key, dek, head);
    const dekObject = createSecretKey(dek);
    return Buffer.concat([head, wrapped, encrypt(dekObject, plaintext, dataBinding(binding))]);
  } finally {
    dek.fill(0);
  }
}

/** Decrypts; the caller wipes. Undefined if the envelope, the binding or the KEK is not exactly the one it was sealed with. */
export function openEnvelope(
  kek: KeyEncryptionKey,
  envelope: Uint8Array,
  binding: Uint8Array,
): SecretBytes | undefined {
  return UnwrappedEnvelope.unwrap(kek, envelope, binding)?.open();
}

/**
 * An envelope with its DEK at hand, for a record that is opened again and again: every `open()` decrypts and
 * authenticates, but only once is the DEK unwrapped. It is as safe as the KEK, which is in the same memory in the
 * same way and could unwrap it at any time.
 */
export class UnwrappedEnvelope {
  readonly #dek: KeyObject;
  readonly #sealed: SealedParts;
  readonly #additional: Buffer;

  private constructor(dek: KeyObject, sealed: Uint8Array, additional: Buffer) {
    this.#dek = dek;
    this.#sealed = partsOf(sealed);
    this.#additional = additional;
  }

  /** Undefined if this KEK did not wrap the envelope's DEK. What `binding` is worth only `open()` tells. */
  static unwrap(kek: KeyEncryptionKey, envelope: Uint8Array, binding: Uint8Array): UnwrappedEnvelope | undefined {
    const dek = unwrapDek(kek, envelope);
    if (dek === undefined) return undefined;
    try {
      return new UnwrappedEnvelope(createSecretKey(dek), envelope.subarray(HEADER + WRAP), dataBinding(binding));
    } finally {
      dek.fill(0);
    }
  }

  /** Decrypts; the caller wipes. Undefined if envelope or binding is not exactly the one it was sealed with. */
  open(): SecretBytes | undefined {
    const opened = decrypt(this.#dek, this.#sealed, this.#additional);
    return opened && SecretBytes.from(opened);
  }
}

/** The id of the KEK that wrapped it, as far as an envelope can be told from other bytes. */
export function kekIdOf(envelope: Uint8Array): string | undefined {
  if (envelope.length < ENVELOPE_OVERHEAD || envelope[0] !== FORMAT_VERSION) return undefined;
  return Buffer.from(envelope.subarray(1, HEADER)).toString('hex');
}

/** The same record under another KEK, without decrypting it. Undefined if `from` does not unwrap it. */
export function rewrapEnvelope(from: KeyEncryptionKey, to: KeyEncryptionKey, envelope: Uint8Array): Buffer | undefined {
  const dek = unwrapDek(from, envelope);
  if (dek === undefined) return undefined;
  try {
    const head = header(to);
    return Buffer.concat([head, encrypt(to.key, dek, head), envelope.subarray(HEADER + WRAP)]);
  } finally {
    dek.fill(0);
  }
}

function unwrapDek(kek: KeyEncryptionKey, envelope: Uint8Array): Buffer | undefined {
  if (envelope.length < ENVELOPE_OVERHEAD) return undefined;
  const head = header(kek);
  // Of another format or under another key: not an attack and not damage, but nothing this key can open.
  if (!head.equals(envelope.subarray(0, HEADER))) return undefined;
  return decrypt(kek.key, partsOf(envelope.subarray(HEADER, HEADER + WRAP)), head);
}

function header(kek: KeyEncryptionKey): Buffer {
  const head = Buffer.alloc(HEADER);
  head.writeUInt8(FORMAT_VERSION, 0);
  head.write(kek.id, 1, 'hex');
  return head;
}

function dataBinding(binding: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_VERSION), binding]);
}

function encrypt(key: KeyObject, plaintext: Uint8Array, additional: Uint8Array): Buffer {
  const iv = randomFillSync(Buffer.alloc(IV));
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG });
  cipher.setAAD(additional);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([iv, ciphertext, cipher.getAuthTag()]);
}

/** Views, not copies. */
interface SealedParts {
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

function partsOf(sealed: Uint8Array): SealedParts {
  const end = sealed.length - TAG;
  return { iv: sealed.subarray(0, IV), ciphertext: sealed.subarray(IV, end), tag: sealed.subarray(end) };
}

const OPTIONS = { authTagLength: TAG } as const;

function decrypt(key: KeyObject, { iv, ciphertext, tag }: SealedParts, additional: Uint8Array): Buffer | undefined {
  // Without a fixed authTagLength Node accepts shortened tags (DEP0182), which are a few guesses away from a forgery.
  const decipher = createDecipheriv('aes-256-gcm', key, iv, OPTIONS);
  decipher.setAAD(additional);
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  try {
    decipher.final();
    return plaintext;
  } catch {
    plaintext.fill(0);
    return undefined;
  }
}
