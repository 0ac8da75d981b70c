import type { ClientHistory, JudgedAsk } from './rejection.ts';

/** When the provider may be asked because of a suspicion: one read for everybody, and no more than it bears. */
export interface ReadBudget {
  readonly lastReadMs: number | undefined;
  readonly lastSuspicionMs: number | undefined;
  /** How long it had been quiet before the last suspicion. */
  readonly quietMs: number;
  readonly gapMs: number;
  /** Leases that suspicion made the provider issue, and for how long each counts. */
  readonly issuedAtMs: readonly number[];
  readonly issueWindowMs: number;
}

const READ_GAP_MS = 10_000;
const LONGEST_READ_GAP_MS = 60_000;
/** Without a suspicion for so long the gap is the shortest again. */
const SUSPICION_FORGOTTEN_MS = 60_000;
/** The first read after a quiet hour is put off at random: thousands may have seen the same 401. */
const QUIET_MS = 60 * 60_000;
/** With the client's own pause of up to 1.25 s a successor is still there within 2 s. */
const FIRST_READ_JITTER_MS = 600;
const MOST_ISSUES = 2;
const ISSUE_WINDOW_MS = 10 * 60_000;
const LONGEST_ISSUE_WINDOW_MS = 160 * 60_000;

export const FULL_BUDGET: ReadBudget = {
  lastReadMs: undefined,
  lastSuspicionMs: undefined,
  quietMs: Number.POSITIVE_INFINITY,
  gapMs: READ_GAP_MS,
  issuedAtMs: [],
  issueWindowMs: ISSUE_WINDOW_MS,
};

export function noteSuspicion(budget: ReadBudget, nowMs: number): ReadBudget {
  const quietMs = budget.lastSuspicionMs === undefined ? Number.POSITIVE_INFINITY : nowMs - budget.lastSuspicionMs;
  const gapMs = quietMs >= SUSPICION_FORGOTTEN_MS ? READ_GAP_MS : budget.gapMs;
  return { ...budget, lastSuspicionMs: nowMs, quietMs, gapMs };
}

/**
 * After `noteSuspicion`: whether the provider may be asked now.
 *
 * @returns how long to wait before it is asked; undefined: not now.
 */
export function mayRead(budget: ReadBudget, nowMs: number, leased: boolean, random: () => number): number | undefined {
  if (leased && recentIssues(budget, nowMs).length >= MOST_ISSUES) return undefined;
  if (budget.lastReadMs !== undefined && nowMs - budget.lastReadMs < budget.gapMs) return undefined;
  return budget.quietMs >= QUIET_MS ? random() * FIRST_READ_JITTER_MS : 0;
}

/** A read that suspicion caused has begun. */
export function noteReadBegun(budget: ReadBudget, nowMs: number): ReadBudget {
  return { ...budget, lastReadMs: nowMs };
}

/** It has ended; `isOther`: the value is another now. */
export function noteReadEnded(budget: ReadBudget, isOther: boolean): ReadBudget {
  return { ...budget, gapMs: isOther ? READ_GAP_MS : Math.min(budget.gapMs * 2, LONGEST_READ_GAP_MS) };
}

/** A lease was issued because of a suspicion; a full window that is filled again right away is twice as long. */
export function noteIssue(budget: ReadBudget, nowMs: number): ReadBudget {
  const recent = recentIssues(budget, nowMs);
  const issuedAtMs = [...recent, nowMs];
  const issueWindowMs =
    recent.length === 0
      ? ISSUE_WINDOW_MS
      : issuedAtMs.length >= MOST_ISSUES
        ? Math.min(budget.issueWindowMs * 2, LONGEST_ISSUE_WINDOW_MS)
        : budget.issueWindowMs;
  return { ...budget, issuedAtMs, issueWindowMs };
}

function recentIssues({ issuedAtMs, issueWindowMs }: ReadBudget, nowMs: number): readonly number[] {
  return issuedAtMs.filter((atMs) => nowMs - atMs < issueWindowMs);
}

/** Whether the provider was seen to have the value since the chain began, or by the last read that a suspicion caused. */
export function wasConfirmed({ chain }: ClientHistory, { key, nowMs }: JudgedAsk, budget: ReadBudget): boolean {
  const { lastReadMs, gapMs } = budget;
  const byRead = lastReadMs !== undefined && nowMs - lastReadMs <= gapMs && key.confirmedAtMs >= lastReadMs;
  return byRead || (chain !== undefined && key.confirmedAtMs >= chain.beganAtMs);
}
