import type { FailureConcern, FailureKind } from '../errors.ts';

/** Consecutive failures of one credential, one login or one address; replaced, never changed. Times on the steady clock. */
export interface FailureRecord {
  readonly kind: FailureKind;
  readonly failures: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  /** From this moment on the broker tries again unasked, where it does so at all; infinity: it does not. */
  readonly nextAttemptAtMs: number;
  /** From this moment on it tries again for a client that cannot be given a key otherwise. Never later than `nextAttemptAtMs`. */
  readonly probeAtMs: number;
}

/**
 * On whose behalf the provider is asked: nobody's just now, a client's that was given what there is, a client's that waits for a key, a
 * person's who told the broker to.
 */
export type Urgency = 'unasked' | 'behind' | 'ask' | 'person';

export interface FailureFacts {
  readonly kind: FailureKind;
  readonly retryAfterMs: number | undefined;
  readonly concerns?: FailureConcern;
  /** The server has judged a login and refused it. */
  readonly isRefusedLogin?: boolean;
  /** From the try to the failure. */
  readonly waitedMs?: number;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
/** Vault's own agent and the AWS SDK draw from the same range. */
const TRANSIENT = { fromMs: SECOND_MS, toMs: 5 * MINUTE_MS };
/** Asking more often does not help until a person has done something; the broker notices it at the next attempt or `broker refresh`. */
const NEEDS_A_PERSON = { fromMs: 30 * SECOND_MS, toMs: 15 * MINUTE_MS };

/**
 * When a client with no key at all makes the broker look whether an outage is over: at random, so that a fleet that lost its
 * provider does not look in step, and so soon that the first minutes of an outage last at most 15 s longer for the clients than
 * for the provider. Later the wait grows with the outage's age, to a minute. It is counted from the last try, not from when that
 * was given up.
 */
const PROBE = { fromMs: 10 * SECOND_MS, spreadMs: 4 * SECOND_MS, longestSpreadMs: 50 * SECOND_MS };
/** After a try that got no answer for longer than that. */
const SOONEST_MS = SECOND_MS;
/** After so many tries the wait may grow: it is then a 60th of the outage. */
const EARLY_TRIES = 5;
const PART_OF_OUTAGE = 1 / 60;
/** With a key in hand the wait is longer sooner: whoever is given an old one while the provider has another need not have it for long. */
const PART_BEHIND = 1 / 8;

/** What a person has to put right, and may have by now: doubling. */
const READ_AGAIN = { fromMs: 10 * SECOND_MS, toMs: 2 * MINUTE_MS };

/**
 * The longest Retry-After that is obeyed: a proxy or a maintenance page that answers in the provider's place, or a mistaken
 * unit, must not silence the broker for a day. It is what a person would wait before looking again.
 */
const LONGEST_RETRY_AFTER_MS = 60 * MINUTE_MS;

/**
 * Unasked: full jitter over a doubling ceiling. A Retry-After is a floor of everything, up to its own ceiling and with up to a
 * fifth on top, so that a fleet that was turned away together does not come back together.
 * @param random in [0, 1).
 */
export function recordFailure(
  previous: FailureRecord | undefined,
  failure: FailureFacts,
  nowMs: number,
  random: number,
): FailureRecord {
  const { kind } = failure;
  const failures = previous?.kind === kind ? previous.failures + 1 : 1;
  const firstAtMs = previous?.firstAtMs ?? nowMs;
  const isOfProvider = failure.isRefusedLogin !== true;
  const floor = isOfProvider ? Math.min(failure.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS) * (1 + random / 5) : 0;
  const [unasked, asked] = waits(failure, failures, nowMs - firstAtMs, random);
  const nextAttemptAtMs = nowMs + Math.max(unasked, floor);
  const probeAtMs = Math.min(nextAttemptAtMs, nowMs + Math.max(asked, floor));
  return { kind, failures, firstAtMs, lastAtMs: nowMs, nextAttemptAtMs, probeAtMs };
}

function waits(
  { kind, concerns, isRefusedLogin, retryAfterMs, waitedMs = 0 }: FailureFacts,
  failures: number,
  ageMs: number,
  random: number,
): readonly [unaskedMs: number, askedMs: number] {
  if (isRefusedLogin === true && concerns === 'login') {
    // Wrong logins lock an account for everybody who shares it. Only a limit of our own names a time, and then there is a reason.
    const waitMs = retryAfterMs ?? Number.POSITIVE_INFINITY;
    return [waitMs, waitMs];
  }
  const { fromMs, toMs } = kind === 'transient' ? TRANSIENT : NEEDS_A_PERSON;
  const unasked = fromMs + random * (doubled(fromMs, failures + 1, toMs) - fromMs);
  if (kind === 'transient') return [unasked, Math.max(SOONEST_MS, probeWait(failures, ageMs, random) - waitedMs)];
  const again = doubled(READ_AGAIN.fromMs, failures, READ_AGAIN.toMs);
  return [isTriedOnAsksOnly(kind) ? again : Math.max(unasked, again), again];
}

function probeWait(failures: number, ageMs: number, random: number): number {
  const { fromMs, spreadMs, longestSpreadMs } = PROBE;
  const spread = failures <= EARLY_TRIES ? spreadMs : Math.max(spreadMs, ageMs * PART_OF_OUTAGE);
  return fromMs + random * Math.min(longestSpreadMs, spread);
}

/** `fromMs` for the first time, then twice as long each time. */
function doubled(fromMs: number, times: number, toMs: number): number {
  return Math.min(toMs, fromMs * 2 ** Math.min(times - 1, 30));
}

export function nextAttemptFor(record: FailureRecord, urgency: Urgency): number {
  const { kind, firstAtMs, lastAtMs, nextAttemptAtMs, probeAtMs } = record;
  if (urgency === 'person') return lastAtMs;
  if (urgency === 'ask') return probeAtMs;
  if (urgency === 'unasked' || kind !== 'transient') return nextAttemptAtMs;
  return Math.min(nextAttemptAtMs, Math.max(probeAtMs, lastAtMs + (lastAtMs - firstAtMs) * PART_BEHIND));
}

/** True while the provider must not be reached on behalf of such a one. */
export function isHeldOff(record: FailureRecord, nowMs: number, urgency: Urgency): boolean {
  return nowMs < nextAttemptFor(record, urgency);
}

/** Stale keys are served while the provider fails or a login has to be renewed: not after a lost permission, nor with a wrong configuration. */
export function allowsStale(kind: FailureKind): boolean {
  return kind === 'transient' || kind === 'login-expired';
}

/** The provider says that this client is not to have the key any more. */
export function dropsKey(kind: FailureKind): boolean {
  return kind === 'denied' || kind === 'gone';
}

/**
 * Only somebody who asks for the key makes the broker try again: what was taken away on purpose, and a login that needs a
 * person, because trying it may put a prompt before them.
 */
export function isTriedOnAsksOnly(kind: FailureKind): boolean {
  return dropsKey(kind) || kind === 'login-expired';
}

/** When logins of one account were refused lately, the newest last. Kept over restarts. */
export type RefusedLogins = readonly number[];

/** Vault and OpenBao lock a role or a user after five wrong logins within 15 minutes: for every machine that shares it. */
const LOGIN_WINDOW_MS = 15 * MINUTE_MS;
const LOGINS_IN_WINDOW = 2;

export function withRefusedLogin(refused: RefusedLogins, nowMs: number): RefusedLogins {
  return [...refused, nowMs].slice(-LOGINS_IN_WINDOW);
}

/** Before this moment nothing and nobody makes the broker log in with this account again. */
export function nextLoginAt(refused: RefusedLogins): number {
  const counted = refused.slice(-LOGINS_IN_WINDOW);
  const [oldest] = counted;
  return oldest === undefined || counted.length < LOGINS_IN_WINDOW ? 0 : oldest + LOGIN_WINDOW_MS;
}
