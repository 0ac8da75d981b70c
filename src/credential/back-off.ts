import type { FailureKind } from '../errors.ts';

/** Consecutive failures of one credential or one provider; replaced, never changed. Times on the steady clock. */
export interface FailureRecord {
  readonly kind: FailureKind;
  readonly failures: number;
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  /** Before this moment only a person's own refresh asks the provider. */
  readonly nextAttemptAtMs: number;
}

const SECOND_MS = 1000;
/** Vault's own agent and the AWS SDK draw from the same range. */
const TRANSIENT = { fromMs: SECOND_MS, toMs: 5 * 60 * SECOND_MS };
/** Asking more often does not help until a person has done something; the broker notices it at the next attempt or `broker refresh`. */
const NEEDS_A_PERSON = { fromMs: 30 * SECOND_MS, toMs: 15 * 60 * SECOND_MS };

/**
 * The longest Retry-After that is obeyed: a proxy or a maintenance page that answers in the provider's place, or a mistaken
 * unit, must not silence the broker for a day. It is what a person would wait before looking again.
 */
const LONGEST_RETRY_AFTER_MS = 60 * 60 * SECOND_MS;

/**
 * Full jitter over a doubling ceiling. A Retry-After is a floor, up to its own ceiling and with up to a fifth on top, so
 * that a fleet that was turned away together does not come back together.
 * @param random in [0, 1).
 */
export function recordFailure(
  previous: FailureRecord | undefined,
  failure: { readonly kind: FailureKind; readonly retryAfterMs: number | undefined },
  nowMs: number,
  random: number,
): FailureRecord {
  const failures = previous?.kind === failure.kind ? previous.failures + 1 : 1;
  const { fromMs, toMs } = failure.kind === 'transient' ? TRANSIENT : NEEDS_A_PERSON;
  const ceiling = Math.min(toMs, fromMs * 2 ** Math.min(failures, 30));
  const jittered = fromMs + random * (ceiling - fromMs);
  const asked = Math.min(failure.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS) * (1 + random / 5);
  return {
    kind: failure.kind,
    failures,
    firstAtMs: previous?.firstAtMs ?? nowMs,
    lastAtMs: nowMs,
    nextAttemptAtMs: nowMs + Math.max(jittered, asked),
  };
}

/** True while only a person's own refresh may reach the provider. */
export function isHeldOff(record: FailureRecord | undefined, nowMs: number): boolean {
  return record !== undefined && nowMs < record.nextAttemptAtMs;
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
