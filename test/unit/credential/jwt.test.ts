import { describe, expect, it } from 'vitest';
import { decodeJwt } from '../../../src/credential/expiry.ts';

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const token = (header: unknown, payload: unknown, signature = 'c2ln') =>
  Buffer.from(`${part(header)}.${part(payload)}.${signature}`);

describe('a key that is a JSON Web Token', () => {
  it('tells when it expires, in milliseconds', () => {
    expect(decodeJwt(token({ alg: 'RS256' }, { exp: 1_900_000_000 }))).toEqual({ expiresAtMs: 1_900_000_000_000 });
    expect(decodeJwt(token({ alg: 'RS256' }, { exp: 1_900_000_000.5 }))).toEqual({ expiresAtMs: 1_900_000_000_500 });
  });

  it.each([
    ['without exp', {}],
    ['with exp as text', { exp: '1900000000' }],
    ['with exp null', { exp: null }],
    ['with an exp no number can hold', { exp: Number.POSITIVE_INFINITY }],
  ])('is one without a known end %s', (_what, payload) => {
    expect(decodeJwt(token({ alg: 'none' }, payload))).toEqual({ expiresAtMs: undefined });
  });

  it.each([
    ['an ordinary key', Buffer.from('sk-ant-api03-x')],
    ['nothing', Buffer.alloc(0)],
    ['a key that happens to begin like one', Buffer.from('eyJ-not-a-token')],
    ['two parts', Buffer.from(`${part({})}.${part({})}`)],
    ['five parts (encrypted)', Buffer.from(`${part({})}.a.b.c.d`)],
    ['a payload that is no object', token({ alg: 'x' }, [1])],
    ['a payload that is no JSON', Buffer.from(`${part({ alg: 'x' })}.eyJh.c2ln`)],
    ['characters outside base64url', Buffer.from(`${part({ alg: 'x' })}.e+/=.c2ln`)],
  ])('is none: %s', (_what, key) => {
    expect(decodeJwt(key)).toBeUndefined();
  });
});
