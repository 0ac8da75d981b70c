import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Ask } from '../../../src/broker/api.ts';
import { BASIC_FORMATS, clientFormats, jsonString } from '../../../src/server/formats.ts';
import { ScriptedBroker } from '../../fakes/scripted-broker.ts';

const ask: Ask = {
  at: { nowMs: 0, wallMs: 0 },
  credential: 'anthropic',
  intervalMs: 1,
  client: undefined,
  namesInterval: false,
  format: 'raw',
  saysRejected: false,
  mayBeOwn: false,
  origin: () => 'other',
  signal: new AbortController().signal,
};
const format = (name: 'raw' | 'json', fields: Record<string, string>) =>
  BASIC_FORMATS.get(name)!(new ScriptedBroker().give(ask, fields), { expiresAt: '2030-01-01T01:00:00.000Z' });

it('raw is the key and nothing else', () => {
  expect(format('raw', { value: 'sk-1' }).body.toString()).toBe('sk-1');
});

it('raw says so where there is more than one value', () => {
  expect(() => format('raw', { access_key: 'a', secret_key: 'b' })).toThrow(
    expect.objectContaining({
      code: 'ERR_USAGE',
      message: expect.stringContaining('access_key, secret_key') as string,
    }),
  );
  expect(() => format('raw', { only: 'a' })).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
});

it('json holds the key, or its fields, and what is known of it', () => {
  const facts = { credential: 'anthropic', version: '7', expiresAt: '2030-01-01T01:00:00.000Z', state: 'fresh' };
  expect(JSON.parse(format('json', { value: 'sk-"\\1' }).body.toString())).toEqual({ ...facts, key: 'sk-"\\1' });
  expect(JSON.parse(format('json', { a: 'x', 'b"': 'y' }).body.toString())).toEqual({
    ...facts,
    fields: { a: 'x', 'b"': 'y' },
  });
});

it('writes bytes as JSON just as JSON.stringify would be read', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(JSON.parse(jsonString(Buffer.from(text)).toString())).toBe(text);
    }),
  );
});

const client = (name: 'headers' | 'aws' | 'proxy', fields: Record<string, string>, expiresAt?: string) =>
  clientFormats((credential) =>
    credential === 'anthropic' ? { name: 'Authorization', prefix: 'Bearer ' } : undefined,
  ).get(name)!(new ScriptedBroker().give(ask, fields), { expiresAt }).body.toString();

it('headers puts a key into the header that the credential names, several values into as many', () => {
  expect(client('headers', { value: 'sk-"1' })).toBe('{"Authorization":"Bearer sk-\\"1"}');
  expect(client('headers', { 'x-a': '1', 'x-b': '2' })).toBe('{"x-a":"1","x-b":"2"}');
  expect(() => client('headers', { a: 'x'.repeat(40_000), b: 'x'.repeat(40_000) })).toThrow(
    expect.objectContaining({ code: 'ERR_KEY_UNUSABLE' }),
  );
});

it.each([
  ['access_key', 'secret_key', 'security_token'],
  ['AccessKeyId', 'SecretAccessKey', 'SessionToken'],
  ['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token'],
])('aws knows the parts as %s, %s, %s', (id, secret, token) => {
  const parts = { AccessKeyId: 'a', SecretAccessKey: 'b', SessionToken: 'c' };
  expect(JSON.parse(client('aws', { [token]: 'c', [id]: 'a', [secret]: 'b' }))).toEqual({ Credentials: parts });
  expect(JSON.parse(client('aws', { [token]: 'c', [id]: 'a', [secret]: 'b' }, '2030-01-01T00:00:00.000Z'))).toEqual({
    Credentials: { ...parts, Expiration: '2030-01-01T00:00:00.000Z' },
  });
  expect(() => client('aws', { [id]: 'a', [secret]: 'b' })).toThrow(/SessionToken/);
});

it('proxy is a bearer token, or Basic as everybody encodes it', () => {
  expect(client('proxy', { value: 'sk-1' })).toBe('Bearer sk-1');
  const word = fc.stringMatching(/^[!-9;-~]{1,40}$/);
  fc.assert(
    fc.property(word, fc.stringMatching(/^[!-~]{1,40}$/), (username, password) => {
      const encoded = Buffer.from(`${username}:${password}`).toString('base64');
      expect(client('proxy', { username, password })).toBe(`Basic ${encoded}`);
    }),
  );
  expect(client('proxy', { Pass: 'b', USER: 'a' })).toBe('Basic YTpi');
  expect(() => client('proxy', { user: 'a:b', password: 'c' })).toThrow(/colon/);
  expect(() => client('proxy', { user: 'a' })).toThrow(/has no password/);
});
