import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LONGEST_KEY, NAME, SESSION_START } from '../../../src/protocol/request.ts';

const source = ['broker-key.c', 'text.h']
  .map((file) => readFileSync(new URL(`../../../native/${file}`, import.meta.url), 'utf8'))
  .join('');

const constant = (name: string) => Number(source.match(new RegExp(`\\b${name}(?: =)? (\\d+)\\b`))?.[1]);

it("the helper's own copy of what a request may hold is the same", () => {
  expect({
    longestKey: constant('KEY_LIMIT'),
    longestName: constant('NAME_LIMIT'),
    session: constant('SESSION_START'),
  }).toEqual({
    longestKey: LONGEST_KEY,
    longestName: Number(NAME.source.match(/\{0,(\d+)\}/)?.[1]) + 1,
    session: SESSION_START,
  });
});
