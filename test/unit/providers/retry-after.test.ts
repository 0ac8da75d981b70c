import { expect, test } from 'vitest';
import { parseRetryAfter } from '../../../src/providers/network.ts';

const NOW = Date.parse('Wed, 21 Oct 2026 07:28:00 GMT');

test.each([
  ['7', 7_000],
  ['0', 0],
  ['0.5', 500],
  ['Wed, 21 Oct 2026 07:30:00 GMT', 120_000],
  ['Wed, 21 Oct 2026 07:00:00 GMT', 0],
  ['soon', undefined],
  ['-5', undefined],
  ['7 minutes', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After %j is %j ms', (header, expected) => {
  expect(parseRetryAfter(header, NOW)).toBe(expected);
});

test('a date says nothing without the clock of whoever wrote it', () => {
  expect(parseRetryAfter('Wed, 21 Oct 2026 07:30:00 GMT', undefined)).toBeUndefined();
  expect(parseRetryAfter('7', undefined)).toBe(7_000);
});
