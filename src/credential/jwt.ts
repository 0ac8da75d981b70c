/** The claims of a key that is a JSON Web Token (RFC 7519). Decoded, never verified: the API does that. */
export interface JwtClaims {
  /** `exp` in milliseconds since the epoch, by the issuer's clock; undefined if the token does not say. */
  readonly expiresAtMs: number | undefined;
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
  const exp = payload['exp'];
  return { expiresAtMs: typeof exp === 'number' && Number.isFinite(exp) ? exp * 1000 : undefined };
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
