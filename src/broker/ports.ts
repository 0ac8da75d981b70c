import type { CredentialCache } from '../cache/cache.ts';
import type { Clock, Random } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { Client } from '../platform/process-tree.ts';

/** What the broker is built from besides its configuration; daemon/compose.ts hands in the real ones. */
export interface BrokerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly cache: CredentialCache;
  /** Changes whenever one of these files or folders does; never throws. */
  readonly fingerprintFiles: (paths: readonly string[]) => string;
  /** Whether that very process still runs. */
  readonly isAlive: (client: Client) => boolean;
  /** Called about once a minute while anything is scheduled: what has to be done from time to time, at no extra wake-up. */
  readonly onTick: () => void;
}
