import { describe, expect, test } from 'vitest';
import { judgeRedirect } from '../../../../src/providers/vault/transport.ts';

const FROM = 'https://vault.example.com:8200/v1/kv/claude';

function judge(location: string | undefined, { status = 307, method = 'GET', from = FROM } = {}) {
  const headers = location === undefined ? {} : { location };
  return judgeRedirect({ status, headers, json: undefined, wantsTls: false }, from, method);
}

describe('a token is taken along', () => {
  test.each([
    ['to another path of the same host', '/v1/kv/other', 'https://vault.example.com:8200/v1/kv/other'],
    ['spelt in full', 'https://vault.example.com:8200/x', 'https://vault.example.com:8200/x'],
    ['spelt in capitals', 'https://VAULT.example.com:8200/x', 'https://vault.example.com:8200/x'],
  ])('%s', (_name, location, uri) => expect(judge(location)).toEqual({ uri, method: 'GET' }));

  test('from http to https', () => {
    expect(judge('https://vault:8200/x', { from: 'http://vault:8200/x' })).toBeDefined();
  });

  test.each([307, 308])('by %i with its method', (status) => {
    expect(judge('/x', { status, method: 'POST' })).toMatchObject({ method: 'POST' });
  });
});

describe('a token stays', () => {
  test.each([
    ['another host', 'https://evil.example.com:8200/x'],
    ['another host without a scheme', '//evil.example.com:8200/x'],
    ['another port', 'https://vault.example.com/x'],
    ['a longer host', 'https://vault.example.com.evil.net:8200/x'],
    ['a host behind a password', 'https://vault.example.com:8200@evil.example.com:8200/x'],
    ['a password', 'https://user:pw@vault.example.com:8200/x'],
    ['plain http', 'http://vault.example.com:8200/x'],
    ['another scheme', 'file:///etc/passwd'],
    ['nothing', undefined],
    ['what is no URL', 'https://[::'],
  ])('%s', (_name, location) => expect(judge(location)).toBeUndefined());

  test.each([301, 302, 303])('when %i would turn a POST into a GET', (status) => {
    expect(judge('/x', { status, method: 'POST' })).toBeUndefined();
  });
});
