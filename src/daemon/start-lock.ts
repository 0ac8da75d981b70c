import { join } from 'node:path';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { readLockHolder, StateLock, type StateLockOptions } from '../platform/state-lock.ts';
import { sleep } from '../platform/waiting.ts';

/** A daemon stops within five seconds. */
const LONGEST_WAIT_MS = 8_000;
const LOOK_EVERY_MS = 20;

/**
 * The lock for a daemon that a service manager started. One that a helper started gives way: it is only there because
 * no service answered. Others, which a person started on purpose, do not.
 *
 * @throws BrokerError as StateLock.acquire does.
 */
export async function acquireForService(options: StateLockOptions, clock: Clock): Promise<StateLock> {
  const giveUpAt = clock.now() + LONGEST_WAIT_MS;
  let told: number | undefined;
  for (;;) {
    try {
      return StateLock.acquire(options);
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'ERR_ALREADY_RUNNING' || clock.now() >= giveUpAt)
        throw error;
      const holder = readLockHolder(join(options.folder, 'lock'));
      const givesWay = holder?.startedByHelper === true && holder.host === options.host;
      // A holder that has not written yet is looked at again.
      if (holder !== undefined && !givesWay) throw error;
      if (holder !== undefined && told !== holder.pid) told = tell(holder.pid);
    }
    await sleep(LOOK_EVERY_MS, clock);
  }
}

function tell(pid: number): number {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // Gone already: the lock is free.
  }
  return pid;
}

/** What the helper that started this daemon handed down: see native/start-daemon.c. */
export interface StartContext {
  /** Of STATE/lock, locked already. */
  readonly lockFd: number | undefined;
  /** No person started this daemon: a helper needed one. */
  readonly byHelper: boolean;
}

/** Reads the variables and takes them out of `env`, because children would take them for theirs. */
export function takeStartContext(env: Record<string, string | undefined>): StartContext {
  const { BROKER_LOCK_FD, BROKER_STARTED_BY } = env;
  for (const name of ['BROKER_LOCK_FD', 'BROKER_STARTED_BY']) delete env[name];
  const isNumber = /^[1-9]\d{0,5}$/.test(BROKER_LOCK_FD ?? '');
  return { lockFd: isNumber ? Number(BROKER_LOCK_FD) : undefined, byHelper: BROKER_STARTED_BY === 'helper' };
}
