/**
 * Rejection, inferred. The API answers 401 to a key; the client does not report it, but it asks its helper again, and early.
 * This module is the whole memory and judgement of that, as data: one ledger per (client, credential), replaced, never
 * changed. docs/rejection.md draws it as a state diagram.
 */

/** Under this part of its interval a client has no reason of its own to ask again. */
const EARLY = 0.9;
/** Below this interval asking again soon is what the client does anyway. */
const MIN_JUDGED_INTERVAL_MS = 5_000;
/** The client replaces a JWT when under 30 s are left of it; twice that, so that clocks may differ. */
const JWT_LAST_MS = 60_000;
/** The provider is asked because of a suspicion at most this often per credential. */
const REVALIDATION_GAP_MS = 10_000;
/** How long an early ask waits for the provider's verdict. */
export const VERDICT_WAIT_MS = 2_000;
/** After a different value was served, requests that were under way with the old one still fail and ask. */
const ECHO_MS = 30_000;
/** The client gives a turn up after its helper has failed three times in a row. */
const REFUSED_CALLS = 3;
const REFUSAL_MS = 20_000;
/** The second strike refuses: the first may be a rotation that is late. */
const STRIKES_TO_REFUSE = 2;
/** For a leased credential asking means issuing. */
const MAX_ISSUES = 2;
const ISSUE_WINDOW_MS = 10 * 60_000;

/** What is remembered of one client and one credential. */
export interface Ledger {
  /** The last answer that was written completely. */
  readonly served: Served | undefined;
  readonly strikes: { readonly digest: string; readonly count: number } | undefined;
  /** Until then early asks are echoes of the value served before. */
  readonly echoUntilMs: number | undefined;
  readonly refusal: Refusal | undefined;
  /** When this client's suspicion made the broker issue a lease; only the last ten minutes count. */
  readonly issuedAtMs: readonly number[];
}

interface Served {
  readonly digest: string;
  /** Of a JWT, until when it is valid; undefined for anything else. */
  readonly jwtExpiresAtMs?: number | undefined;
  readonly atMs: number;
  readonly atWallMs: number;
}

interface Refusal {
  readonly digest: string;
  readonly callsLeft: number;
  readonly untilMs: number;
}

export const EMPTY_LEDGER: Ledger = {
  served: undefined,
  strikes: undefined,
  echoUntilMs: undefined,
  refusal: undefined,
  issuedAtMs: [],
};

/** The key that would be served to this ask. */
interface CandidateKey {
  readonly digest: string;
  readonly leased: boolean;
  /** Of a JWT, until when it is valid; undefined for anything else. */
  readonly jwtExpiresAtMs: number | undefined;
}

export interface Suspicion {
  readonly nowMs: number;
  readonly wallMs: number;
  readonly intervalMs: number;
  readonly key: CandidateKey;
  /** The last time that a suspicion made the broker ask the provider about this credential, and what it said. */
  readonly lastVerdict: Verdict | undefined;
}

export interface Verdict {
  /** When the provider was asked. */
  readonly atMs: number;
  /** undefined: it has not answered, or not with a key. */
  readonly digest: string | undefined;
  /** It may still answer: other suspicious asks wait for the same answer. */
  readonly isPending: boolean;
}

/**
 * serve: what freshness allows · revalidate: ask the provider, then `judgeVerdict` · refuse: exit 77.
 * `rejected`: a value that the API is now known to refuse, from any client.
 */
export interface Judgement {
  readonly action: 'serve' | 'revalidate' | 'refuse';
  readonly ledger: Ledger;
  readonly rejected?: string;
}

/** An ask by the client for its own key: does it say that the last answer was rejected? */
export function judgeAsk(ledger: Ledger, ask: Suspicion): Judgement {
  if (!isEarly(ledger, ask)) return { action: 'serve', ledger: clean(ledger) };
  if (isRefusing(ledger, ask)) {
    const refusal = { ...ledger.refusal, callsLeft: ledger.refusal.callsLeft - 1 };
    return { action: 'refuse', ledger: { ...ledger, refusal } };
  }
  // A refusal that has ended, by count or by time, takes its strikes with it.
  const open: Ledger = ledger.refusal ? { ...ledger, refusal: undefined, strikes: undefined } : ledger;
  if (open.echoUntilMs !== undefined && ask.nowMs < open.echoUntilMs) return { action: 'serve', ledger: open };
  if (ask.key.leased && recentIssues(open, ask.nowMs).length >= MAX_ISSUES) return strike(open, ask);
  if (open.served?.digest !== ask.key.digest) return replace(open, ask);
  const { lastVerdict } = ask;
  if (lastVerdict === undefined || mayAskAgain(lastVerdict, ask.nowMs)) return { action: 'revalidate', ledger: open };
  return judgeVerdict(open, ask, lastVerdict);
}

/** Most asks are like this, and most ledgers have nothing to forgive. */
function clean(ledger: Ledger): Ledger {
  if (ledger.strikes === undefined && ledger.refusal === undefined) return ledger;
  return { ...ledger, strikes: undefined, refusal: undefined };
}

/** Not so soon after the last time; but an answer that is still awaited is awaited by everybody, in whatever order they came. */
function mayAskAgain(last: Verdict, nowMs: number): boolean {
  const sinceMs = nowMs - last.atMs;
  return sinceMs >= REVALIDATION_GAP_MS || (last.isPending && sinceMs < VERDICT_WAIT_MS);
}

/** The provider was asked (or had been within the gap); `ask.key` is the key after its answer. */
export function judgeVerdict(ledger: Ledger, ask: Suspicion, verdict: Verdict): Judgement {
  if (verdict.digest === undefined) return { action: 'serve', ledger };
  if (ledger.served?.digest !== ask.key.digest) return replace(ledger, ask);
  return verdict.digest === ask.key.digest ? strike(ledger, ask) : { action: 'serve', ledger };
}

/** A suspicion of this client made the broker take a new lease. */
export function recordIssue(ledger: Ledger, nowMs: number): Ledger {
  return { ...ledger, issuedAtMs: [...recentIssues(ledger, nowMs), nowMs] };
}

/** An answer was written completely to this client. */
export function recordServed(ledger: Ledger, served: Served): Ledger {
  return { ...ledger, served };
}

function isEarly(ledger: Ledger, ask: Suspicion): boolean {
  if (ledger.served === undefined || ask.intervalMs < MIN_JUDGED_INTERVAL_MS) return false;
  // Also if a successor is there by now: what the client replaces is the JWT that it was served.
  if (isNearlyOver(ledger.served.jwtExpiresAtMs, ask.nowMs) || isNearlyOver(ask.key.jwtExpiresAtMs, ask.nowMs)) {
    return false;
  }
  const early = ask.intervalMs * EARLY;
  return ask.nowMs - ledger.served.atMs < early && ask.wallMs - ledger.served.atWallMs < early;
}

function isNearlyOver(jwtExpiresAtMs: number | undefined, nowMs: number): boolean {
  return jwtExpiresAtMs !== undefined && jwtExpiresAtMs - nowMs < JWT_LAST_MS;
}

function isRefusing(ledger: Ledger, ask: Suspicion): ledger is Ledger & { readonly refusal: Refusal } {
  const { refusal } = ledger;
  if (refusal === undefined || refusal.callsLeft <= 0 || ask.nowMs >= refusal.untilMs) return false;
  return ask.key.leased || refusal.digest === ask.key.digest;
}

/** There is another value by now: this client's was rejected, and what it asks next is an echo of that. */
function replace(ledger: Ledger, ask: Suspicion): Judgement {
  const next: Ledger = { ...ledger, strikes: undefined, echoUntilMs: ask.nowMs + ECHO_MS };
  return ledger.served === undefined
    ? { action: 'serve', ledger: next }
    : { action: 'serve', ledger: next, rejected: ledger.served.digest };
}

function strike(ledger: Ledger, ask: Suspicion): Judgement {
  const { digest, leased } = ask.key;
  const counted = leased || ledger.strikes?.digest === digest ? (ledger.strikes?.count ?? 0) : 0;
  const count = counted + 1;
  const struck: Ledger = { ...ledger, strikes: { digest, count } };
  if (count < STRIKES_TO_REFUSE) return { action: 'serve', ledger: struck };
  const refusal: Refusal = { digest, callsLeft: REFUSED_CALLS - 1, untilMs: ask.nowMs + REFUSAL_MS };
  return { action: 'refuse', ledger: { ...struck, refusal } };
}

function recentIssues(ledger: Ledger, nowMs: number): readonly number[] {
  return ledger.issuedAtMs.filter((atMs) => nowMs - atMs < ISSUE_WINDOW_MS);
}
