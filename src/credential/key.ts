import { ProviderError } from '../errors.ts';
import { LONGEST_KEY } from '../protocol/request.ts';
import type { KeyLife } from './life.ts';
import { SecretBytes } from './secret.ts';

/**
 * Everything the broker knows about one fetched key but the key itself, so that policy can judge it and status can
 * show it.
 */
export interface KeyVersion extends KeyLife {
  readonly credential: string;
  /** Identifies the provider configuration and secret it was read from; a key whose source changed is dropped. */
  readonly sourceFingerprint: string;
  /** The provider's own word for it (KV v2 version number, AWS VersionId), else undefined. */
  readonly version: string | undefined;
  /** Keyed digest of the value: tells two values apart without holding either. */
  readonly digest: string;
  /** Start of the request that fetched it. */
  readonly issuedAtMs: number;
  /** What said when the value expires; `unknown` for static secrets, which have a ttl instead. */
  readonly expirySource: 'jwt' | 'field' | 'provider' | 'unknown';
  readonly isJwt: boolean;
}

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
  if (key.length > LONGEST_KEY) return `it is ${key.length} characters long, and the limit is ${LONGEST_KEY}`;
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
    throw new ProviderError('misconfigured', `${origin} is not a key that Claude Code accepts: ${fault}`, {
      code: 'ERR_KEY_UNUSABLE',
      remedy: 'store the bare key there (printable ASCII, one line), or name the right one with `field`',
    });
  }
  return SecretBytes.from(Buffer.from(trimmed));
}
