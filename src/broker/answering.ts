import type { SecretFields } from '../cache/cache.ts';
import type { DaemonConfig } from '../config/config.ts';
import { allowsStale } from '../credential/back-off.ts';
import { type Freshness, judgeFreshness } from '../credential/freshness.ts';
import type { KeyVersion } from '../credential/key.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import type { Client } from '../platform/process-tree.ts';
import type { ManagedCredential } from './credentials.ts';
import type { ProviderGate } from './gate.ts';
import type { BrokerPorts } from './ports.ts';
import type { Refresher } from './refresher.ts';

/** With a stale key in hand an ask waits this long for a better one, counted from the start of the refresh. */
const STALE_WAIT_MS = 2_000;

/**
 * What is known of an outage is out of date when nobody has tried for this long although somebody could have: while a
 * credential is in use the next try comes with the end of the hold-off, and is over within the limit for one call.
 */
const KNOWN_MS = 60_000;

interface AnsweringDeps {
  readonly refresher: Refresher;
  readonly policy: () => DaemonConfig;
  /** What a login is made from has changed: its failures are forgiven. */
  readonly onMendedLogin: (gate: ProviderGate) => void;
}

/** A key that may be served to this ask. */
interface Servable {
  readonly key: KeyVersion;
  readonly state: OpenedKey['state'];
}

/** Points 4 to 6 of what makes a key fit to serve: at once, refreshed behind, after a short wait, after a long one, or not. */
export class Answering {
  readonly #ports: BrokerPorts;
  readonly #deps: AnsweringDeps;

  constructor(ports: BrokerPorts, deps: AnsweringDeps) {
    this.#ports = ports;
    this.#deps = deps;
  }

  /**
   * @param deadlineMs on the steady clock: nobody waits longer for anything.
   * @throws BrokerError why there is nothing to serve.
   */
  async find(credential: ManagedCredential, ask: Ask, deadlineMs: number): Promise<Servable> {
    const freshness = this.#judge(credential, ask);
    if (freshness?.state === 'fresh') {
      if (freshness.refreshBehind) this.#refreshBehind(credential);
      return this.#servable(credential, 'fresh');
    }
    if (credential.gate.noticeMendedLogin()) this.#deps.onMendedLogin(credential.gate);
    if (freshness?.state === 'stale') {
      const servable = await this.#findBetterThanStale(credential, ask);
      if (servable !== undefined) return servable;
    }
    return this.#waitForKey(credential, ask, deadlineMs);
  }

  #judge(credential: ManagedCredential, ask: Ask): Freshness | undefined {
    const { living } = credential;
    if (living === undefined) return undefined;
    return judgeFreshness(living, this.#ports.clock.now(), ask.intervalMs, {
      turnMarginMs: this.#deps.policy().turnMarginMs,
      maxStaleMs: credential.spec.config.maxStaleMs,
    });
  }

  #servable(credential: ManagedCredential, state: OpenedKey['state']): Servable {
    const { key } = credential;
    if (key === undefined) throw new TypeError('judged servable without a key');
    return { key, state };
  }

  #refreshBehind(credential: ManagedCredential): void {
    if (credential.holdOff(this.#ports.clock.now()) === undefined) this.#start(credential, 'behind');
  }

  #start(credential: ManagedCredential, reason: 'ask' | 'behind'): Promise<void> {
    return this.#deps.refresher.refresh(credential, reason);
  }

  /** undefined: nothing may be served without the provider. */
  async #findBetterThanStale(credential: ManagedCredential, ask: Ask): Promise<Servable | undefined> {
    const { clock } = this.#ports;
    const known = credential.knownFailure(clock.now() - KNOWN_MS);
    if (known !== undefined && allowsStale(known.record.kind)) {
      // Known to be down: nobody waits for it, but the first ask after the hold-off sends a probe behind its answer.
      this.#refreshBehind(credential);
      return this.#servable(credential, 'stale');
    }
    if (credential.holdOff(clock.now()) !== undefined) return undefined;
    const done = this.#start(credential, 'ask');
    const startedAtMs = credential.flight?.startedAtMs ?? clock.now();
    try {
      await waitUntil(clock, done, startedAtMs + STALE_WAIT_MS, ask.signal);
    } catch (fault) {
      ask.signal.throwIfAborted();
      if (!mayServeStaleAfter(fault, credential)) return undefined;
    }
    const freshness = this.#judge(credential, ask);
    if (freshness === undefined || freshness.state === 'unfit') return undefined;
    return this.#servable(credential, freshness.state);
  }

  async #waitForKey(credential: ManagedCredential, ask: Ask, deadlineMs: number): Promise<Servable> {
    const { clock } = this.#ports;
    for (;;) {
      const hold = credential.flight === undefined ? credential.holdOff(clock.now()) : undefined;
      if (hold !== undefined) {
        const { nextAttemptAtMs, kind } = hold.record;
        if (kind !== 'transient' || nextAttemptAtMs >= deadlineMs) throw hold.error;
        await waitUntil(clock, sleepUntil(clock, nextAttemptAtMs), deadlineMs, ask.signal);
        // Somebody else may have tried again at the same moment, and with more luck.
        if (this.#judge(credential, ask)?.state === 'fresh') return this.#servable(credential, 'fresh');
        continue;
      }
      const done = this.#start(credential, 'ask');
      try {
        const outcome = await waitUntil(clock, done, deadlineMs, ask.signal);
        if (!outcome.done) throw stillRefreshing(credential);
      } catch (fault) {
        ask.signal.throwIfAborted();
        // A transient failure may pass within the time that is left; the hold-off says when to try again.
        if (credential.holdOff(clock.now())?.record.kind === 'transient' && clock.now() < deadlineMs) continue;
        throw fault;
      }
      const freshness = this.#judge(credential, ask);
      if (freshness === undefined || freshness.state === 'unfit') throw nothingFit(credential, freshness);
      return this.#servable(credential, freshness.state);
    }
  }
}

function mayServeStaleAfter(fault: unknown, credential: ManagedCredential): boolean {
  const kind = credential.lastFailure?.record.kind;
  return fault instanceof BrokerError && kind !== undefined && allowsStale(kind);
}

function stillRefreshing(credential: ManagedCredential): BrokerError {
  const known = credential.lastFailure?.error;
  const before = known === undefined ? '' : ` (before that: ${known.message})`;
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

/** One question to the broker, as the server understood it. */
export interface Ask {
  /** undefined: the configured default. */
  readonly credential: string | undefined;
  /** How long the client will keep the answer. */
  readonly intervalMs: number;
  readonly client: Client | undefined;
  /** Whether this is the client's own call for its own key, and so may be judged an early repeat. */
  readonly judged: boolean;
  /** Aborted when the asker hangs up. */
  readonly signal: AbortSignal;
}

/** The process that wanted the key. Pid and start time together are never reused. */
/** The receiver wipes `secrets` when the last byte is written, and then says so with `delivered()`. */
export interface OpenedKey {
  readonly key: KeyVersion;
  readonly state: 'fresh' | 'stale';
  readonly secrets: SecretFields;
  /** The answer was written completely: only now does it count as served. */
  delivered(): void;
}

type Outcome<T> = { readonly done: true; readonly value: T } | { readonly done: false };

/**
 * Waits for `work`, but no longer than until `atMs` on the steady clock and no longer than the asker does. The work
 * itself goes on; its failure is the caller's only if it came in time.
 */
export async function waitUntil<T>(
  clock: Clock,
  work: Promise<T>,
  atMs: number,
  signal?: AbortSignal,
): Promise<Outcome<T>> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Outcome<T>>();
  const hungUp = () => reject(signal?.reason);
  signal?.addEventListener('abort', hungUp, { once: true });
  const timer = clock.after(Math.max(0, atMs - clock.now()), () => resolve({ done: false }));
  work.then((value) => resolve({ done: true, value }), reject);
  try {
    return await promise;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', hungUp);
  }
}

/** A promise that resolves when the steady clock shows `atMs`. */
function sleepUntil(clock: Clock, atMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(Math.max(0, atMs - clock.now()), resolve);
  });
}
