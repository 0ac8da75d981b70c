import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import type { CredentialSketch, Told } from '../fakes/harness.ts';
import { MINUTE, SECOND } from '../fakes/living.ts';
import type { ScriptedProvider } from '../fakes/scripted-provider.ts';
import type { SecretSystem } from '../fakes/secret-system.ts';

export const TURN_MARGIN_MS = 2 * MINUTE;

/** Waiting for nothing servable, and with a stale key in hand. */
const LONGEST_WAIT_MS = 9 * SECOND;
const LONGEST_STALE_WAIT_MS = 2 * SECOND;
/** The longest hold-off is five minutes, and a minute after its end nobody relies on what was known before it. */
const STALE_AFTER_TROUBLE_MS = 6 * MINUTE + 10 * SECOND;
/** The system's time and the broker's are read some milliseconds apart: a request takes up to this long in fair weather. */
const SLACK_MS = 2 * SECOND;

/** Of a provider that has been failing for two minutes, in one minute. */
const MOST_PROBES = 12;

/** After so long a client's ask belongs to another turn. */
const LONGEST_CHAIN_GAP_MS = 45 * SECOND + SLACK_MS;

/** What was true when the provider was last asked about a secret. */
interface Reading {
  readonly atMs: number;
  /** How long the value had to live, renewals included; infinity: not limited. */
  readonly grantedMs: number;
}

export interface Observed {
  readonly credential: CredentialSketch;
  readonly intervalMs: number;
  readonly told: Told;
  /** In waking time. */
  readonly waitedMs: number;
  readonly nowMs: number;
  /** When a call to its provider last met with trouble. */
  readonly lastTroubleAtMs: number;
  /** Until when it may be told of an outage that nobody has looked at since. */
  readonly mayBeToldUntilMs: number;
}

export class BrokenInvariant extends Error {
  constructor(rule: string, detail: string) {
    super(`${rule}: ${detail}`);
    this.name = 'BrokenInvariant';
  }
}

/** Holds every answer against what the secret system knows and the broker may only guess. */
export class Invariants {
  checked = 0;
  readonly #system: SecretSystem;
  readonly #readings = new Map<string, Reading>();
  readonly #asks = new Map<
    string,
    { readonly askedAtMs: number | undefined; readonly servedAtMs: number | undefined }
  >();

  constructor(system: SecretSystem) {
    this.#system = system;
  }

  /** The provider gave this value out. */
  noteReading(value: string, nowMs: number): void {
    const end = this.#possibleEnd(value);
    this.#readings.set(value, { atMs: nowMs, grantedMs: end === undefined ? Number.POSITIVE_INFINITY : end - nowMs });
  }

  judge(observed: Observed, cache: SqliteCache): void {
    this.checked += 1;
    const { credential, told, waitedMs } = observed;
    const { name } = credential;
    if (waitedMs > LONGEST_WAIT_MS) throw new BrokenInvariant('bounded wait', `${name} took ${waitedMs} ms`);
    const { value } = told;
    if (value === undefined) {
      this.#judgeOutage(observed);
      return;
    }
    if (told.state === 'stale' && waitedMs > LONGEST_STALE_WAIT_MS) {
      throw new BrokenInvariant('bounded wait with a stale key', `${name} took ${waitedMs} ms`);
    }
    if (this.#system.isExpired(value)) {
      throw new BrokenInvariant('never an expired key', `${name}: ${this.#describe(value, observed.nowMs)}`);
    }
    if (isRejected(cache, name, value)) throw new BrokenInvariant('never a rejected key', name);
    if (told.state === 'stale') this.#judgeStale(observed, value);
    else if (told.state === 'fresh') this.#judgeLife(observed, value);
  }

  /** Only early asks of one turn are refused: nobody is locked out. */
  judgeRefusal(who: string, intervalMs: number, { code, value }: Told, nowMs: number): void {
    const { askedAtMs, servedAtMs } = this.#asks.get(who) ?? { askedAtMs: undefined, servedAtMs: undefined };
    this.#asks.set(who, { askedAtMs: nowMs, servedAtMs: value === undefined ? servedAtMs : nowMs });
    if (code !== 'ERR_KEY_REJECTED') return;
    if (servedAtMs === undefined || nowMs - servedAtMs >= intervalMs * 0.9 + SLACK_MS) {
      throw new BrokenInvariant(
        'no ask in time is refused',
        `${who}, ${nowMs - (servedAtMs ?? 0)} ms after its last key`,
      );
    }
    if (askedAtMs !== undefined && nowMs - askedAtMs <= LONGEST_CHAIN_GAP_MS) return;
    throw new BrokenInvariant('nobody is locked out', `${who}, ${nowMs - (askedAtMs ?? 0)} ms after its last ask`);
  }

  /** One probe in ten seconds, whoever asks; besides, a person's refreshes and the jitter of the broker's own tries. */
  judgeProbes(name: string, provider: ScriptedProvider, nowMs: number): void {
    const recent = provider.arrivals.filter(({ operation, atMs }) => operation === 'issue' && atMs > nowMs - MINUTE);
    if (recent.length <= MOST_PROBES) return;
    throw new BrokenInvariant('bounded probes in an outage', `${recent.length} reads of ${name} within a minute`);
  }

  /** At most one refresh of a credential is under way; leased ones never share, so their path is theirs alone. */
  judgeCrowds(providers: Iterable<ScriptedProvider>): void {
    for (const provider of providers) {
      for (const [what, most] of provider.crowd) {
        if (most > 1) throw new BrokenInvariant('one refresh at a time', `${most} at once for ${what}`);
      }
    }
  }

  /** An outage ends when it ends: somebody who asks and has nothing else makes the broker look. */
  #judgeOutage({ credential, told, nowMs, mayBeToldUntilMs }: Observed): void {
    if (told.code !== 'ERR_PROVIDER_UNAVAILABLE' || nowMs <= mayBeToldUntilMs + SLACK_MS) return;
    const late = Math.round((nowMs - mayBeToldUntilMs) / 1000);
    throw new BrokenInvariant('an outage ends when it ends', `${credential.name} was told of one ${late} s too long`);
  }

  /** Stale keys are an answer to trouble, and only while that is known to last. */
  #judgeStale({ credential, intervalMs, nowMs, lastTroubleAtMs }: Observed, value: string): void {
    if (nowMs - lastTroubleAtMs <= STALE_AFTER_TROUBLE_MS) return;
    throw new BrokenInvariant(
      'a fit key whenever there is one',
      `${credential.name} was served stale (interval ${intervalMs}) although its provider has been well for ` +
        `${Math.round((nowMs - lastTroubleAtMs) / 1000)} s; ${this.#describe(value, nowMs)}`,
    );
  }

  /**
   * Life ≥ interval + margin whenever the provider could issue such a key. Whether it could is known from the last time
   * it was asked: if it granted less than that, the key is served until half of what it granted (point 1).
   */
  #judgeLife({ credential, intervalMs, nowMs }: Observed, value: string): void {
    const end = this.#possibleEnd(value);
    const wanted = intervalMs + TURN_MARGIN_MS;
    if (end === undefined || end - nowMs >= wanted - SLACK_MS) return;
    const reading = this.#readings.get(value);
    if (reading !== undefined && reading.grantedMs < wanted + SLACK_MS) {
      if (nowMs - reading.atMs <= reading.grantedMs / 2 + SLACK_MS) return;
    }
    throw new BrokenInvariant(
      'life beyond interval and margin',
      `${credential.name} (${JSON.stringify(credential.engine)}) for ${intervalMs} ms; ${this.#describe(value, nowMs)}`,
    );
  }

  /** A renewable lease lives to its max TTL, and no longer than the login that it depends on can be made to. */
  #possibleEnd(value: string): number | undefined {
    const lease = [...this.#system.leases.values()].find((one) => one.value === value);
    if (lease === undefined) return this.#system.endOf(value);
    const login = lease.loginId === undefined ? undefined : this.#system.logins.get(lease.loginId)?.login;
    const loginEnd = (login?.renewable ? login.maxExpiresAtMs : login?.expiresAtMs) ?? Number.POSITIVE_INFINITY;
    return Math.min(lease.maxExpiresAtMs, loginEnd);
  }

  #describe(value: string, nowMs: number): string {
    const end = this.#system.endOf(value);
    const reading = this.#readings.get(value);
    const seconds = (ms: number | undefined) => (ms === undefined ? 'unknown' : `${Math.round(ms / 1000)} s`);
    return (
      `certain life left ${seconds(end && end - nowMs)}, possible ${seconds((this.#possibleEnd(value) ?? Number.NaN) - nowMs)}, ` +
      `read ${seconds(reading && nowMs - reading.atMs)} ago with ${seconds(reading?.grantedMs)} to live`
    );
  }
}

function isRejected(cache: SqliteCache, credential: string, value: string): boolean {
  const marks = cache.rejectedMarks(credential);
  if (marks.length === 0) return false;
  const secrets = new Map([['value', SecretBytes.fromString(value)]]);
  return marks.includes(cache.digest(secrets));
}
