import { closeSync } from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../../errors.ts';
import { loadNative } from '../../platform/native.ts';
import { ensurePrivateFolder } from '../../platform/place-rules.ts';
import { lockFile } from '../../platform/state-lock.ts';

/** How long one installer waits for another: each holds the lock for a few milliseconds. */
const PATIENCE_MS = 10_000;
const PAUSE_MS = 20;

/**
 * Runs `work` while no other installer of the same state folder runs.
 *
 * @throws BrokerError ERR_IO if another one holds the lock for over ten seconds.
 */
export function exclusively<T>(stateDir: string, uid: number, work: () => T): T {
  ensurePrivateFolder(stateDir, uid);
  const lock = waitForLock(path.join(stateDir, 'claude-settings.lock'));
  try {
    return work();
  } finally {
    closeSync(lock);
  }
}

function waitForLock(file: string): number {
  const native = loadNative();
  const flock = native && ((fd: number) => native.flock(fd));
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += PAUSE_MS) {
    const lock = lockFile(file, { flock });
    if (lock !== undefined) return lock;
    Atomics.wait(nothing, 0, 0, PAUSE_MS);
  }
  throw new BrokerError('ERR_IO', `another installer holds ${file}`, { remedy: 'wait until it is done and try again' });
}
