import { inspect } from 'node:util';

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
