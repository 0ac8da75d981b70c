import { ProviderError } from '../errors.ts';
import type { Lease } from './life.ts';
import { SecretBytes } from './secret.ts';

/** What the client accepts from a helper (observed with Claude Code 2.1): anything longer is refused with a message. */
export const MAX_KEY_LENGTH = 16_384;

const FIRST_PRINTABLE = 0x21;
const LAST_PRINTABLE = 0x7e;

const isWhiteSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

/** Surrounding white space is trimmed, as the client does: most secrets are stored with a newline at the end. */
export function trimKey(raw: Buffer): Buffer {
  let start = 0;
  let end = raw.length;
  while (start < end && isWhiteSpace(raw[start] ?? 0)) start += 1;
  while (end > start && isWhiteSpace(raw[end - 1] ?? 0)) end -= 1;
  return raw.subarray(start, end);
}

/** Why the client would refuse these bytes as a key; undefined if it would take them. */
export function keyFault(key: Buffer): string | undefined {
  if (key.length === 0) return 'it is empty';
  if (key.length > MAX_KEY_LENGTH) return `it is ${key.length} characters long, and the limit is ${MAX_KEY_LENGTH}`;
  for (const byte of key) {
    if (byte === 0x0a || byte === 0x0d) return 'it has more than one line';
    if (isWhiteSpace(byte)) return 'it has white space inside';
    if (byte > LAST_PRINTABLE) return 'it has characters that are not ASCII';
    if (byte < FIRST_PRINTABLE) return 'it has control characters';
  }
  return undefined;
}

/**
 * A copy of `raw` fit to serve; the caller still owns and wipes `raw`.
 * @param origin where it came from, for the message: never the value.
 * @throws ProviderError `misconfigured` with code ERR_KEY_UNUSABLE.
 */
export function toKey(raw: Buffer, origin: string): SecretBytes {
  const trimmed = trimKey(raw);
  const fault = keyFault(trimmed);
  if (fault !== undefined) {
    throw new ProviderError('misconfigured', `${origin} is no key that Claude Code would accept: ${fault}`, {
      code: 'ERR_KEY_UNUSABLE',
      remedy: 'store the bare key there (printable ASCII, one line), or name the right one with `field`',
    });
  }
  return SecretBytes.from(Buffer.from(trimmed));
}

/** How the broker knows when a key dies; `unknown` for static secrets, which have a ttl instead. */
type ExpirySource = 'lease' | 'jwt' | 'field' | 'provider' | 'unknown';

/**
 * Everything the broker knows about one fetched key but the key itself, so that policy can judge it and status can
 * show it. All times are milliseconds on the broker's steady clock.
 */
export interface KeyVersion {
  readonly credential: string;
  /** Identifies the provider configuration and secret it was read from; a key whose source changed is dropped. */
  readonly sourceFingerprint: string;
  /** The provider's own word for it (KV v2 version number, AWS VersionId), else undefined. */
  readonly version: string | undefined;
  /** Keyed digest of the value: tells two values apart without holding either. */
  readonly digest: string;
  /** Start of the request that fetched it. */
  readonly issuedAtMs: number;
  /** Start of the last request in which the provider confirmed that this is the key. */
  readonly confirmedAtMs: number;
  /** When the value itself dies (JWT, named field, provider's word), whatever becomes of its lease; undefined: unknown. */
  readonly expiresAtMs: number | undefined;
  readonly expirySource: Exclude<ExpirySource, 'lease'>;
  /** Where neither an expiry nor a lease is known: trusted this long after `confirmedAtMs`. */
  readonly ttlMs: number;
  readonly lease: Lease | undefined;
  readonly isJwt: boolean;
}
