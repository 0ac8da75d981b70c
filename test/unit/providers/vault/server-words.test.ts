import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { serverWords } from '../../../../src/providers/vault/failures.ts';

describe("a server's words", () => {
  test("are Vault's lists in one line", () => {
    const message = '2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n';
    expect(serverWords([message], [])).toBe('permission denied; invalid token');
    expect(serverWords([], [])).toBeUndefined();
    expect(serverWords(['\n'], [])).toBeUndefined();
  });

  test.each([
    ['a service token', 'hvs.CAESIJ1234567890abcdef'],
    ['a batch token', 'hvb.AAAAAQK1234567890'],
    ['an old token', 's.0123456789abcdefghijABCD'],
    ['a batch token of OpenBao', 'b.AAAAAQJJ8kyL9hi-zm7nHwr-6si522u9BdNvwmO0widcrnL'],
    ['a secret-id', '0d1f5c6e-9a9b-4a3c-8c2d-1f2e3d4c5b6a'],
    ['a JWT', 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl'],
  ])('show no %s', (_name, secret) => {
    const words = serverWords([`cannot use ${secret}, sorry`], []) ?? '';
    expect(words).toContain('[redacted]');
    expect(words).not.toContain(secret.slice(4, 20));
  });

  test('show nothing that the request held as a secret, control characters, or more than fits', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 4 }), fc.stringMatching(/^[a-z0-9]{8,40}$/), (parts, secret) => {
        const words = serverWords([parts.join(secret)], [secret]) ?? '';
        expect(words).not.toContain(secret);
        expect(words).toMatch(/^[\x20-\x7e]*$/);
        expect(words.length).toBeLessThanOrEqual(160);
      }),
    );
  });
});
