import { ENDLESS_SECONDS } from '../../credential/expiry.ts';
import type { Json } from '../../credential/secret.ts';

/** The refresh token that an answer gives, and how long it lives where the server says so. */
export interface RefreshGrant {
  readonly refreshToken: string;
  readonly lastsMs: number | undefined;
}

/** undefined: the former one goes on (RFC 6749 section 6). */
export function refreshGrantIn(json: Json | undefined): RefreshGrant | undefined {
  const refreshToken = textOrNone(json?.['refresh_token']);
  return refreshToken === undefined ? undefined : { refreshToken, lastsMs: refreshLastsMs(json ?? {}) };
}

/** 0 stands for "does not expire" (Keycloak). */
export function refreshLastsMs(json: Json): number | undefined {
  const seconds = secondsOrNone(json['refresh_expires_in'] ?? json['refresh_token_expires_in']);
  return seconds === undefined || seconds === 0 ? undefined : seconds * 1000;
}

/**
 * Tokens as RFC 6749 section 5.1 has them, of an answer that says of them what nobody reads or leaves out what goes without
 * saying: a life that is no number is unknown, and what is handed out as a bearer token is one.
 */
export function plainTokens(json: Json, takesIdToken: boolean): Json {
  const { access_token, token_type, expires_in, refresh_token, refresh_expires_in, refresh_token_expires_in } = json;
  return {
    access_token,
    token_type: token_type ?? 'bearer',
    expires_in: secondsOrNone(expires_in),
    refresh_token: textOrNone(refresh_token),
    refresh_expires_in: secondsOrNone(refresh_expires_in ?? refresh_token_expires_in),
    id_token: takesIdToken ? json['id_token'] : undefined,
  };
}

/** As long as a login may take. */
const USUAL_CODE_SECONDS = 300;

/** RFC 8628 section 3.2, also of those who write numbers as text (Entra ID v1) or `verification_url` (Google). */
export function plainDeviceCode(json: Json): Json {
  const { verification_uri, verification_url, interval, expires_in } = json;
  return {
    ...json,
    verification_uri: verification_uri ?? verification_url,
    interval: secondsOrNone(interval) || undefined,
    expires_in: secondsOrNone(expires_in) ?? USUAL_CODE_SECONDS,
  };
}

function textOrNone(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A number, or one that is written as text. */
function secondsOrNone(value: unknown): number | undefined {
  const isNumber = typeof value === 'number' || typeof value === 'bigint';
  if (!isNumber && !(typeof value === 'string' && /^\d+(?:\.\d+)?$/.test(value))) return undefined;
  const seconds = Number(value);
  return seconds >= 0 && seconds < ENDLESS_SECONDS ? seconds : undefined;
}
