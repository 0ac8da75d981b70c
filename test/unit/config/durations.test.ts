import { expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/config/durations.ts';
import { BrokerError } from '../../../src/errors.ts';

it.each([
  ['90s', 90_000],
  ['15m', 900_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['500ms', 500],
  ['1h30m', 5_400_000],
  ['1d2h3m4s5ms', 93_784_005],
  ['0s', 0],
  [' 15m ', 900_000],
])('%j is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

it.each([
  ['', 'empty', 'write a duration like'],
  ['90', 'no unit', 'write "90s"'],
  ['15 minutes', 'not a duration', 'write "15m"'],
  ['2 hours 30 mins', 'not a duration', 'write "2h30m"'],
  ['15M', 'not a duration', 'write "15m"'],
  ['1.5h', 'whole numbers', 'write a duration like'],
  ['-5m', 'negative', 'write a duration like'],
  ['+5m', 'not a duration', 'write "5m"'],
  ['1w', 'not a duration', 'write a duration like'],
  ['P1D', 'not a duration', 'write a duration like'],
  ['1h1h', 'large to small', 'write a duration like'],
  ['1s1h', 'large to small', 'write a duration like'],
  ['3651d', 'over ten years', 'at most'],
  [`${'9'.repeat(400)}d`, 'not a duration', 'write a duration like'],
  ['١٥m', 'not a duration', 'write a duration like'],
])('%j is refused', (text, wrong, instead) => {
  const refusal = (() => {
    try {
      return parseDuration(text);
    } catch (error) {
      return error;
    }
  })();
  expect(refusal).toBeInstanceOf(BrokerError);
  expect(refusal).toMatchObject({
    code: 'ERR_CONFIG',
    message: expect.stringContaining(wrong),
    remedy: expect.stringContaining(instead),
  });
});

it.each([
  [0, '0s'],
  [1, '1ms'],
  [90_000, '90s'],
  [900_000, '15m'],
  [86_400_000, '1d'],
  [604_800_000, '7d'],
  [5_400_000, '90m'],
  [5_401_000, '1h30m1s'],
  [1500, '1s500ms'],
])('%d ms are written %j', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
