import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { BrokerError } from '../../errors.ts';
import { ensurePrivateFolder } from '../../platform/files.ts';

/** How long one installer waits for another: each holds the lock for a few milliseconds. */
const PATIENCE_MS = 10_000;

/**
 * Runs `work` while no other installer of the same state folder runs. SQLite's lock is used because the kernel frees
 * it on any death, so that there is no stale lock file to judge; Node has no flock of its own. Nothing is stored in it.
 *
 * @throws BrokerError ERR_IO if another one holds it for over ten seconds.
 */
export function exclusively<T>(stateDir: string, uid: number, work: () => T): T {
  ensurePrivateFolder(stateDir, uid);
  const file = path.join(stateDir, 'claude-settings.lock');
  closeSync(openSync(file, 'a', 0o600));
  const lock = new Database(file, { timeout: PATIENCE_MS });
  try {
    try {
      lock.exec('BEGIN EXCLUSIVE');
    } catch (cause) {
      throw new BrokerError('ERR_IO', `another installer holds ${file}`, {
        remedy: 'wait until it is done and try again',
        cause,
      });
    }
    return work();
  } finally {
    lock.close();
  }
}
