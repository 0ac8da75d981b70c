import type { CredentialCache, SecretFields } from '../cache/cache.ts';
import type { KeyVersion } from '../credential/key.ts';
import type { Format } from '../credential/rejection.ts';
import type { AllowWord, Verdict } from '../platform/attestation.ts';
import type { Caller, SettingsStamp } from '../platform/client-identity.ts';
import type { Clock, Moment, Random } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { Client } from '../platform/process-tree.ts';
import type { BrokerEvent, CheckReport, CredentialStatus, HealthReport, StatusReport } from '../protocol/reports.ts';

/**
 * What the broker does for those who ask, by whatever wire: the server puts HTTP in front of it. `credential`
 * undefined means the configured default. Every promise rejects with a BrokerError only; ERR_UNKNOWN_CREDENTIAL if
 * there is no such credential.
 */
export interface BrokerApi {
  /** Waits as the policy says; rejects at once with the signal's reason when `ask.signal` aborts. */
  answer(ask: Ask): Promise<OpenedKey>;
  /** Asks the provider now, whatever is cached; resolves with the new state once it answered, rejects if it failed. */
  refresh(credential: string | undefined): Promise<CredentialStatus>;
  /** As `refresh` for every credential; failures are in the states returned, it does not reject for them. */
  refreshAll(): Promise<readonly CredentialStatus[]>;
  /** Asks the API itself about the key and about a made-up one, which arms the check. */
  check(credential: string | undefined): Promise<CheckReport>;
  /** Drops the cached key and revokes its lease. */
  invalidate(credential: string | undefined): Promise<CredentialStatus>;
  status(): StatusReport;
  health(): HealthReport;
  /** At most `limit` events, oldest first: those after `afterId` if given, else the newest ones. */
  events(query: EventQuery): readonly BrokerEvent[];
  /** Calls back, without the events, whenever `events` may have more to give. Returns the end of it. */
  onEvents(listener: () => void): () => void;
  /** Figures that `status()` does not hold, for `GET /v1/metrics`. */
  metrics?(): readonly MetricFamily[];
}

/** One question to the broker, as the server understood it. */
export interface Ask extends Caller {
  /** When it came in. Until it has to wait for something, the ask is judged as of this moment. */
  readonly at: Moment;
  /** undefined: the configured default. */
  readonly credential: string | undefined;
  /** How long the client will keep the answer. */
  readonly intervalMs: number;
  /** The asker said so; else it is what clients of its kind do. */
  readonly namesInterval: boolean;
  readonly format: Format;
  /** Judges the caller by the kernel's facts as they are when it is called; absent: there are none. Costs reading them. */
  readonly attest?: ((allow: readonly AllowWord[]) => Verdict) | undefined;
  /** Aborted when the asker hangs up. */
  readonly signal: AbortSignal;
}

/** A key unsealed for one answer. The receiver wipes `secrets` when the last byte is written, then calls `delivered()`. */
export interface OpenedKey {
  readonly key: KeyVersion;
  readonly state: 'fresh' | 'stale';
  readonly secrets: SecretFields;
  /** When it was judged and opened. */
  readonly at: Moment;
  /** The answer was written completely: only now does it count as served. */
  delivered(): void;
}

export interface EventQuery {
  readonly afterId?: number;
  readonly limit: number;
  /** Only events of this credential. */
  readonly credential?: string;
}

/** One family of OpenMetrics; names without the `_total` suffix and with the unit as their last word. */
export interface MetricFamily {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** What the broker is built from besides its configuration; daemon/compose.ts hands in the real ones. */
export interface BrokerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly cache: CredentialCache;
  /** Changes whenever one of these files or folders does; never throws. */
  readonly fingerprintFiles: (paths: readonly string[]) => string;
  /** The last daemon was killed or lost power: what is stored may lack its last changes, and is confirmed when it is served. */
  readonly afterUncleanEnd: boolean;
  /** Whether that very process still runs. */
  readonly isAlive: (client: Pick<Client, 'pid' | 'startTime'>) => boolean;
  /**
   * Calls back once, within moments of that very process's end, and never before it returns. Returns what ends the watch;
   * undefined if the process is gone already or cannot be watched.
   */
  readonly watchExit: (client: Pick<Client, 'pid' | 'startTime'>, onExit: () => void) => (() => void) | undefined;
  /** The files whose change makes this client drop its key, as they are now: one stat each. Never throws. */
  readonly settingsOf: (client: Client) => SettingsStamp;
  /** Of this boot and pid namespace: in another one the same pid and start time are another process. */
  readonly processSpace: string;
  /** Called about once a minute while anything is scheduled: what has to be done from time to time, at no extra wake-up. */
  readonly onTick: () => void;
  /** A provider was called: what libraries made of secrets on the way is about to be garbage. Default: nothing. */
  readonly onCall?: () => void;
}
