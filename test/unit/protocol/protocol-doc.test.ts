import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { BrokerError, type ErrorCode } from '../../../src/errors.ts';
import { PROBLEM_TITLES } from '../../../src/protocol/problem.ts';
import { DEFAULT_LIMITS } from '../../../src/server/limits.ts';

const document = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');

it('lists every code with its status and exit code, and no other', () => {
  const rows = [...document.matchAll(/^\| `(ERR_\w+)` \| (\d+) \| (\d+) \|/gm)].map(([, ...cells]) => cells.join(' '));
  const codes = Object.keys(PROBLEM_TITLES).map((code) => {
    const error = new BrokerError(code as ErrorCode, '');
    return `${code} ${error.httpStatus} ${error.exitCode}`;
  });
  expect(rows.toSorted()).toEqual(codes.toSorted());
});

it('states the limits that are in force', () => {
  expect(DEFAULT_LIMITS).toEqual({
    headerBytes: 16 * 1024,
    silentMs: 5_000,
    drainMs: 10_000,
    connections: 512,
    connectionsAtMost: 2_048,
    bodyBytes: 4 * 1024,
    tokenBytes: 16 * 1024,
    followers: 32,
    waiting: 1_024,
  });
  for (const words of ['16 KiB', '4 KiB', '5 s', '10 s', '| 512 |', '2,048', '| 32 |', '1,024'])
    expect(document).toContain(words);
});
