import { canBeRenewed, certainEnd, type KeyAndLogin, lifeStart, possibleEnd } from './life.ts';

/** How far a key may be trusted; durations in milliseconds. */
interface FreshnessPolicy {
  /** A key must outlive the client's own cache by this much, so that a turn begun with it can end with it. */
  readonly turnMarginMs: number;
  /** Since the provider last confirmed it: how long a key may be served while the provider cannot be asked. */
  readonly maxStaleMs: number;
}

/**
 * fresh: serve at once, and if `refreshBehind` ask the provider after that · stale: ask the provider first, serve this
 * key if it cannot answer in time · unfit: never serve.
 */
export type Freshness =
  | { readonly state: 'fresh'; readonly refreshBehind: boolean }
  | { readonly state: 'stale' }
  | { readonly state: 'unfit'; readonly reason: 'expired' | 'too-stale' };

/**
 * Past this part of a renewable grant its renewal is overdue: it fails, or the key has not been asked for in a while.
 * Renewal is due at two thirds at the latest, so a renewal that works never gets here.
 */
const RENEWAL_OVERDUE = 0.75;

/**
 * Is this key fit for a client that will keep it for `intervalMs`? Points 1, 2, 4 and 6 of what makes a key fit to
 * serve (docs/freshness.md). Total: every combination of times has an answer, and a longer interval never has a
 * better one.
 */
export function judgeFreshness(
  living: KeyAndLogin,
  nowMs: number,
  intervalMs: number,
  policy: FreshnessPolicy,
): Freshness {
  const end = certainEnd(living);
  if (end !== undefined && nowMs >= end) return { state: 'unfit', reason: 'expired' };
  const sinceConfirmed = nowMs - living.key.confirmedAtMs;
  if (end === undefined && possibleEnd(living) === undefined) {
    if (sinceConfirmed < 2 * living.key.ttlMs) {
      return { state: 'fresh', refreshBehind: sinceConfirmed >= living.key.ttlMs };
    }
  } else if (outlivesClient(living, nowMs, intervalMs + policy.turnMarginMs)) {
    return { state: 'fresh', refreshBehind: false };
  }
  return sinceConfirmed > policy.maxStaleMs ? { state: 'unfit', reason: 'too-stale' } : { state: 'stale' };
}

function outlivesClient(living: KeyAndLogin, nowMs: number, wantedMs: number): boolean {
  const certain = certainEnd(living);
  if (certain === undefined || certain - nowMs >= wantedMs) return true;
  if (isRenewalOverdue(living, certain, nowMs)) return false;
  const possible = possibleEnd(living);
  if (possible === undefined || possible - nowMs >= wantedMs) return true;
  // The provider grants less than this client wants: asking again would not help, so the key does until half its life.
  const start = lifeStart(living);
  const granted = possible - start;
  return granted < wantedMs && nowMs - start < granted / 2;
}

function isRenewalOverdue(living: KeyAndLogin, certainEndMs: number, nowMs: number): boolean {
  if (!canBeRenewed(living)) return false;
  const { confirmedAtMs } = living.key;
  return nowMs - confirmedAtMs > (certainEndMs - confirmedAtMs) * RENEWAL_OVERDUE;
}

/**
 * The longest refresh interval that every key granted like this one outlives, in whole seconds: keys are replaced by
 * half of their life at the earliest. undefined where any interval will do. What `status` and `doctor` advise where
 * keys live too short.
 */
export function longestUsefulInterval(living: KeyAndLogin, turnMarginMs: number): number | undefined {
  const end = possibleEnd(living);
  if (end === undefined) return undefined;
  const half = (end - lifeStart(living)) / 2;
  return Math.max(1, Math.floor((half - turnMarginMs) / 1000)) * 1000;
}
