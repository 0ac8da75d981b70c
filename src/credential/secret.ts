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

export function wipeAll(secrets: ReadonlyMap<string, SecretBytes>): void {
  for (const secret of secrets.values()) secret.wipe();
}

export type Json = Readonly<Record<string, unknown>>;

/**
 * The JSON object that a text is, or undefined. A number that JavaScript would turn into another one stays what is written
 * there: an integer as a bigint, any other as text (`source` is there from Node 21 on).
 */
export function parseObject(text: string): Json | undefined {
  const value = /^\s*\{/.test(text) ? parseJson(text) : undefined;
  return value as Json | undefined;
}

/** The object or list that a text is, as `parseObject` reads it. */
export function parseJson(text: string): Json | readonly unknown[] | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  try {
    return JSON.parse(text, keepNumber) as Json | readonly unknown[];
  } catch {
    return undefined;
  }
}

function keepNumber(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== 'number' || source === undefined || String(value) === source) return value;
  if (isExact(value, source)) return value;
  return /^-?\d{1,400}$/.test(source) ? BigInt(source) : source;
}

/** Fifteen digits always come through (IEEE 754); of a longer number, a small or a large one it has to be seen. */
function isExact(value: number, source: string): boolean {
  const digits = source.replace(/e.*$/i, '').replaceAll(/\D/g, '').replace(/^0+/, '');
  return digits.length <= 15 && Number.isFinite(value) && (value !== 0 || digits === '');
}

/**
 * The same text without a byte order mark and in UTF-8: PowerShell writes UTF-16, many editors a mark.
 * @returns a part of `raw`, or for UTF-16 a copy, which the caller wipes as well.
 */
export function asUtf8(raw: Buffer): Buffer {
  if (raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf) return raw.subarray(3);
  const littleEndian = raw[0] === 0xff && raw[1] === 0xfe;
  const bigEndian = raw[0] === 0xfe && raw[1] === 0xff;
  const length = raw.length - (raw.length % 2);
  // Without a mark it is known by its zeros: every other byte of ASCII.
  const startsWithZero = length >= 4 && raw[0] === 0 && raw[2] === 0 && raw[1] !== 0;
  const startsWithLetter = length >= 4 && raw[1] === 0 && raw[3] === 0 && raw[0] !== 0;
  if (!littleEndian && !bigEndian && !startsWithZero && !startsWithLetter) return raw;
  const units = Buffer.from(raw.subarray(littleEndian || bigEndian ? 2 : 0, length));
  if (bigEndian || startsWithZero) units.swap16();
  const text = units.toString('utf16le');
  units.fill(0);
  const copy = Buffer.alloc(Buffer.byteLength(text));
  copy.write(text);
  return copy;
}
