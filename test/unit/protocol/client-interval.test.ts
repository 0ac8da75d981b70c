import { expect, it } from 'vitest';
import { parseClientInterval } from '../../../src/protocol/request.ts';

// An interval that broker and client read differently makes each ask of the client early, or none.
it.each([
  ['0', 0],
  ['300000', 300_000],
  [' 300000\n', 300_000],
  ['+5', 5],
  ['5m', 5],
  ['60s', 60],
  ['1000ms', 1_000],
  ['1.5', 1],
  ['0x10', 0],
  ['3e5', 300_000],
  ['2.5E3', 2_500],
  ['300_000', 300_000],
  ['1,800,000', 1_800_000],
  ['300 000', 300_000],
  ['300,00', 300],
  ['1_000,000', 1],
  ['9'.repeat(40), 999_999_999_999_999],
  ['1e300', 999_999_999_999_999],
])('an interval of %j is %i ms for the client, and for the broker', (text, ms) => {
  expect(parseClientInterval(text)).toBe(ms);
});

it.each(['', ' ', 'abc', '-1', '1.5e0', 'five', '_1', '-3e5'])('for %j the client takes its default', (text) => {
  expect(parseClientInterval(text)).toBeUndefined();
});
