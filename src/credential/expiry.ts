import type { KeyVersion } from './key-version.ts';

/** What one answer of a provider says about the end of a value. Absolute times are by the server's clock. */
export interface ValueLimits {
  /** On the steady clock: start of the request that the answer belongs to. */
  readonly requestedAtMs: number;
  /** What the provider's clock (or, where it does not tell, the wall clock) showed then. */
  readonly serverNowMs: number;
  readonly jwtExpiresAtMs: number | undefined;
  readonly providerExpiresAtMs: number | undefined;
  /** The value of the field that configuration names. */
  readonly field: unknown;
}

export type ValueExpiry = Pick<KeyVersion, 'expiresAtMs' | 'expirySource'>;

/** The earliest end that anything in the answer sets, moved from the server's clock onto ours. */
export function findExpiry(limits: ValueLimits): ValueExpiry {
  const ends = [
    { serverMs: limits.jwtExpiresAtMs, expirySource: 'jwt' },
    { serverMs: limits.providerExpiresAtMs, expirySource: 'provider' },
    { serverMs: parseExpiryField(limits.field, limits.serverNowMs), expirySource: 'field' },
  ] as const;
  let earliest: ValueExpiry = { expiresAtMs: undefined, expirySource: 'unknown' };
  for (const { serverMs, expirySource } of ends) {
    if (serverMs === undefined) continue;
    const expiresAtMs = limits.requestedAtMs + (serverMs - limits.serverNowMs);
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
 * milliseconds since the epoch, or seconds from now; numbers may come as text.
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
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) return undefined;
  if (value >= FIRST_EPOCH_MS) return value;
  if (value >= FIRST_EPOCH_SECONDS) return value * 1000;
  return serverNowMs + value * 1000;
}
