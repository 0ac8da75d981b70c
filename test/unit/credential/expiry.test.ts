import { describe, expect, it } from 'vitest';
import { findExpiry, parseExpiryField } from '../../../src/credential/expiry.ts';

const SERVER_NOW = Date.UTC(2030, 0, 1, 12);

describe('what expiry fields hold in the wild', () => {
  it.each([
    ['RFC 3339', '2030-01-01T13:00:00Z', Date.UTC(2030, 0, 1, 13)],
    ['RFC 3339 with an offset', '2030-01-01T15:00:00+02:00', Date.UTC(2030, 0, 1, 13)],
    ['surrounding white space', ' 2030-01-01T13:00:00Z\n', Date.UTC(2030, 0, 1, 13)],
    ['seconds since the epoch', 1_900_000_000, 1_900_000_000_000],
    ['milliseconds since the epoch', 1_900_000_000_000, 1_900_000_000_000],
    ['microseconds since the epoch', 1_900_000_000_000_000, 1_900_000_000_000],
    ['nanoseconds since the epoch, which JSON gives as a bigint', 1_900_000_000_000_000_000n, 1_900_000_000_000],
    ['numbers as text', '1900000000', 1_900_000_000_000],
    ['seconds from now', 3600, SERVER_NOW + 3_600_000],
    ['seconds from now as text', '3600.5', SERVER_NOW + 3_600_500],
    ['none left', 0, SERVER_NOW],
  ])('%s', (_what, value, expected) => {
    expect(parseExpiryField(value, SERVER_NOW)).toBe(expected);
  });

  it.each([
    undefined,
    null,
    '',
    'never',
    'tomorrow',
    '3600s',
    '-5',
    -5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    true,
    {},
    [],
    '2030-13-45T99:00:00Z',
    1e300,
    10n ** 40n,
  ])('%s is none of these', (value) => {
    expect(parseExpiryField(value, SERVER_NOW)).toBeUndefined();
  });
});

describe('the end of a value', () => {
  const limits = {
    requestedAtMs: 5_000_000,
    serverNowMs: SERVER_NOW,
    jwtExpiresAtMs: undefined,
    providerExpiresAtMs: undefined,
    field: undefined,
  };

  it('is unknown if nothing sets one', () => {
    expect(findExpiry(limits)).toEqual({ expiresAtMs: undefined, expirySource: 'unknown' });
  });

  it('moves from the clock of the server onto ours', () => {
    expect(findExpiry({ ...limits, field: 60 })).toEqual({ expiresAtMs: 5_060_000, expirySource: 'field' });
    expect(findExpiry({ ...limits, jwtExpiresAtMs: SERVER_NOW + 1 })).toEqual({
      expiresAtMs: 5_000_001,
      expirySource: 'jwt',
    });
  });

  it('is the earliest of all, and says whose it is', () => {
    const all = { ...limits, jwtExpiresAtMs: SERVER_NOW + 30, providerExpiresAtMs: SERVER_NOW + 20, field: 3600 };
    expect(findExpiry(all)).toEqual({ expiresAtMs: 5_000_020, expirySource: 'provider' });
    expect(findExpiry({ ...all, providerExpiresAtMs: undefined })).toMatchObject({ expirySource: 'jwt' });
  });

  it('that no calendar holds is none', () => {
    expect(findExpiry({ ...limits, providerExpiresAtMs: 9e18 })).toMatchObject({ expiresAtMs: undefined });
  });

  it('may have passed already', () => {
    expect(findExpiry({ ...limits, jwtExpiresAtMs: SERVER_NOW - 1 }).expiresAtMs).toBe(4_999_999);
  });
});
