import type { KeyVersion } from './key.ts';

/** What one answer of a provider says about the end of a value. Absolute times are by the server's clock. */
interface ValueLimits {
  /** On the steady clock: start of the request that the answer belongs to. */
  readonly requestedAtMs: number;
  /** What the provider's clock (or, where it does not tell, the wall clock) showed then. */
  readonly serverNowMs: number;
  readonly jwtExpiresAtMs: number | undefined;
  readonly providerExpiresAtMs: number | undefined;
  /** The value of the field that configuration names. */
  readonly field: unknown;
}

type ValueExpiry = Pick<KeyVersion, 'expiresAtMs' | 'expirySource'>;

/** The earliest end that anything in the answer sets, moved from the server's clock onto ours. */
export function findExpiry(limits: ValueLimits): ValueExpiry {
  const ends = [
    { serverMs: limits.jwtExpiresAtMs, expirySource: 'jwt' },
    { serverMs: limits.providerExpiresAtMs, expirySource: 'provider' },
    {
      serverMs: limits.field === undefined ? undefined : parseExpiryField(limits.field, limits.serverNowMs),
      expirySource: 'field',
    },
  ] as const;
  let earliest: ValueExpiry = { expiresAtMs: undefined, expirySource: 'unknown' };
  for (const { serverMs, expirySource } of ends) {
    const expiresAtMs =
      serverMs === undefined ? undefined : dateOrNever(limits.requestedAtMs + (serverMs - limits.serverNowMs));
    if (expiresAtMs === undefined) continue;
    if (earliest.expiresAtMs === undefined || expiresAtMs < earliest.expiresAtMs) {
      earliest = { expiresAtMs, expirySource };
    }
  }
  return earliest;
}

/** 2001-09-09 in seconds: below it a number can only be a duration, since no key expires before the broker existed. */
const FIRST_EPOCH_SECONDS = 1_000_000_000;
/** The same moment in milliseconds: from here on a number is milliseconds since the epoch. */
const FIRST_EPOCH_MS = FIRST_EPOCH_SECONDS * 1000;

/**
 * Understands what `expires_at`, `expires_in`, `expiration`, `expiry`… hold in the wild: RFC 3339 text, seconds or
 * milliseconds (also micro- and nanoseconds) since the epoch, or seconds from now; numbers may come as text.
 * @returns milliseconds since the epoch on the server's clock; undefined if it is none of these.
 */
export function parseExpiryField(value: unknown, serverNowMs: number): number | undefined {
  if (typeof value === 'string') {
    const text = value.trim();
    if (/^\d+(\.\d+)?$/.test(text)) return parseExpiryField(Number(text), serverNowMs);
    if (!/^\d{4}-\d{2}-\d{2}/.test(text)) return undefined;
    const parsed = Date.parse(text);
    return Number.isNaN(parsed) ? undefined : parsed;
  }
  if (typeof value === 'bigint') return parseExpiryField(Number(value), serverNowMs);
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  return dateOrNever(epochMs(value) ?? serverNowMs + value * 1000);
}

/** From seconds to nanoseconds since the epoch: each unit begins where the one before has long ended. */
function epochMs(value: number): number | undefined {
  if (value >= FIRST_EPOCH_MS * 1e6) return value / 1e6;
  if (value >= FIRST_EPOCH_MS * 1e3) return value / 1e3;
  if (value >= FIRST_EPOCH_MS) return value;
  return value >= FIRST_EPOCH_SECONDS ? value * 1000 : undefined;
}

/** Three thousand years: as good as no end, and a calendar holds what is added to it. */
export const ENDLESS_SECONDS = 1e11;

/** What no calendar holds (ECMA-262, 21.4.1.1) is as good as no end. */
function dateOrNever(ms: number): number | undefined {
  return Math.abs(ms) <= 8.64e15 ? ms : undefined;
}

/** The claims of a key that is a JSON Web Token (RFC 7519). Decoded, never verified: the API does that. */
export interface JwtClaims {
  /** `exp` in milliseconds since the epoch, by the issuer's clock; undefined if the token does not say. */
  readonly expiresAtMs: number | undefined;
  /** Likewise `nbf`, or `iat` without one. */
  readonly notBeforeMs: number | undefined;
}

const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** undefined: not a JWT. The three parts of a compact JWS, the first two of them JSON objects. */
export function decodeJwt(key: Buffer): JwtClaims | undefined {
  // Every JWS header is a JSON object, and `{"` is `eyJ` in base64url: spares ordinary keys the copy to a string.
  if (!key.subarray(0, 2).equals(Buffer.from('ey'))) return undefined;
  const parts = key.toString('latin1').split('.');
  if (parts.length !== 3) return undefined;
  const [header, payload] = parts.slice(0, 2).map(decodeObject);
  if (header === undefined || payload === undefined) return undefined;
  return { expiresAtMs: dateIn(payload, 'exp'), notBeforeMs: dateIn(payload, 'nbf') ?? dateIn(payload, 'iat') };
}

function dateIn(payload: Readonly<Record<string, unknown>>, claim: string): number | undefined {
  const value = payload[claim];
  return typeof value === 'number' ? dateOrNever(value * 1000) : undefined;
}

function decodeObject(part: string): Record<string, unknown> | undefined {
  if (!BASE64URL.test(part)) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
