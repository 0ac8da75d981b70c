/**
 * Retry-After in milliseconds, given as seconds or as a date (RFC 9110 section 10.2.3); undefined if it is neither. How
 * long anybody may silence the broker is back-off.ts's to say.
 *
 * @param serverTimeMs The server's own clock. Without it a date says nothing: ours may be off.
 */
export function parseRetryAfter(header: string | undefined, serverTimeMs: number | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+(?:\.\d+)?$/.test(header)) return Number(header) * 1000;
  // An HTTP-date starts with the day of the week; Date.parse makes a date of much else.
  const then = /^[A-Z][a-z]/.test(header) ? Date.parse(header) : Number.NaN;
  return serverTimeMs === undefined || Number.isNaN(then) ? undefined : Math.max(0, then - serverTimeMs);
}
