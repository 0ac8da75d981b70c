import { describe, expect, test } from 'vitest';
import {
  grantedByLogin,
  grantedByLookup,
  grantedByRenewal,
  lastMomentOf,
} from '../../../../src/providers/vault/token-api.ts';

const NOW = Date.UTC(2030, 0, 1);

function answer(json: Record<string, unknown>, headers: Record<string, string> = {}) {
  return { status: 200, headers, json, wantsTls: false };
}

function loggedIn(auth: Record<string, unknown> = {}) {
  const standard = { client_token: 'hvs.token', accessor: 'acc', lease_duration: 3600, renewable: true };
  return grantedByLogin(answer({ auth: { ...standard, ...auth } }), NOW, 'prod');
}

describe('a login', () => {
  test('is named by its accessor; a renewable one has no known end', () => {
    const { login, token } = loggedIn();
    expect(login).toEqual({
      id: 'acc',
      issuedAtMs: NOW,
      expiresAtMs: NOW + 3_600_000,
      grantedMs: 3_600_000,
      renewable: true,
      maxExpiresAtMs: undefined,
      ours: true,
    });
    expect(lastMomentOf(login)).toBeUndefined();
    expect(token.reveal()).toBe('hvs.token');
  });

  test('that cannot be renewed ends when it expires; one without a duration never', () => {
    expect(lastMomentOf(loggedIn({ renewable: false }).login)).toBe(NOW + 3_600_000);
    expect(loggedIn({ lease_duration: 0, renewable: false }).login.expiresAtMs).toBeUndefined();
  });

  test('without an accessor gets a name that has nothing of the token', () => {
    const { id } = loggedIn({ accessor: '' }).login;
    expect(id).toMatch(/^token-[0-9a-f-]{36}$/);
    expect(loggedIn({ accessor: '' }).login.id).not.toBe(id);
  });
});

describe('a renewal', () => {
  const renewal = (seconds: number, more: object = {}) =>
    grantedByRenewal(
      answer({ auth: { lease_duration: seconds, renewable: true }, ...more }),
      NOW + 1_000_000,
      loggedIn().login,
    );

  test('of the full length says nothing of an end', () => {
    expect(renewal(3600)).toMatchObject({ expiresAtMs: NOW + 4_600_000, maxExpiresAtMs: undefined });
    expect(renewal(3599).maxExpiresAtMs).toBeUndefined();
  });

  test('that falls short shows the end', () => {
    expect(renewal(1800)).toMatchObject({ expiresAtMs: NOW + 2_800_000, maxExpiresAtMs: NOW + 2_800_000 });
    expect(renewal(3600, { warnings: ['TTL of "1h" exceeded the effective max_ttl'] }).maxExpiresAtMs).toBeDefined();
  });

  test('that says nothing changes nothing', () => {
    expect(renewal(0)).toEqual(loggedIn().login);
  });
});

describe('a token that was handed in', () => {
  test('tells its life; a root token has none', () => {
    const data = { accessor: 'acc', ttl: 600, creation_ttl: 3600, renewable: true, explicit_max_ttl: 0 };
    expect(grantedByLookup(answer({ data }), NOW)).toMatchObject({
      id: 'acc',
      expiresAtMs: NOW + 600_000,
      grantedMs: 3_600_000,
      maxExpiresAtMs: undefined,
      ours: false,
    });
    const root = grantedByLookup(answer({ data: { accessor: 'r', ttl: 0, renewable: false } }), NOW);
    expect(root).toMatchObject({ expiresAtMs: undefined, renewable: false, grantedMs: undefined });
    expect(grantedByLookup(undefined, NOW)).toMatchObject({ expiresAtMs: undefined, renewable: false });
  });

  test("reckons its explicit maximum by the server's clock", () => {
    const date = new Date(NOW - 7_200_000).toUTCString();
    const data = { ttl: 600, renewable: true, explicit_max_ttl: 3600, creation_time: (NOW - 7_200_000) / 1000 - 600 };
    expect(grantedByLookup(answer({ data }, { date }), NOW).maxExpiresAtMs).toBe(NOW + 3_000_000);
  });
});
