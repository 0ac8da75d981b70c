import type { BrokerEvent } from '../protocol/event.ts';
import type { HealthReport } from '../protocol/health.ts';
import type { CredentialStatus, StatusReport } from '../protocol/status.ts';
import type { Answer, Ask } from './ask.ts';

/**
 * What the broker does for whoever asks, by whatever wire: the server puts HTTP in front of it. `credential`
 * undefined means the configured default. Every promise rejects with a BrokerError only; ERR_UNKNOWN_CREDENTIAL if
 * there is no such credential.
 */
export interface BrokerService {
  /** Waits as the policy says; rejects at once with the signal's reason when `ask.signal` aborts. */
  answer(ask: Ask): Promise<Answer>;
  /** Asks the provider now, whatever is cached; resolves with the new state once it answered, rejects if it failed. */
  refresh(credential: string | undefined): Promise<CredentialStatus>;
  /** As `refresh` for every credential; failures are in the states returned, it does not reject for them. */
  refreshAll(): Promise<readonly CredentialStatus[]>;
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
