import type { Timeline } from '../platform/timeline.ts';
import type { Records } from './records.ts';
import { type Sealer, wipeSecrets } from './sealer.ts';

/** Everything that is known, and the key that seals it. */
export interface Contents {
  readonly records: Records;
  readonly sealer: Sealer;
}

/**
 * Brings what was kept in memory under an ephemeral key into the records of a database that has become reachable.
 * The newer key wins; everything kept in memory is sealed and digested again. A rejected mark on a value that memory
 * holds no more is lost with the key that digested it: that value may cost one more 401.
 */
export function mergeInto(target: Contents, memory: Contents): void {
  const { records, sealer } = target;
  const digests = new Map<string, string>();
  for (const { facts: old, row } of memory.records.all('key')) {
    const secrets = memory.sealer.openKey(row);
    if (secrets === undefined) continue;
    const key = { ...old, digest: sealer.digest(secrets) };
    digests.set(old.digest, key.digest);
    const stored = records.get('key', key.credential)?.facts;
    if (stored === undefined || stored.confirmedAtMs <= key.confirmedAtMs) records.put(sealer.sealKey(key, secrets));
    wipeSecrets(secrets);
  }
  for (const kind of ['login', 'lease', 'timeline'] as const) {
    for (const { facts, row } of memory.records.all(kind)) {
      const secret = memory.sealer.open(row);
      if (secret !== undefined) records.put(sealer.seal(kind, facts, secret.bytes));
      secret?.wipe();
    }
  }
  for (const { facts: mark } of memory.records.all('rejected')) {
    const digest = sealer.digestsLike(memory.sealer) ? mark.digest : digests.get(mark.digest);
    if (digest !== undefined) records.put(sealer.seal('rejected', { ...mark, digest }));
  }
}

/** More than the clock's own rounding, less than anything a lease depends on. */
const SAME_OFFSET_MS = 1_000;

/**
 * Whether stored times mean the same moments on a clock that was started before the database could be read and
 * authenticated. If not, a stored key could look younger than it is.
 */
export function runsOn(stored: Timeline | undefined, clock: Timeline): boolean {
  if (stored === undefined) return false;
  if (stored.bootId === clock.bootId) return Math.abs(stored.offsetMs - clock.offsetMs) <= SAME_OFFSET_MS;
  return stored.lastSeenMs <= clock.lastSeenMs;
}
