import { BrokerError } from '../errors.ts';
import type { Installation } from '../platform/installation.ts';
import type { Log } from '../platform/log.ts';
import type { NativeBindings } from '../platform/native.ts';
import type { AdjustableLog } from '../platform/pino-log.ts';
import type { Listener } from '../server/listener.ts';
import type { ComposedDaemon } from './compose.ts';

/** From the signal to the exit; service managers and people wait longer. */
const STOP_LIMIT_MS = 5_000;
/** Of that, for answers under way. */
const ANSWERS_MS = 1_500;
/** Of that, for revoking leases; what is not revoked by then is left to the next daemon. */
const REVOKE_MS = 2_000;

/** What other processes of the same user must not get at: memory, environment, core dumps, the inspector. */
export function harden(native: NativeBindings | undefined): void {
  native?.setNonDumpable();
  try {
    native?.setCoreLimitZero();
  } catch {
    // A service manager that forbids setrlimit(2) has set it (LimitCORE=0).
  }
  // Without a listener SIGUSR1 opens the inspector on a TCP port.
  process.on('SIGUSR1', () => undefined);
}

/** Resolves with the first SIGTERM or SIGINT; SIGHUP reloads. */
export function untilStopped(reload: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on('SIGHUP', reload);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
  });
}

/** Answers under way are finished, events written, the clock remembered, the socket removed; at most five seconds. */
export async function stopDaemon(
  { server, broker, cache, clock }: ComposedDaemon,
  listener: Listener,
  revokeLeases: boolean,
  log: AdjustableLog,
): Promise<void> {
  const orderly = async () => {
    listener.unlink();
    await server.close(ANSWERS_MS);
    if (revokeLeases) await within(REVOKE_MS, broker.revokeLeases(), clock);
    await broker.stop();
  };
  await within(
    STOP_LIMIT_MS,
    orderly().catch((error: unknown) => log.error({ reason: String(error) }, 'could not stop in order')),
    clock,
  );
  cache.saveTimeline(clock.timeline());
  cache.close();
}

function within(limitMs: number, work: Promise<void>, clock: ComposedDaemon['clock']): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, resolve);
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}

/**
 * Providers are loaded when they are first needed, which may be after an upgrade has put other files in the place of
 * those that this process was started from. Then only a new process is of any use.
 */
export class UpgradeWatch {
  /** Resolves when this process should make room for another. */
  readonly needsRestart: Promise<void>;
  readonly #installation: Installation;
  readonly #log: Log;
  #restart: () => void = () => {};

  constructor(installation: Installation, log: Log) {
    this.#installation = installation;
    this.#log = log;
    this.needsRestart = new Promise((resolve) => {
      this.#restart = resolve;
    });
  }

  /** @returns what to tell whoever asked; a helper tries again by itself and finds the next daemon. */
  explain(cause: unknown): BrokerError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (!this.#installation.wasReplaced) {
      this.#log.error({ reason }, 'a part of the program could not be loaded');
      const remedy = 'install it again: npm install -g apikey-broker';
      return new BrokerError('ERR_INTERNAL', 'a part of the program could not be loaded', { remedy, cause });
    }
    this.#log.warn({ reason }, 'the program was replaced while it ran: making room for the new one');
    this.#restart();
    const remedy = 'it restarts by itself: try again in a few seconds';
    return new BrokerError('ERR_DAEMON_UNREACHABLE', 'the daemon was upgraded while it ran', { remedy, cause });
  }
}
