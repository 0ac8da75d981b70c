import { describe, expect, it } from 'vitest';
import { painter, relative, table } from '../../../src/cli/output.ts';
import { duration } from '../../../src/platform/text.ts';

it.each([
  [0, '0 s'],
  [59_499, '59 s'],
  [60_000, '1 min'],
  [125_000, '2 min'],
  [3_600_000, '1 h'],
  [7_500_000, '2 h 5 min'],
  [39_600_000, '11 h'],
  [90_000_000, '1 d 1 h'],
  [864_000_000, '10 d'],
  [-5, '0 s'],
])('duration of %i ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it('says when, seen from now', () => {
  const now = Date.UTC(2030, 0, 1);
  expect(relative('2030-01-01T00:05:00Z', now)).toBe('in 5 min');
  expect(relative('2029-12-31T23:59:50Z', now)).toBe('10 s ago');
  expect(relative('2030-01-01T00:00:00.400Z', now)).toBe('now');
});

it('lines up columns by what is seen, not by escape sequences', () => {
  const paint = painter({ env: {}, stdoutIsTty: true });
  expect(
    table([
      ['a', 'bb', 'c'],
      [paint('red', 'long'), '', ''],
    ]),
  ).toBe('a     bb  c\n\x1b[31mlong\x1b[39m\n');
});

describe('colour', () => {
  it.each([
    ['on a terminal', {}, true, true],
    ['not in a pipe', {}, false, false],
    ['not with NO_COLOR', { NO_COLOR: '1' }, true, false],
    ['but with an empty NO_COLOR', { NO_COLOR: '' }, true, true],
    ['not on a dumb terminal', { TERM: 'dumb' }, true, false],
  ])('%s', (_, env, stdoutIsTty, coloured) => {
    expect(painter({ env, stdoutIsTty })('red', 'x') !== 'x').toBe(coloured);
  });
});
