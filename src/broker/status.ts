import type { CacheHealth } from '../cache/cache.ts';
import type { Config } from '../config/config.ts';
import { allowsStale } from '../credential/back-off.ts';
import { judgeFreshness, longestUsefulInterval } from '../credential/freshness.ts';
import type { KeyVersion } from '../credential/key.ts';
import { certainEnd, type KeyAndLogin } from '../credential/life.ts';
import type { BrokerError } from '../errors.ts';
import type { Moment } from '../platform/clock.ts';
import { printable } from '../platform/text.ts';
import type {
  Advice,
  CredentialState,
  CredentialStatus,
  DaemonStatus,
  HealthReport,
  PlaceReport,
  SinkReport,
} from '../protocol/reports.ts';
import type { ManagedCredential } from './credentials.ts';
import { configuredName, recall } from './gate.ts';

/** Date headers have whole seconds, and requests take some of their own. */
const SKEW_WORTH_TELLING_MS = 30_000;

/** What the broker itself cannot know of the process it runs in. */
export interface DaemonFacts {
  readonly version: string;
  readonly pid: number;
  /** On the steady clock. */
  readonly startedAtMs: number;
  readonly socket: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly node: string;
  readonly peerCredentials: DaemonStatus['peerCredentials'];
  readonly configProblem: string | undefined;
  readonly places: readonly PlaceReport[];
  readonly limits: DaemonStatus['limits'];
  readonly cache: CacheHealth;
  /** The file that a credential is kept in; undefined: none. */
  readonly sinkOf?: ((credential: string) => SinkReport | undefined) | undefined;
}

interface CredentialView {
  readonly at: Moment;
  readonly config: Config;
  readonly nextRefreshAtMs: number | undefined;
  readonly isCheckArmed: boolean;
  /** Client processes with a lease of their own. */
  readonly sessions: number;
  readonly sink: SinkReport | undefined;
}

export function describeDaemon(facts: DaemonFacts, at: Moment): DaemonStatus {
  const { cache } = facts;
  return {
    version: facts.version,
    pid: facts.pid,
    startedAt: showTimes(at)(facts.startedAtMs) ?? '',
    uptimeSeconds: Math.round((at.nowMs - facts.startedAtMs) / 1000),
    socket: facts.socket,
    configFile: facts.configFile,
    stateDir: facts.stateDir,
    node: facts.node,
    peerCredentials: facts.peerCredentials,
    cache: {
      persistent: cache.persistent,
      keyEncryptionKey: cache.keyEncryptionKeyHome,
      keyHome: cache.keyHome ?? null,
      problem: cache.problem ?? null,
      remedy: cache.remedy ?? null,
    },
    configProblem: facts.configProblem ?? null,
    places: facts.places,
    limits: facts.limits,
  };
}

export function describeCredential(credential: ManagedCredential, view: CredentialView): CredentialStatus {
  const { key, living } = credential;
  const show = showTimes(view.at);
  return {
    name: credential.name,
    isDefault: view.config.defaultCredential === configuredName(credential.name),
    provider: credential.gate.name,
    providerType: credential.gate.type,
    allow: credential.spec.config.allow ?? [],
    state: stateOf(credential, view),
    version: key?.version ?? null,
    fingerprint: key?.digest.slice(0, 8) ?? null,
    issuedAt: show(key?.issuedAtMs),
    confirmedAt: show(key?.confirmedAtMs),
    expiresAt: living === undefined ? null : show(certainEnd(living)),
    expirySource: living === undefined ? null : expirySource(living),
    lease:
      key?.lease === undefined
        ? null
        : { id: key.lease.id, renewable: key.lease.renewable, maxExpiresAt: show(key.lease.maxExpiresAtMs) },
    nextRefreshAt: show(view.nextRefreshAtMs),
    refreshing: credential.flight !== undefined,
    lastAskedAt: show(credential.lastAskedAtMs),
    timesServed: credential.timesServed,
    sessions: view.sessions,
    sink: view.sink ?? null,
    clockSkewSeconds: credential.clockSkewMs === undefined ? null : Math.round(credential.clockSkewMs / 1000),
    checkHost: credential.spec.check === undefined ? null : new URL(credential.spec.check.url).host,
    advice: adviceOn(credential, view),
    lastError: describeFailure(credential, show),
  };
}

/** Healthy: nothing that a client asked for lately fails, and what is kept can be kept. */
export function describeHealth(
  credentials: Iterable<ManagedCredential>,
  facts: DaemonFacts,
  nowMs: number,
): HealthReport {
  for (const credential of credentials) {
    const { failure, living, name } = credential;
    if (failure === undefined || living !== undefined || credential.lastAskedAtMs === undefined) continue;
    const { message, remedy } = recall(failure, name, nowMs);
    return { ok: false, problem: `"${name}" cannot be served: ${message}`, remedy: remedy ?? null };
  }
  const { problem, remedy } = facts.cache;
  return { ok: true, problem: problem ?? null, remedy: remedy ?? null };
}

function stateOf(credential: ManagedCredential, view: CredentialView): CredentialState {
  const { living, lastFailure, flight } = credential;
  if (living !== undefined) {
    const freshness = judge(living, credential, view);
    if (freshness === 'fresh') return 'fresh';
    const mayBeStale = lastFailure === undefined || allowsStale(lastFailure.record.kind);
    if (freshness === 'stale' && mayBeStale) return 'stale';
  }
  if (flight !== undefined) return 'waiting';
  return credential.failure === undefined ? 'idle' : 'failing';
}

function judge(living: KeyAndLogin<KeyVersion>, credential: ManagedCredential, { at, config }: CredentialView) {
  const policy = { turnMarginMs: config.daemon.turnMarginMs, maxStaleMs: credential.spec.config.maxStaleMs };
  return judgeFreshness(living, at.nowMs, credential.longestIntervalMs, policy).state;
}

function expirySource(living: KeyAndLogin<KeyVersion>): CredentialStatus['expirySource'] {
  const { key } = living;
  return key.expiresAtMs !== undefined && certainEnd(living) === key.expiresAtMs
    ? key.expirySource
    : key.lease === undefined
      ? 'unknown'
      : 'lease';
}

function adviceOn(credential: ManagedCredential, { config, isCheckArmed }: CredentialView): readonly Advice[] {
  return [
    adviseInterval(credential, config.daemon.turnMarginMs),
    adviseClock(credential),
    adviseCheck(credential, isCheckArmed),
    adviseExpiry(credential),
  ].filter((advice) => advice !== undefined);
}

/** Once there is a key to try it with. */
function adviseCheck({ name, spec, living }: ManagedCredential, isArmed: boolean): Advice | undefined {
  if (spec.check === undefined || isArmed || living === undefined) return undefined;
  const message = 'its check is not armed, so it has no effect: it has not yet refused a made-up key';
  return { about: 'check', message, remedy: `try it: broker check ${name}` };
}

/** What should say when the key ends says nothing that is a time. */
function adviseExpiry({ living, spec }: ManagedCredential): Advice | undefined {
  const { expiresField } = spec.config;
  if (expiresField === undefined || living === undefined || expirySource(living) !== 'unknown') return undefined;
  const message = `expires_field "${printable(expiresField, 60)}" holds no time there, so only ttl ends this key's life`;
  return {
    about: 'expiry',
    message,
    remedy: 'correct expires_field, or write RFC 3339 or seconds since the epoch there',
  };
}

function adviseInterval({ living, longestIntervalMs }: ManagedCredential, turnMarginMs: number): Advice | undefined {
  const useful = living && longestUsefulInterval(living, turnMarginMs);
  if (useful === undefined || longestIntervalMs <= useful) return undefined;
  return {
    about: 'interval',
    message: `keys live too short for a client that keeps them ${longestIntervalMs / 1000} s`,
    remedy: `set CLAUDE_CODE_API_KEY_HELPER_TTL_MS=${useful}`,
  };
}

function adviseClock({ clockSkewMs, gate }: ManagedCredential): Advice | undefined {
  if (clockSkewMs === undefined || Math.abs(clockSkewMs) <= SKEW_WORTH_TELLING_MS) return undefined;
  const seconds = Math.round(Math.abs(clockSkewMs) / 1000);
  const which = clockSkewMs > 0 ? 'ahead of' : 'behind';
  return {
    about: 'clock',
    message: `this machine's clock is ${seconds} s ${which} that of provider "${gate.name}"`,
    remedy: 'set it: timedatectl set-ntp true',
  };
}

function describeFailure(credential: ManagedCredential, show: TimeFormat): CredentialStatus['lastError'] {
  const { lastFailure, failure } = credential;
  // A provider's outage concerns those that have been asked for.
  if (lastFailure === undefined || (failure === undefined && credential.lastAskedAtMs === undefined)) return null;
  const { record, error } = lastFailure;
  return {
    at: show(record.lastAtMs) ?? '',
    code: error.code,
    kind: record.kind,
    message: error.message,
    remedy: tryNow(error, credential.name),
    failures: record.failures,
    nextAttemptAt: show(record.nextAttemptAtMs),
  };
}

/** Its age and the next try are told apart from the words. */
function tryNow({ remedy }: BrokerError, name: string): string {
  const now = `to try now: broker refresh ${configuredName(name)}`;
  return remedy === undefined ? now : remedy.includes('broker refresh') ? remedy : `${remedy}; ${now}`;
}

type TimeFormat = (atMs: number | undefined) => string | null;

/** Steady times are shown as the wall clock would show them. */
function showTimes({ nowMs, wallMs: wallNowMs }: Moment): TimeFormat {
  const aheadMs = wallNowMs - nowMs;
  return (atMs) => {
    if (atMs === undefined || !Number.isFinite(atMs)) return null;
    const wallMs = aheadMs + atMs;
    return Number.isFinite(wallMs) && Math.abs(wallMs) < 8.64e15 ? new Date(wallMs).toISOString() : null;
  };
}
