import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJwt, findExpiry, parseExpiryField } from '../../src/credential/expiry.ts';
import { fieldAt, selectField } from '../../src/credential/field.ts';
import { keyFault, mistakenForKey, toKey, trimKey } from '../../src/credential/key.ts';
import { ProviderError } from '../../src/errors.ts';
import { LONGEST_KEY } from '../../src/protocol/request.ts';

describe('parsers of foreign values never throw and never invent', () => {
  it('decodes whatever a key may hold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const claims = decodeJwt(Buffer.from(bytes));
        expect(claims === undefined || claims.expiresAtMs === undefined || Number.isFinite(claims.expiresAtMs)).toBe(
          true,
        );
      }),
    );
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (header, payload) => {
        const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
        const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
        const claims = decodeJwt(Buffer.from(`${part(header)}.${part(payload)}.`));
        if (claims !== undefined) expect(isObject(header) && isObject(payload)).toBe(true);
      }),
    );
  });

  it('reads whatever an expiry field may hold', () => {
    fc.assert(
      fc.property(fc.anything(), fc.integer({ min: 0, max: 4e12 }), (value, now) => {
        const end = parseExpiryField(value, now);
        expect(end === undefined || Number.isFinite(end)).toBe(true);
      }),
    );
  });

  it('takes the earliest end of all', () => {
    const maybe = fc.option(fc.integer({ min: 0, max: 4e12 }), { nil: undefined });
    fc.assert(
      fc.property(maybe, maybe, fc.integer({ min: 0, max: 4e12 }), (jwt, provider, serverNowMs) => {
        const limits = {
          requestedAtMs: 1_000,
          serverNowMs,
          jwtExpiresAtMs: jwt,
          providerExpiresAtMs: provider,
          field: undefined,
        };
        const ends = [jwt, provider].filter((end) => end !== undefined);
        const expected = ends.length === 0 ? undefined : 1_000 + Math.min(...ends) - serverNowMs;
        expect(findExpiry(limits).expiresAtMs).toBe(expected);
      }),
    );
  });

  it('finds only own properties and fails with a ProviderError only', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (secret, path) => {
        try {
          expect(typeof selectField(secret, path).value).toBe('string');
        } catch (error) {
          expect(error).toBeInstanceOf(ProviderError);
        }
        for (const name of Object.keys(secret)) expect(fieldAt(secret, name)).toBe(secret[name]);
      }),
    );
  });

  it('takes as a key exactly what the client takes, but for what is another thing by its form', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (text) => {
        const raw = Buffer.from(text, 'utf8');
        const fits = /^[\x21-\x7e]+$/.test(trimKey(raw).toString('utf8')) && trimKey(raw).length <= LONGEST_KEY;
        expect(keyFault(trimKey(raw)) === undefined).toBe(fits);
        if (!fits) return;
        if (mistakenForKey(trimKey(raw)) === undefined) expect(toKey(raw, 'it').reveal()).toBe(trimKey(raw).toString());
        else expect(() => toKey(raw, 'it')).toThrow(ProviderError);
      }),
    );
  });
});
