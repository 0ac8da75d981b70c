import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lengthPrefixed } from '../../src/crypto/digest.ts';
import {
  ENVELOPE_OVERHEAD,
  KeyEncryptionKey,
  openEnvelope,
  rewrapEnvelope,
  sealEnvelope,
} from '../../src/crypto/envelope.ts';

const kek = KeyEncryptionKey.ephemeral();
const bytes = fc.uint8Array({ maxLength: 200 });
const part = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 4 }), fc.uint8Array({ maxLength: 4 }));

describe('envelope', () => {
  it('opens to what was sealed, and leaves the plaintext alone', () => {
    fc.assert(
      fc.property(bytes, bytes, (plaintext, binding) => {
        const before = Buffer.from(plaintext);
        const envelope = sealEnvelope(kek, plaintext, binding);
        expect(envelope.length).toBe(plaintext.length + ENVELOPE_OVERHEAD);
        expect(openEnvelope(kek, envelope, binding)?.bytes.equals(before)).toBe(true);
        expect(before.equals(plaintext)).toBe(true);
      }),
    );
  });

  it('opens no envelope in which a single bit was changed', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.nat(), (plaintext, binding, at) => {
        const envelope = sealEnvelope(kek, plaintext, binding);
        flip(envelope, at % (envelope.length * 8));
        expect(openEnvelope(kek, envelope, binding)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('opens under no binding in which a single bit was changed', () => {
    fc.assert(
      fc.property(bytes, fc.uint8Array({ minLength: 1, maxLength: 99 }), fc.nat(), (plaintext, binding, at) => {
        const envelope = sealEnvelope(kek, plaintext, binding);
        const other = Buffer.from(binding);
        flip(other, at % (other.length * 8));
        expect(openEnvelope(kek, envelope, other)).toBeUndefined();
      }),
    );
  });

  it('never throws on garbage or on a piece of an envelope', () => {
    const whole = sealEnvelope(kek, Buffer.from('sk'), Buffer.alloc(0));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(whole.length - 1), (garbage, length) => {
        expect(openEnvelope(kek, garbage, garbage)).toBeUndefined();
        expect(openEnvelope(kek, whole.subarray(0, length), Buffer.alloc(0))).toBeUndefined();
      }),
    );
  });

  it('is sealed differently every time, and opens under no other key', () => {
    const seals = Array.from({ length: 50 }, () => sealEnvelope(kek, Buffer.from('same'), Buffer.alloc(0)));
    expect(new Set(seals.map((seal) => seal.toString('hex'))).size).toBe(seals.length);
    // Not even their data-encryption keys, IVs or ciphertexts repeat.
    expect(new Set(seals.map((seal) => seal.subarray(-20).toString('hex'))).size).toBe(seals.length);
    for (const seal of seals) expect(openEnvelope(KeyEncryptionKey.ephemeral(), seal, Buffer.alloc(0))).toBeUndefined();
  });

  it('moves to another key without touching what it holds', () => {
    fc.assert(
      fc.property(bytes, bytes, (plaintext, binding) => {
        const next = KeyEncryptionKey.ephemeral();
        const sealed = sealEnvelope(kek, plaintext, binding);
        const moved = rewrapEnvelope(kek, next, sealed);
        if (moved === undefined) throw new Error('not rewrapped');
        expect(openEnvelope(next, moved, binding)?.bytes.equals(plaintext)).toBe(true);
        expect(openEnvelope(kek, moved, binding)).toBeUndefined();
        expect(rewrapEnvelope(next, kek, sealed)).toBeUndefined();
      }),
    );
  });
});

describe('what a seal is bound to', () => {
  it('is injective: equal only for equal lists', () => {
    const list = fc.array(part, { maxLength: 4 });
    fc.assert(
      fc.property(list, list, (a, b) => {
        const isSame = a.length === b.length && a.every((one, at) => Buffer.from(one).equals(Buffer.from(b[at] ?? '')));
        expect(lengthPrefixed(...a).equals(lengthPrefixed(...b))).toBe(isSame);
      }),
      { numRuns: 5_000 },
    );
  });

  it('cannot be cut differently', () => {
    const lists = [
      ['ab', 'c'],
      ['a', 'bc'],
      ['abc'],
      // A value that imitates the border between two parts: a length of none or of two.
      ['a\0\0\0\0bc'],
      ['a\0\0\0\u0002bc'],
      ['abc', ''],
      ['', 'abc'],
      [''],
      [],
    ];
    const encodings = lists.map((one) => lengthPrefixed(...one).toString('hex'));
    expect(new Set(encodings).size).toBe(encodings.length);
  });
});

function flip(buffer: Uint8Array, bit: number): void {
  buffer[bit >> 3] = (buffer[bit >> 3] ?? 0) ^ (1 << (bit & 7));
}
