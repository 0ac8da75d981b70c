import { expect, test } from 'vitest';
import { apiPath, factsIn, listed } from '../../../src/setup/vault-facts.ts';

const ANSWER = {
  data: {
    auth: { 'token/': { type: 'token' }, 'team/oidc/': { type: 'oidc' } },
    secret: {
      'secret/': { type: 'kv', options: { version: '2' } },
      'team/kv/': { type: 'kv', options: { version: '2' } },
      'old/': { type: 'kv', options: null },
      'db/': { type: 'database', options: null },
      'cubbyhole/': { type: 'cubbyhole' },
      'sys/': { type: 'system' },
    },
  },
};

test('what Vault lists: logins, and the engines that keys may be in', () => {
  const facts = factsIn(ANSWER);
  expect([...facts.logins]).toEqual([
    ['token', 'token'],
    ['team/oidc', 'oidc'],
  ]);
  expect(listed(facts.engines)).toBe(
    'secret/ (kv version 2), team/kv/ (kv version 2), old/ (kv version 1), db/ (database)',
  );
});

test.each([
  ['secret/claude', 'secret/data/claude'],
  ['secret/data/claude', 'secret/data/claude'],
  ['/v1/team/kv/a/b', 'team/kv/data/a/b'],
  ['secret/metadata/claude', 'secret/metadata/claude'],
  ['old/claude', 'old/claude'],
  ['unknown/claude', 'unknown/claude'],
])('%s is asked for at %s', (written, path) => {
  expect(apiPath(written, factsIn(ANSWER))).toBe(path);
});

test.each([undefined, {}, { data: null }, { data: { auth: 1, secret: ['x'] } }, { secret: { 'a/': 1 } }])(
  'an answer that says nothing: nothing is known of it',
  (json) => {
    const { logins, engines } = factsIn(json);
    expect([logins.size, engines.size]).toEqual([0, 0]);
  },
);
