import { closeSync, constants, fsync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { birthOf, syncFolder } from '../platform/files.ts';
import { canBeInspected, closeInspector, ignoreStraySignals } from '../platform/guard.ts';
import type { NativeBindings } from '../platform/native.ts';
import type { AdjustableLog } from '../platform/pino-log.ts';
import { waitUntil } from '../platform/waiting.ts';
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
  ignoreStraySignals();
  native?.ignoreRealTimeSignals();
  if (canBeInspected()) closeInspector();
}

/** Resolves with the first SIGTERM, SIGINT or SIGQUIT; SIGHUP reloads. */
export function untilStopped(reload: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.on('SIGHUP', reload);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) process.on(signal, () => resolve(signal));
  });
}

/**
 * STATE/running is there while a daemon runs, so that one that was killed or lost power leaves it behind. A file of its own:
 * the helper empties the lock file, and the database may have lost just this.
 */
export class RunningMark {
  readonly wasLeft: boolean;
  readonly #file: string;

  /** With the lock of the folder held. */
  constructor(stateDir: string) {
    this.#file = join(stateDir, 'running');
    this.wasLeft = birthOf(this.#file) !== undefined;
  }

  /**
   * On the disk before long, without anybody waiting for it: nothing that a power failure could take was written so far.
   * Never fails: without the mark the end counts as an orderly one.
   */
  keep(): void {
    quietly(() => {
      // Non-blocking: opening a named pipe would wait for a reader.
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const fd = openSync(this.#file, flags, 0o600);
      fsync(fd, () => {
        closeSync(fd);
        quietly(() => syncFolder(dirname(this.#file)));
      });
    });
  }

  remove(): void {
    quietly(() => rmSync(this.#file, { force: true }));
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {}
}

/** Answers under way are finished, events written, the clock remembered, the socket removed; at most five seconds. */
export async function stopDaemon(
  { server, broker, cache, clock, sinks }: ComposedDaemon,
  listener: Listener,
  revokeLeases: boolean,
  log: AdjustableLog,
): Promise<void> {
  const orderly = async () => {
    listener.unlink();
    sinks.close();
    await server.close(ANSWERS_MS);
    if (revokeLeases) await waitUntil(clock, broker.revokeLeases(), clock.now() + REVOKE_MS);
    await broker.stop();
  };
  const stopped = orderly().catch((error: unknown) => log.error({ err: error }, 'could not stop in order'));
  await waitUntil(clock, stopped, clock.now() + STOP_LIMIT_MS);
  cache.saveTimeline(clock.timeline());
  cache.close();
}
