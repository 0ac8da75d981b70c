import fc from 'fast-check';

/** Bytes near those of a sample: pieces cut out, doubled, exchanged, flipped, and words put in. */
export function near(samples: readonly string[], words: readonly string[]): fc.Arbitrary<Buffer> {
  const position = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const change = fc.record({
    kind: fc.constantFrom('cut', 'double', 'flip', 'word', 'noise', 'swap'),
    at: position,
    length: fc.nat(40),
    bit: fc.nat(7),
    word: fc.constantFrom(...words),
    noise: fc.uint8Array({ maxLength: 8 }),
  });
  return fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 6 }))
    .map(([sample, changes]) => changes.reduce(applied, Buffer.from(sample)));
}

interface Change {
  readonly kind: string;
  readonly at: number;
  readonly length: number;
  readonly bit: number;
  readonly word: string;
  readonly noise: Uint8Array;
}

function applied(bytes: Buffer, { kind, at, length, bit, word, noise }: Change): Buffer {
  const from = Math.floor(at * bytes.length);
  const [head, piece, tail] = [
    bytes.subarray(0, from),
    bytes.subarray(from, from + length),
    bytes.subarray(from + length),
  ];
  switch (kind) {
    case 'cut':
      return Buffer.concat([head, tail]);
    case 'double':
      return Buffer.concat([head, piece, piece, tail]);
    case 'swap':
      return Buffer.concat([piece, head, tail]);
    case 'word':
      return Buffer.concat([head, Buffer.from(word), piece, tail]);
    case 'noise':
      return Buffer.concat([head, noise, tail]);
    default: {
      const flipped = Buffer.from(bytes);
      if (from < flipped.length) flipped[from] = (flipped[from] ?? 0) ^ (1 << bit);
      return flipped;
    }
  }
}
