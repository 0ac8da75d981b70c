/**
 * Rejection, inferred. The API answers 401 to a key and the client tells nobody, but it asks its helper again, and early.
 * An early ask is no proof: a settings file that was written makes the client ask early too. So suspicion and refusal are
 * two things. Suspicion makes the broker ask the provider. Only a chain of early asks that nothing explains, of one client
 * for one value that the provider confirms, is refused, in a sequence that ends the turn of a dead key and no other.
 *
 * This module is the whole judgement of that as functions from record to record. docs/rejection.md draws it.
 */
import type { FORMATS } from '../protocol/request.ts';

/** Under this part of its interval a client has no reason of its own to ask again. */
const EARLY = 0.9;
/** The client renews a JWT separately when under 30 s are left of it; twice that, since clocks differ. */
const JWT_LAST_MS = 60_000;
/** At shorter intervals asking again soon is what the client does anyway: the provider is asked by the clock. */
const SHORT_INTERVAL_MS = 10_000;
const SHORT_CONFIRMED_MS = 30_000;
/** A helper that gets one chance (otelHeadersHelper, headersHelper of an MCP server) is not to spend it on an old value. */
const HEADERS_CONFIRMED_MS = 60_000;
/** A client with a shorter interval is never refused: what it asks in time would look the same. */
const SHORTEST_REFUSED_INTERVAL_MS = 12_000;

/** How long a suspicious ask waits for the provider's word. */
export const VERDICT_WAIT_MS = 2_000;
/** A read that has been under way for less may still bring a verdict: until then nothing is counted. */
const READ_PENDING_MS = 9_000;
/** The client's longest pause is 40 s: what comes later belongs to another turn. */
const CHAIN_GAP_MS = 45_000;
/** Between the client's first pauses (1.25 s) and its third (2.0 s and the round trip): docs/rejection.md. */
const REFUSAL_SPACING_MS = 2_000;
/** So often a chain serves a value that it holds against the client; what follows is refused until the chain is over. */
const MOST_SERVES = 6;
/** Refusals in a row, for a value that the client had before and for one that has just replaced another. */
const REFUSALS_OLD = 3;
const REFUSALS_NEW = 2;
/** Asks without a verdict that are served before they are refused. */
const UNANSWERED_SERVED = 3;
/** A value that the client has had for less may have replaced the one that was refused. */
const KNOWN_VALUE_MS = 15_000;
/** With a check that accepts the key, the strike from which it is refused all the same: the key is good, the request is not. */
const STRIKES_IF_ACCEPTED = 4;

/** Formats whose callers ask again because of a refusal; the others ask by their own interval only. */
const EARLY_FORMATS: ReadonlySet<Format> = new Set<Format>(['raw', 'proxy', 'aws']);

/** What the key was asked for. Only raw calls of the client itself are ever refused. */
export type Format = (typeof FORMATS)[number] | 'env';

/** What is remembered of one client and one credential. */
export interface ClientHistory {
  /** The last answer that was written completely. */
  readonly served: Served | undefined;
  readonly lastAskMs: number | undefined;
  readonly chain: Chain | undefined;
}

export interface Served {
  readonly digest: string;
  /** Of a JWT, until when it is valid. */
  readonly jwtExpiresAtMs?: number | undefined;
  readonly atMs: number;
  readonly atWallMs: number;
  /** Since when this client has had this value. */
  readonly sinceMs: number;
}

/** Early asks, unexplained and close to each other, of one client for one value. */
export interface Chain {
  /** old: the client had this value when the chain began · new: it replaced another · no-verdict: the provider said nothing. */
  readonly state: 'old' | 'new' | 'no-verdict';
  readonly digest: string;
  /** Refusals in a row; under no-verdict: asks that were served without a verdict. */
  readonly row: number;
  readonly serves: number;
  /** Early asks in all. */
  readonly strikes: number;
  readonly beganAtMs: number;
  /** When the last refusal was written. */
  readonly refusedAtMs: number | undefined;
}

export const NO_HISTORY: ClientHistory = { served: undefined, lastAskMs: undefined, chain: undefined };

/** The key that would be served. */
export interface CandidateKey {
  readonly digest: string;
  readonly leased: boolean;
  readonly jwtExpiresAtMs: number | undefined;
  /** When the provider was last seen to have it. */
  readonly confirmedAtMs: number;
}

export interface JudgedAsk {
  readonly nowMs: number;
  readonly wallMs: number;
  readonly intervalMs: number;
  readonly format: Format;
  /** The kernel says that it is the client's own call and its kind may be refused: what it does counts as a strike. */
  readonly strikable: boolean;
  /** The caller itself says that its key was refused (`broker-key --rejected`): a suspicion, never a strike. */
  readonly saysRejected: boolean;
  readonly key: CandidateKey;
  /** Asking the provider issues, runs a command or may prompt a person. */
  readonly askingIsDear: boolean;
}

/** early: this client's value may have been refused · stale: its kind says nothing, so the provider is asked by the clock. */
export type Suspicion = 'none' | 'early' | 'stale';

export function suspicionOf(history: ClientHistory, ask: JudgedAsk): Suspicion {
  const { format, key, nowMs, intervalMs } = ask;
  if (ask.saysRejected || (EARLY_FORMATS.has(format) && asksEarly(history, ask))) return 'early';
  if (ask.askingIsDear || key.leased) return 'none';
  const unconfirmedMs = nowMs - key.confirmedAtMs;
  if (format === 'headers') return unconfirmedMs >= HEADERS_CONFIRMED_MS ? 'stale' : 'none';
  return intervalMs < SHORT_INTERVAL_MS && unconfirmedMs >= SHORT_CONFIRMED_MS ? 'stale' : 'none';
}

function asksEarly({ served }: ClientHistory, ask: JudgedAsk): boolean {
  if (served === undefined) return false;
  // Also if a successor is there by now: what the client replaces separately is the one that it was served.
  if (endsSoon(served.jwtExpiresAtMs, ask.nowMs) || endsSoon(ask.key.jwtExpiresAtMs, ask.nowMs)) return false;
  const early = ask.intervalMs * EARLY;
  return ask.nowMs - served.atMs < early && ask.wallMs - served.atWallMs < early;
}

function endsSoon(jwtExpiresAtMs: number | undefined, nowMs: number): boolean {
  return jwtExpiresAtMs !== undefined && jwtExpiresAtMs - nowMs < JWT_LAST_MS;
}

/** Whether this suspicion of a leased key is worth a new lease: the second unexplained early ask of a chain. */
export function wantsNewLease(history: ClientHistory, ask: JudgedAsk): boolean {
  return mayStrike(ask) && liveChain(history, ask.nowMs) !== undefined;
}

/** What is known of the value when the ask is judged. */
export interface Evidence {
  /** confirmed: the provider has this value and no other · silent: it was asked and has said nothing, or was not asked. */
  readonly provider: 'confirmed' | 'silent';
  /** When a read began that is still under way. */
  readonly pendingSinceMs?: number | undefined;
  /** What the API itself says of the value, where a check is armed. */
  readonly check?: 'good' | 'rejected' | undefined;
  /** The value was issued because of this very chain: it neither ends it nor clears its strikes. */
  readonly issuedBySuspicion?: boolean | undefined;
}

/** Why an ask is refused; the words and the exit code (77, or 75 for `no-verdict`) follow from it. */
export type RefusalReason = 'confirmed' | 'no-verdict' | 'rejected-by-api' | 'accepted-by-api';

export interface Judgement {
  readonly answer: 'serve' | 'refuse';
  readonly reason?: RefusalReason;
  readonly history: ClientHistory;
  /** A value that is not to be served while the provider has another. */
  readonly marked?: string;
}

/** An ask in time ends the chain; a call in another format says nothing of it. */
export function judgeInTime(history: ClientHistory, { nowMs, format }: JudgedAsk): ClientHistory {
  return format === 'raw' ? { ...history, lastAskMs: nowMs, chain: undefined } : history;
}

/** An early ask that a change of the client's settings explains: served, nothing learned, nothing forgotten. */
export function judgeExplained(history: ClientHistory, { nowMs }: JudgedAsk): ClientHistory {
  return { ...history, lastAskMs: nowMs };
}

/** An early ask that nothing explains. `ask.key` is the key as it is after the provider was asked, if it was. */
export function judgeEarly(history: ClientHistory, ask: JudgedAsk, evidence: Evidence): Judgement {
  const { nowMs, key } = ask;
  const next: ClientHistory = { ...history, lastAskMs: nowMs };
  const chain = liveChain(history, nowMs);
  const held = history.served?.digest;
  const isOther = held !== undefined && held !== key.digest && evidence.check !== 'rejected';
  if (isOther && evidence.issuedBySuspicion === true) {
    return serve({ ...next, chain: chain && { ...chain, digest: key.digest, strikes: chain.strikes + 1 } });
  }
  // The client has not had this value: what it was refused with was another.
  if (isOther) return serve({ ...next, chain: mayStrike(ask) ? begin('new', key.digest, nowMs) : undefined }, held);
  if (!mayStrike(ask)) return serve(next);
  if (evidence.check === 'rejected') {
    const struck = chain ?? begin('old', key.digest, nowMs);
    return refuse(next, { ...struck, strikes: struck.strikes + 1, row: struck.row + 1 }, nowMs, 'rejected-by-api');
  }
  if (chain === undefined) return open(next, ask, evidence);
  // It got the value in between, by an ask that was explained.
  if (chain.digest !== key.digest) return serve({ ...next, chain: begin('new', key.digest, nowMs) });
  return advance(next, { ...chain, strikes: chain.strikes + 1 }, ask, evidence);
}

/** What is not the client's own call for its key, and what cannot be told from an ask in time, is never held against a value. */
function mayStrike({ strikable, format, intervalMs }: JudgedAsk): boolean {
  return strikable && format === 'raw' && intervalMs >= SHORTEST_REFUSED_INTERVAL_MS;
}

/** The first early ask is always served: it may be a rotation that is late. */
function open(history: ClientHistory, { key, nowMs }: JudgedAsk, { provider }: Evidence): Judgement {
  const chain =
    provider === 'confirmed' ? begin('old', key.digest, nowMs) : { ...begin('no-verdict', key.digest, nowMs), row: 1 };
  return serve({ ...history, chain: { ...chain, strikes: 1 } });
}

function begin(state: Chain['state'], digest: string, beganAtMs: number): Chain {
  return { state, digest, row: 0, serves: 0, strikes: 0, beganAtMs, refusedAtMs: undefined };
}

function advance(history: ClientHistory, chain: Chain, ask: JudgedAsk, evidence: Evidence): Judgement {
  const { nowMs } = ask;
  if (evidence.check === 'good' && chain.strikes < STRIKES_IF_ACCEPTED) return serve({ ...history, chain });
  const reason = reasonOf(chain, evidence);
  if (chain.serves >= MOST_SERVES) return refuse(history, chain, nowMs, reason);
  if (chain.refusedAtMs !== undefined && nowMs - chain.refusedAtMs < REFUSAL_SPACING_MS) {
    return serve({ ...history, chain: { ...chain, serves: chain.serves + 1 } });
  }
  if (chain.state === 'no-verdict' && evidence.provider === 'silent')
    return withoutVerdict(history, chain, ask, evidence);
  const judged: Chain = chain.state === 'no-verdict' ? { ...chain, state: 'old', row: 0 } : chain;
  return inSequence(history, judged, nowMs, reason);
}

/** Three asks are served although nobody confirms the value; the next ones are refused as those of an old value. */
function withoutVerdict(history: ClientHistory, chain: Chain, ask: JudgedAsk, evidence: Evidence): Judgement {
  const { nowMs } = ask;
  const isPending = evidence.pendingSinceMs !== undefined && nowMs - evidence.pendingSinceMs < READ_PENDING_MS;
  const isKnown = history.served !== undefined && nowMs - history.served.sinceMs >= KNOWN_VALUE_MS;
  if (isPending || !isKnown) return serve({ ...history, chain });
  if (chain.row < UNANSWERED_SERVED) return serve({ ...history, chain: { ...chain, row: chain.row + 1 } });
  const refusedInARow = chain.row - UNANSWERED_SERVED;
  if (refusedInARow < REFUSALS_OLD) return refuse(history, { ...chain, row: chain.row + 1 }, nowMs, 'no-verdict');
  return serve({ ...history, chain: { ...chain, serves: chain.serves + 1, row: UNANSWERED_SERVED } });
}

function inSequence(history: ClientHistory, chain: Chain, nowMs: number, reason: RefusalReason): Judgement {
  const most = chain.state === 'new' ? REFUSALS_NEW : REFUSALS_OLD;
  if (chain.row < most) return refuse(history, { ...chain, row: chain.row + 1 }, nowMs, reason);
  return serve({ ...history, chain: { ...chain, serves: chain.serves + 1, row: 0 } });
}

function reasonOf(chain: Chain, { check, provider }: Evidence): RefusalReason {
  if (check === 'good') return 'accepted-by-api';
  return provider === 'confirmed' || chain.state !== 'no-verdict' ? 'confirmed' : 'no-verdict';
}

/** undefined: there is none, or it is over. */
function liveChain({ chain, lastAskMs }: ClientHistory, nowMs: number): Chain | undefined {
  return lastAskMs === undefined || nowMs - lastAskMs > CHAIN_GAP_MS ? undefined : chain;
}

function serve(history: ClientHistory, marked?: string): Judgement {
  return { answer: 'serve', history, ...(marked === undefined ? {} : { marked }) };
}

function refuse(history: ClientHistory, chain: Chain, nowMs: number, reason: RefusalReason): Judgement {
  return { answer: 'refuse', reason, history: { ...history, chain: { ...chain, refusedAtMs: nowMs } } };
}

/** An answer was written completely to this client. */
export function recordServed(history: ClientHistory, served: Omit<Served, 'sinceMs'>): ClientHistory {
  const sinceMs = history.served?.digest === served.digest ? history.served.sinceMs : served.atMs;
  return { ...history, served: { ...served, sinceMs } };
}

/** The refusal was written: the spacing counts from then. */
export function recordRefused(history: ClientHistory, atMs: number): ClientHistory {
  return history.chain === undefined ? history : { ...history, chain: { ...history.chain, refusedAtMs: atMs } };
}
