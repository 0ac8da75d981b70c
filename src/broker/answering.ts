import { allowsStale, nextAttemptFor } from '../credential/back-off.ts';
import type { Freshness } from '../credential/freshness.ts';
import { BrokerError } from '../errors.ts';
import type { Moment } from '../platform/clock.ts';
import { USUAL_WAIT_MS } from '../platform/known-clients.ts';
import { sleep, waitUntil } from '../platform/waiting.ts';
import type { Ask, BrokerPorts, OpenedKey } from './api.ts';
import type { ManagedCredential } from './credentials.ts';
import { recall } from './gate.ts';
import type { Logins } from './logins.ts';
import type { Refresher } from './refresher.ts';

/** With a stale key in hand an ask waits this long for a better one, a wait for the provider's verdict on the key included. */
const STALE_WAIT_MS = 2_000;

/**
 * What is known of an outage is out of date when no refresh was tried for this long although one was allowed: while a
 * credential is in use the next try comes with the end of the hold-off, and is over within the limit for one call.
 */
const KNOWN_MS = 60_000;

/** A key that may be served to this ask, unsealed in the same turn in which it was judged. */
type Servable = Omit<OpenedKey, 'delivered'>;

/** Points 4 to 6 of what makes a key fit to serve: at once, refreshed behind, after a short wait, after a long one, or not. */
export class Answering {
  readonly #ports: BrokerPorts;
  readonly #refresher: Refresher;
  readonly #logins: Logins;

  constructor(ports: BrokerPorts, refresher: Refresher, logins: Logins) {
    this.#ports = ports;
    this.#refresher = refresher;
    this.#logins = logins;
  }

  /**
   * @param at as of when the key is judged: the ask's own time, unless it has waited since.
   * @throws BrokerError why there is nothing to serve.
   */
  async find(credential: ManagedCredential, ask: Ask, at: Moment): Promise<Servable> {
    const freshness = credential.judge(at.nowMs, ask.intervalMs);
    if (freshness?.state === 'fresh') {
      const servable = this.#open(credential, 'fresh', at);
      if (servable !== undefined) {
        if (freshness.refreshBehind || credential.isUnconfirmed) this.#refreshBehind(credential, at);
        return servable;
      }
    }
    this.#logins.noticeChange(credential.gate);
    const servable = freshness?.state === 'stale' ? await this.#findBetterThanStale(credential, ask, at) : undefined;
    return servable ?? this.#waitForKey(credential, ask);
  }

  /** undefined: what is stored does not authenticate any more, which is as if there were nothing. */
  #open(credential: ManagedCredential, state: OpenedKey['state'], at: Moment): Servable | undefined {
    const { key } = credential;
    if (key === undefined) throw new TypeError('judged servable without a key');
    const secrets = this.#ports.cache.open(credential.name);
    if (secrets !== undefined) return { key, state, secrets, at };
    this.#refresher.drop(credential);
    return undefined;
  }

  #refreshBehind(credential: ManagedCredential, { nowMs }: Moment): void {
    if (credential.holdOff(nowMs, 'behind') === undefined) this.#refresher.refresh(credential, 'behind');
  }

  /** undefined: nothing may be served without the provider. */
  async #findBetterThanStale(credential: ManagedCredential, ask: Ask, at: Moment): Promise<Servable | undefined> {
    const { clock } = this.#ports;
    const known = credential.knownFailure(at.nowMs - KNOWN_MS);
    if (known !== undefined && allowsStale(known.record.kind)) {
      // Known to be down: no ask waits for it, but the first one after the hold-off sends a probe behind its answer.
      this.#refreshBehind(credential, at);
      return this.#open(credential, 'stale', at);
    }
    if (credential.holdOff(at.nowMs, 'ask') !== undefined) return undefined;
    const done = this.#refresher.refresh(credential, 'ask');
    const startedAtMs = credential.flight?.startedAtMs ?? at.nowMs;
    try {
      await waitUntil(clock, done, Math.min(startedAtMs, ask.at.nowMs) + STALE_WAIT_MS, ask.signal);
    } catch (fault) {
      ask.signal.throwIfAborted();
      if (!mayServeStaleAfter(fault, credential)) return undefined;
    }
    const now = clock.read();
    const freshness = credential.judge(now.nowMs, ask.intervalMs);
    if (freshness === undefined || freshness.state === 'unfit') return undefined;
    return this.#open(credential, freshness.state, now);
  }

  async #waitForKey(credential: ManagedCredential, ask: Ask): Promise<Servable> {
    const { clock } = this.#ports;
    const deadlineMs = ask.at.nowMs + (ask.client?.known?.waitMs ?? USUAL_WAIT_MS);
    for (;;) {
      const hold = credential.flight === undefined ? credential.holdOff(clock.now(), 'ask') : undefined;
      if (hold !== undefined) {
        const nextAtMs = nextAttemptFor(hold.record, 'ask');
        if (hold.record.kind !== 'transient' || nextAtMs >= deadlineMs) {
          throw recall(hold, credential.name, clock.now());
        }
        await sleep(nextAtMs - clock.now(), clock, ask.signal);
      } else {
        const done = this.#refresher.refresh(credential, 'ask');
        try {
          const outcome = await waitUntil(clock, done, deadlineMs, ask.signal);
          if (!outcome.done) throw stillRefreshing(credential, clock.now());
        } catch (fault) {
          ask.signal.throwIfAborted();
          // A transient failure may pass within the time that is left; the hold-off says when to try again.
          const nowMs = clock.now();
          if (credential.holdOff(nowMs, 'ask')?.record.kind === 'transient' && nowMs < deadlineMs) continue;
          throw fault;
        }
      }
      const at = clock.read();
      const freshness = credential.judge(at.nowMs, ask.intervalMs);
      // After a hold-off another ask may have tried again at the same moment, and with more luck.
      if (hold !== undefined && freshness?.state !== 'fresh') continue;
      if (freshness === undefined || freshness.state === 'unfit') throw nothingFit(credential, freshness);
      const servable = this.#open(credential, freshness.state, at);
      if (servable === undefined) throw cannotOpen(credential);
      return servable;
    }
  }
}

function mayServeStaleAfter(fault: unknown, credential: ManagedCredential): boolean {
  const kind = credential.lastFailure?.record.kind;
  return fault instanceof BrokerError && kind !== undefined && allowsStale(kind);
}

function stillRefreshing(credential: ManagedCredential, nowMs: number): BrokerError {
  const known = credential.lastFailure;
  const before = known === undefined ? '' : ` (before that: ${recall(known, credential.name, nowMs).message})`;
  return new BrokerError(
    'ERR_REFRESH_PENDING',
    `provider "${credential.gate.name}" has not answered yet for "${credential.name}"${before}`,
    { remedy: 'the refresh goes on; try again in a few seconds, or see `broker status`' },
  );
}

function nothingFit(credential: ManagedCredential, freshness: Freshness | undefined): BrokerError {
  const why =
    freshness?.state === 'unfit' && freshness.reason === 'expired'
      ? `the key that the provider returns for "${credential.name}" has expired already`
      : `there is no key fit to serve for "${credential.name}"`;
  return new BrokerError('ERR_NO_FIT_KEY', why, {
    remedy: 'store a key there that is valid; `broker status` shows what was read and when it expires',
  });
}

function cannotOpen(credential: ManagedCredential): BrokerError {
  return new BrokerError('ERR_INTERNAL', `the key of "${credential.name}" cannot be read back after it was stored`, {
    remedy: 'see `broker status` for the state of the cache, then restart the daemon',
  });
}
