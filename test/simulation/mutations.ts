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
    from: 'if (!changed && !hasOtherKey) return false;',
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
    rule: 'refreshes are not made before half of life',
    file: 'src/credential/renewal.ts',
    from: 'return Math.max(MIN_REFRESH_GAP_MS, afterMs);',
    to: 'return Math.max(MIN_REFRESH_GAP_MS, afterMs / 12);',
  },
  {
    rule: 'failures are backed off from',
    file: 'src/credential/back-off.ts',
    from: 'const nextAttemptAtMs = nowMs + Math.max(unasked, floor);',
    to: 'const nextAttemptAtMs = nowMs + 1;',
  },
  {
    rule: 'nine seconds at the most',
    file: 'src/platform/known-clients.ts',
    from: 'export const USUAL_WAIT_MS = 9_000;',
    to: 'export const USUAL_WAIT_MS = 12_000;',
  },
  {
    rule: 'a mark holds while the provider has another value',
    file: 'src/broker/refresher.ts',
    from: 'if (isMarked && !this.#liftsMark(credential, reading.key, at.nowMs, now)) return;',
    to: '',
  },
  {
    rule: 'a mark yields to the provider',
    file: 'src/credential/marks.ts',
    from: 'return readAtMs - atMs < SECOND_LOOK_MS ?',
    to: 'return readAtMs >= atMs ?',
  },
  {
    rule: 'early is under 90 % of the interval',
    file: 'src/credential/rejection.ts',
    from: 'const EARLY = 0.9;',
    to: 'const EARLY = 1.5;',
  },
  {
    rule: 'a JWT at its end is never early',
    file: 'src/credential/rejection.ts',
    from: 'const JWT_LAST_MS = 60_000;',
    to: 'const JWT_LAST_MS = 0;',
  },
  {
    rule: 'the first early ask of a chain is served',
    file: 'src/credential/rejection.ts',
    from: 'if (chain === undefined) return open(next, ask, evidence);',
    to: "if (chain === undefined) return refuse(next, begin('old', key.digest, nowMs), nowMs, 'confirmed');",
  },
  {
    rule: 'another value is served',
    file: 'src/credential/rejection.ts',
    from: "const isOther = held !== undefined && held !== key.digest && evidence.check !== 'rejected';",
    to: "const isOther = held === '';",
  },
  {
    rule: 'only the client’s own raw calls are refused',
    file: 'src/credential/rejection.ts',
    from: "return strikable && format === 'raw' && intervalMs >= SHORTEST_REFUSED_INTERVAL_MS;",
    to: 'return intervalMs >= SHORTEST_REFUSED_INTERVAL_MS;',
  },
  {
    rule: 'an echo within two seconds of a refusal is served',
    file: 'src/credential/rejection.ts',
    from: 'const REFUSAL_SPACING_MS = 2_000;',
    to: 'const REFUSAL_SPACING_MS = 200;',
  },
  {
    rule: 'six echoes are served, and no more',
    file: 'src/credential/rejection.ts',
    from: 'const MOST_SERVES = 6;',
    to: 'const MOST_SERVES = 600;',
  },
  {
    rule: 'an old value is served after three refusals',
    file: 'src/credential/rejection.ts',
    from: 'const REFUSALS_OLD = 3;',
    to: 'const REFUSALS_OLD = 30;',
  },
  {
    rule: 'a new value is served after two refusals',
    file: 'src/credential/rejection.ts',
    from: 'const REFUSALS_NEW = 2;',
    to: 'const REFUSALS_NEW = 20;',
  },
  {
    rule: 'a chain is over after 45 s without an ask',
    file: 'src/credential/rejection.ts',
    from: 'const CHAIN_GAP_MS = 45_000;',
    to: 'const CHAIN_GAP_MS = 4_500_000;',
  },
  {
    rule: 'three asks without a verdict are served, and no more',
    file: 'src/credential/rejection.ts',
    from: 'const UNANSWERED_SERVED = 3;',
    to: 'const UNANSWERED_SERVED = 30;',
  },
  {
    rule: 'nothing is counted while a read may bring a verdict',
    file: 'src/credential/rejection.ts',
    from: 'const READ_PENDING_MS = 9_000;',
    to: 'const READ_PENDING_MS = 0;',
  },
  {
    rule: 'without a verdict nothing is counted against a value that is new to the client',
    file: 'src/credential/rejection.ts',
    from: 'const KNOWN_VALUE_MS = 15_000;',
    to: 'const KNOWN_VALUE_MS = 0;',
  },
  {
    rule: 'reads because of a suspicion are ten seconds apart',
    file: 'src/credential/suspicion-reads.ts',
    from: 'const READ_GAP_MS = 10_000;',
    to: 'const READ_GAP_MS = 100;',
  },
  {
    rule: 'their gap doubles to a minute',
    file: 'src/credential/suspicion-reads.ts',
    from: 'const LONGEST_READ_GAP_MS = 60_000;',
    to: 'const LONGEST_READ_GAP_MS = 10_000;',
  },
  {
    rule: 'suspicion issues two leases in ten minutes, and no more',
    file: 'src/credential/suspicion-reads.ts',
    from: 'const MOST_ISSUES = 2;',
    to: 'const MOST_ISSUES = 20;',
  },
  {
    rule: 'what the agent’s own tools ask for is no suspicion',
    file: 'src/broker/rejection-detector.ts',
    from: "if (ask.origin() === 'other') return at;",
    to: '',
  },
  {
    rule: 'an ask after a change of the settings is explained',
    file: 'src/broker/client-histories.ts',
    from: 'return wasChanged || wasChangedSince;',
    to: 'return wasChanged && !wasChanged;',
  },
  {
    rule: 'a restart of the machine ends every chain',
    file: 'src/broker/client-histories.ts',
    from: 'record.space === processSpace && isAlive(record)',
    to: 'isAlive(record)',
  },
  {
    rule: 'a restart of the daemon ends no chain',
    file: 'src/broker/client-histories.ts',
    from: 'cache.saveClients(records);',
    to: '',
  },
  {
    rule: 'a provider with too much to do is left in peace',
    file: 'src/broker/suspicion.ts',
    from: 'const PEACE_MS = 60_000;',
    to: 'const PEACE_MS = 0;',
  },
  {
    rule: 'four suspicions at a time',
    file: 'src/broker/suspicion.ts',
    from: 'const MOST_READS = 4;',
    to: 'const MOST_READS = 400;',
  },
  {
    rule: 'no ask waits for a provider that is known to be down',
    file: 'src/broker/suspicion.ts',
    from: 'return isDown ? undefined : reading;',
    to: 'return reading;',
  },
  {
    rule: 'a check that is not armed has no effect',
    file: 'src/broker/rejection-detector.ts',
    from: 'const check = this.#checks.isArmed(credential)',
    to: 'const check = credential',
  },
  {
    rule: 'a key that the API rejects is refused at once',
    file: 'src/credential/rejection.ts',
    from: "if (evidence.check === 'rejected') {",
    to: 'if (evidence.check === undefined && nowMs < 0) {',
  },
  {
    rule: 'a key that the API accepts is refused from the fourth strike on',
    file: 'src/credential/rejection.ts',
    from: 'const STRIKES_IF_ACCEPTED = 4;',
    to: 'const STRIKES_IF_ACCEPTED = 400;',
  },
  {
    rule: 'an outage ends when it ends: an ask probes',
    file: 'src/credential/back-off.ts',
    from: "if (urgency === 'ask') return probeAtMs;",
    to: "if (urgency === 'ask') return nextAttemptAtMs;",
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
