import type { VaultAnswer } from './answer.ts';

/** 307 and 308 keep the method; the older codes let a client turn POST into GET, which a login must never become. */
const KEEP_METHOD = new Set([307, 308]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(answer: VaultAnswer): boolean {
  return REDIRECTS.has(answer.status);
}

/** Undefined without a Location header that could be one. */
export function redirectTarget(answer: VaultAnswer, from: string): URL | undefined {
  const location = answer.headers['location'] ?? '';
  return location === '' ? undefined : (URL.parse(location, from) ?? undefined);
}

/**
 * Where to go on with the same token, or undefined if the answer is none that may be followed: a token goes to the
 * configured host and port and nowhere else, and never from https to http.
 */
export function judgeRedirect(
  answer: VaultAnswer,
  from: string,
  method: string,
): { readonly uri: string; readonly method: string } | undefined {
  if (!isRedirect(answer)) return undefined;
  if (method !== 'GET' && !KEEP_METHOD.has(answer.status)) return undefined;
  const source = new URL(from);
  const target = redirectTarget(answer, from);
  if (target === undefined || target.hostname !== source.hostname || target.port !== source.port) return undefined;
  const keepsSecrecy =
    target.protocol === source.protocol || (source.protocol === 'http:' && target.protocol === 'https:');
  if (!keepsSecrecy || target.username !== '' || target.password !== '') return undefined;
  return { uri: target.href, method };
}
