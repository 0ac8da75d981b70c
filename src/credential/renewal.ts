import { canBeRenewed, certainEnd, hasUnknownLife, type KeyAndLogin, lifeStart, possibleEnd } from './life.ts';

/** Time for the refresh itself, so that a key is replaced before the client that asks next needs it. */
const REFRESH_LEAD_MS = 60_000;
/** Jitter takes at most this part off, and never adds: a fleet spreads out, and no refresh is late. */
const JITTER = 0.1;
/** Refreshes ahead of need are at least this far apart, however short a key lives. */
export const MIN_REFRESH_GAP_MS = 5_000;

export interface RenewalNeeds {
  /** The longest refresh interval that any client has named lately. */
  readonly longestIntervalMs: number;
  readonly turnMarginMs: number;
}

/** renew: extend the lease (and the login it depends on) · issue: read the secret again or take a new lease. */
type RefreshAction = 'renew' | 'issue';

/**
 * When to ask the provider ahead of need: the earlier of two thirds of life and expiry − longest interval − turn
 * margin − 60 s, never before half of life; jitter only makes it earlier (point 3 of docs/freshness.md).
 * @param random in [0, 1).
 * @returns infinity for a key that never needs it.
 */
export function nextRefreshAt(living: KeyAndLogin, needs: RenewalNeeds, random: number): number {
  const { key } = living;
  if (hasUnknownLife(living)) {
    const twoThirds = (key.ttlMs * 2) / 3;
    return key.confirmedAtMs + spaced(twoThirds - twoThirds * JITTER * random);
  }
  const replaceAtMs = replacementDue(living, needs, random);
  const certain = certainEnd(living);
  if (certain === undefined || !canBeRenewed(living)) return replaceAtMs;
  return Math.min(replaceAtMs, dueWithin(key.confirmedAtMs, certain, needs, random));
}

/**
 * What a refresh at `nowMs` has to do: extend what there is as long as that can give life enough, else read the secret again.
 * @param isWaitedFor somebody asked for a key, and what there is would not do.
 */
export function refreshAction(
  living: KeyAndLogin,
  needs: RenewalNeeds,
  nowMs: number,
  isWaitedFor: boolean,
): RefreshAction {
  const certain = certainEnd(living);
  const isDead = certain !== undefined && nowMs >= certain;
  if (isDead || !canBeRenewed(living) || nowMs >= replacementDue(living, needs, 1)) return 'issue';
  const possible = possibleEnd(living);
  const wanted = needs.longestIntervalMs + needs.turnMarginMs;
  if (possible === undefined || possible - nowMs >= wanted) return 'renew';
  // For clients that no key of this provider outlives a renewed one is as good as a new one; but it does not help an ask that waits.
  return !isWaitedFor && possible - lifeStart(living) < wanted ? 'renew' : 'issue';
}

function replacementDue(living: KeyAndLogin, needs: RenewalNeeds, random: number): number {
  const end = possibleEnd(living);
  return end === undefined ? Number.POSITIVE_INFINITY : dueWithin(lifeStart(living), end, needs, random);
}

function dueWithin(startMs: number, endMs: number, needs: RenewalNeeds, random: number): number {
  const life = endMs - startMs;
  const inTime = life - needs.longestIntervalMs - needs.turnMarginMs - REFRESH_LEAD_MS;
  const due = Math.min((life * 2) / 3, inTime);
  return startMs + spaced(Math.max(life / 2, due - life * JITTER * random));
}

function spaced(afterMs: number): number {
  return Math.max(MIN_REFRESH_GAP_MS, afterMs);
}

/** The life that a new key should have, for a provider that can choose. */
export function wantedLife(needs: RenewalNeeds): number {
  return needs.longestIntervalMs + needs.turnMarginMs + REFRESH_LEAD_MS;
}
