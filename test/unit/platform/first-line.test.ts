import { expect, test } from 'vitest';
import { firstLine } from '../../../src/platform/text.ts';

const KEY = 'sk-ant-api03-AbC123xyz789';

test.each([
  ['', ''],
  ['\n\n  not found  \nsecond', 'not found'],
  ['\u001b[31mERROR:\u001b[0m denied', 'ERROR: denied'],
  ['bell\u0007 and \u202e tricks', 'bell and tricks'],
  [`bad key ${KEY}.`, 'bad key [redacted].'],
  [`"${KEY}" is no key`, '"[redacted]" is no key'],
  ['password: hunter2', 'password: [redacted]'],
  ['token=abc', 'token=[redacted]'],
  ['Authorization: Bearer abc9', 'Authorization: Bearer [redacted]'],
  ['your secret is swordfish', 'your secret is [redacted]'],
  ['the token has expired', 'the token has expired'],
  ['https://me:pw@host.example/x', 'https://[redacted]@host.example/x'],
  [
    'cannot open /home/somebody/.config/gcloud/credentials.db',
    'cannot open /home/somebody/.config/gcloud/credentials.db',
  ],
  ['see /tmp/AbCdEf0123456789XyZ', 'see [redacted]'],
  ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', '[redacted]'],
  ['op://dev/claude/credential', 'op://dev/claude/credential'],
])('%j is shown as %j', (stderr, shown) => {
  expect(firstLine(stderr, [])).toBe(shown);
});

test('what is known to be secret never shows, whatever it looks like', () => {
  expect(firstLine('cannot unlock with correct horse', ['correct horse'])).toBe('cannot unlock with [redacted]');
});

test('a long line is cut', () => {
  expect(firstLine('word '.repeat(100), [])).toHaveLength(160);
});
