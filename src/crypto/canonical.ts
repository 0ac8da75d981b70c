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
