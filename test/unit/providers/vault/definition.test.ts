import { describe, expect, test } from 'vitest';
import { vaultDefinition } from '../../../../src/providers/vault/options.ts';

const { providerSchema, credentialSchema, identify } = vaultDefinition;
const address = 'https://vault.example.com:8200';
const approle = { method: 'approle', role_id: 'r', secret_id_file: '/s' };

test('what is left open has defaults', () => {
  expect(providerSchema.parse({ address })).toEqual({
    address,
    auth: { method: 'token' },
    skip_verify: false,
    timeout: 30_000,
  });
  expect(providerSchema.parse({ address, auth: approle }).auth).toMatchObject({
    mount: 'approle',
    secret_id_wrapped: false,
  });
  expect(credentialSchema.parse({ path: 'kv/x' })).toEqual({ path: 'kv/x', method: 'GET', params: {} });
});

test.each([
  ['https://vault.example.com:8200/', 'https://vault.example.com:8200'],
  ['https://gateway.example.com/vault/v1', 'https://gateway.example.com/vault'],
  ['unix:///run/vault.sock', 'unix:///run/vault.sock'],
])('the address %s is taken as %s', (written, meant) => {
  expect(providerSchema.parse({ address: written }).address).toBe(meant);
});

describe('a provider is refused', () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    ['without an address', {}, /address/],
    ['with a bare host', { address: 'vault.example.com' }, /not a URL/],
    ['with an ftp address', { address: 'ftp://vault' }, /not a URL/],
    ['with a password in the address', { address: 'https://u:p@vault' }, /holds a password/],
    ['with a query', { address: 'https://vault?x=1' }, /query/],
    ['with an unknown key', { address, adress: 'x' }, /adress/],
    ['with an unknown method', { address, auth: { method: 'magic' } }, /method|discriminator|Invalid/],
    ['with two tokens', { address, auth: { method: 'token', token: 't', token_file: '/t' } }, /exclude each other/],
    [
      'with an AppRole without a role-id',
      { address, auth: { method: 'approle' } },
      /role_id or role_id_file is missing/,
    ],
    ['with two role-ids', { address, auth: { ...approle, role_id_file: '/r' } }, /exclude each other/],
    [
      'with a user and two passwords',
      { address, auth: { method: 'userpass', username: 'a', password: 'p', password_file: '/p' } },
      /exclude/,
    ],
    ['with a port that is none', { address, auth: { method: 'oidc', callback_port: 0 } }, /callback_port/],
    ['with cert and no certificate', { address, auth: { method: 'cert' } }, /client certificate/],
    ['with half a client certificate', { address, client_cert_file: '/c' }, /go together/],
    ['with a relative file', { address, ca_file: 'ca.pem' }, /not absolute/],
    ['with a time limit of nothing', { address, timeout: '0s' }, /too short/],
  ])('%s', (_name, options, message) => {
    const { error } = providerSchema.safeParse(options);
    expect(JSON.stringify(error?.issues)).toMatch(message);
  });
});

describe('a path', () => {
  test.each([
    ['/v1/secret/data/x', 'secret/data/x'],
    ['/secret/data/x', 'secret/data/x'],
    ['v1/kv/x', 'kv/x'],
  ])('%s is %s', (written, meant) => expect(credentialSchema.parse({ path: written }).path).toBe(meant));

  test.each(['/', 'kv/../sys/seal', 'kv/./x', 'kv/x?version=1', 'kv/a b', 'kv/x#y', ''])('%j is refused', (path) => {
    expect(credentialSchema.safeParse({ path }).success).toBe(false);
  });
});

test('sources are told apart by what changes the answer, not by the order of writing', () => {
  const id = (source: object) => identify(credentialSchema.parse(source));
  expect(id({ path: 'kv/x', params: { a: '1', b: '2' } })).toBe(id({ path: '/v1/kv/x', params: { b: '2', a: '1' } }));
  const others = [
    { path: 'kv/y' },
    { path: 'kv/x', namespace: 'n' },
    { path: 'kv/x', method: 'POST' },
    { path: 'kv/x', params: { a: 1 } },
  ];
  expect(new Set([{ path: 'kv/x' }, ...others].map(id)).size).toBe(5);
});
