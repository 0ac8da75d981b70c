/** One rule broken: `from` occurs in the file exactly once. */
export interface Mutation extends Edit {
  readonly rule: string;
  /** Where a rule is held in two places, the other one. */
  readonly and?: Edit;
}

export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Each rule of "When a key is fit to serve" broken once. */
export const MUTATIONS: readonly Mutation[] = [
  {
    rule: 'never an expired key',
    file: 'src/credential/freshness.ts',
    from: "if (end !== undefined && nowMs >= end) return { state: 'unfit', reason: 'expired' };",
    to: "if (end !== undefined && nowMs >= end + 600_000) return { state: 'unfit', reason: 'expired' };",
  },
  {
    rule: 'life ≥ interval + margin: the margin is forgotten',
    file: 'src/credential/freshness.ts',
    from: 'outlivesClient(living, nowMs, intervalMs + policy.turnMarginMs)',
    to: 'outlivesClient(living, nowMs, intervalMs)',
  },
  {
    rule: 'life ≥ interval + margin: the interval is forgotten',
    file: 'src/credential/freshness.ts',
    from: 'outlivesClient(living, nowMs, intervalMs + policy.turnMarginMs)',
    to: 'outlivesClient(living, nowMs, policy.turnMarginMs)',
  },
  {
    rule: 'a short-lived key is served for half of its life at the most',
    file: 'src/credential/freshness.ts',
    from: 'nowMs - start < granted / 2',
    to: 'nowMs - start < granted',
  },
  {
    rule: 'an ask that needs a longer life is not given a renewal that cannot provide it',
    file: 'src/credential/renewal.ts',
    from: "if (possible === undefined || possible - nowMs >= wanted) return 'renew';",
    to: "if (possible !== null) return 'renew';",
  },
  {
    rule: 'absolute times are corrected by the clock of the server',
    file: 'src/broker/reads.ts',
    from: 'serverNowMs: secret.serverTimeMs ?? at.wallMs',
    to: 'serverNowMs: at.wallMs',
  },
  {
    rule: 'never a rejected key',
    file: 'src/broker/credentials.ts',
    from: 'if (this.key === undefined || this.rejected.has(this.key.digest)) return undefined;',
    to: 'if (this.key === undefined) return undefined;',
    and: {
      file: 'src/broker/refresher.ts',
      from: 'if (credential.rejected.has(reading.key.digest)) throw stillRejected(reading.key);',
      to: '',
    },
  },
  {
    rule: 'nine seconds at the most',
    file: 'src/broker/answering.ts',
    from: 'const MAX_WAIT_MS = 9_000;',
    to: 'const MAX_WAIT_MS = 12_000;',
  },
  {
    rule: 'two seconds with a stale key',
    file: 'src/broker/answering.ts',
    from: 'const STALE_WAIT_MS = 2_000;',
    to: 'const STALE_WAIT_MS = 4_000;',
  },
  {
    rule: 'what is known of an outage does not outlast a minute without a look',
    file: 'src/broker/answering.ts',
    from: 'const KNOWN_MS = 60_000;',
    to: 'const KNOWN_MS = 86_400_000;',
  },
  {
    rule: 'a fixed login takes effect at once',
    file: 'src/broker/gate.ts',
    from: 'if (!changed) return false;',
    to: 'if (changed || !changed) return false;',
  },
  {
    rule: 'one refresh at a time',
    file: 'src/broker/refresher.ts',
    from: 'if (credential.flight !== undefined) return credential.flight.done;',
    to: '',
  },
  {
    rule: 'credentials that read the same secret share one read',
    file: 'src/broker/reads.ts',
    from: 'const known = reads.get(readId);',
    to: 'const known = undefined;',
  },
  {
    rule: 'leases on one login do not renew it together',
    file: 'src/broker/renewals.ts',
    from: 'await this.#logins.join(renewalId, renew);',
    to: 'await renew();',
  },
  {
    rule: 'a leased key expires with its login',
    file: 'src/credential/life.ts',
    from: 'return earliest([key.expiresAtMs, key.lease?.expiresAtMs, login?.expiresAtMs]);',
    to: 'return earliest([key.expiresAtMs, key.lease?.expiresAtMs]);',
  },
  {
    rule: 'no lease is revoked under its holder',
    file: 'src/broker/leases.ts',
    from: 'if (!letGo && this.#ports.isAlive(client)) return false;',
    to: 'if (!letGo && this.#ports.isAlive(client)) continue;',
  },
  {
    rule: 'nobody is locked out',
    file: 'src/credential/rejection.ts',
    from: 'if (refusal === undefined || refusal.callsLeft <= 0 || ask.nowMs >= refusal.untilMs) return false;',
    to: 'if (refusal === undefined) return false;',
  },
  {
    rule: 'refreshes are not made before half of life',
    file: 'src/credential/renewal.ts',
    from: 'return Math.max(MIN_REFRESH_GAP_MS, afterMs);',
    to: 'return Math.max(MIN_REFRESH_GAP_MS, afterMs / 12);',
  },
  {
    rule: 'failures are backed off from',
    file: 'src/credential/back-off.ts',
    from: 'nextAttemptAtMs: nowMs + Math.max(jittered, asked),',
    to: 'nextAttemptAtMs: nowMs + 1,',
  },
  {
    rule: 'a suspicion asks the provider at most every ten seconds',
    file: 'src/credential/rejection.ts',
    from: 'return sinceMs >= REVALIDATION_GAP_MS ||',
    to: 'return sinceMs >= 0 ||',
  },
  {
    rule: 'an outage ends when it ends: an ask probes',
    file: 'src/credential/back-off.ts',
    from: "return urgency === 'ask' ? record.probeAtMs : record.nextAttemptAtMs;",
    to: 'return record.nextAttemptAtMs;',
  },
  {
    rule: 'never before Retry-After, not even for an ask',
    file: 'src/credential/back-off.ts',
    from: 'const probeAtMs = Math.min(nextAttemptAtMs, nowMs + Math.max(asked, floor));',
    to: 'const probeAtMs = Math.min(nextAttemptAtMs, nowMs + asked);',
  },
  {
    rule: 'probes are ten seconds apart',
    file: 'src/credential/back-off.ts',
    from: 'const PROBE = { fromMs: 10 * SECOND_MS,',
    to: 'const PROBE = { fromMs: 1 * SECOND_MS,',
  },
  {
    rule: 'a denied read is asked for ever more rarely',
    file: 'src/credential/back-off.ts',
    from: 'const again = doubled(READ_AGAIN.fromMs, failures, READ_AGAIN.toMs);',
    to: 'const again = READ_AGAIN.fromMs;',
  },
  {
    rule: 'a refused login is not tried again without a reason',
    file: 'src/credential/back-off.ts',
    from: 'const waitMs = retryAfterMs ?? Number.POSITIVE_INFINITY;',
    to: 'const waitMs = retryAfterMs ?? READ_AGAIN.fromMs;',
  },
  {
    rule: 'two wrong logins in 15 minutes',
    file: 'src/credential/back-off.ts',
    from: 'const LOGINS_IN_WINDOW = 2;',
    to: 'const LOGINS_IN_WINDOW = 3;',
  },
  {
    rule: "one secret's failure is its own",
    file: 'src/broker/gate.ts',
    from: "if (concerns === 'secret') {",
    to: 'if (concerns === undefined) {',
  },
  {
    rule: 'a wake does not try a refused login',
    file: 'src/broker/gate.ts',
    from: "this.failures = this.failures.filter(({ record }) => record.kind !== 'transient');",
    to: 'this.failures = [];',
  },
  {
    rule: 'a login that was refused stands before every other',
    file: 'src/providers/login-attempts.ts',
    from: 'if (this.#refusal !== undefined && !this.#isAllowed) throw this.#refusal;',
    to: '',
  },
];
