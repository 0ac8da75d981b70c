import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';
import { SecretBytes } from '../credential/secret-bytes.ts';
import { KEK_ID_BYTES, KEY_BYTES, type KeyEncryptionKey } from './key-encryption-key.ts';

/**
 * Envelope encryption: every record has a data-encryption key (DEK) of its own, and the key-encryption key (KEK)
 * wraps only that. A new KEK then means wrapping 32 bytes per record anew, without ever decrypting a record.
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
 * to be given to `openEnvelope`. Build it with `encodeFields`.
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
 * authenticates, but only once is the DEK unwrapped. It is as safe as the KEK, which lies in the same memory in the
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
