/**
 * When the client, after a 401 at time 0, sends its next requests if every helper call gives it the same bad key, in
 * seconds (seen with version 2.1.330: 13 requests, the last after 249 to 255 s, and then the turn fails). What a cache
 * does to a user follows from it without waiting for it.
 */
const RETRIES_S = [1, 2, 4.4, 8.9, 17.9, 35.9, 69.9, 105.9, 141.9, 177.9, 213.9, 249.9] as const;

/** Seconds from the 401 to the first good answer if the cached key lapses `leftSeconds` after it; undefined: the turn fails. */
export function recoveryWithCache(leftSeconds: number): number | undefined {
  return RETRIES_S.find((at) => at >= leftSeconds);
}

export const TURN_FAILS_AFTER_S = RETRIES_S.at(-1) ?? 0;
