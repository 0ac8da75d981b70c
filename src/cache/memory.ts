import { wipeAll } from '../credential/secret.ts';
import type { Timeline } from '../platform/timeline.ts';
import { EventJournal } from './events.ts';
import { type Kind, Records } from './records.ts';
import { Sealer } from './sealer.ts';

/** Everything that is known, and the key that seals it. */
export interface Contents {
  readonly records: Records;
  readonly sealer: Sealer;
}

/** What the daemon answers from. The database follows it: all of it is written there, and can be written again. */
export class Memory implements Contents {
  records = new Records();
  /** Until a database is found: under a key of its own. */
  sealer = Sealer.ephemeral();
  readonly events = new EventJournal();
  /** What was removed while the database could not be reached, and must not come back out of it. */
  readonly #removed: { readonly kind: Kind; readonly id: string }[] = [];

  noteRemoved(kind: Kind, ids: readonly string[]): void {
    this.#removed.push(...ids.map((id) => ({ kind, id })));
  }

  /** Goes on with these records instead. */
  become({ records, sealer }: Contents): void {
    this.records = records;
    this.sealer = sealer;
    this.#removed.length = 0;
  }

  /**
   * Goes on with the records of a database that has become reachable, and all that was kept in memory under an ephemeral
   * key meanwhile: the newer key wins, everything from memory is sealed and digested again. A rejected mark on a value that
   * memory does not hold any more is lost with the key that digested it: that value may cost one more 401.
   */
  join(stored: Contents): void {
    for (const { kind, id } of this.#removed) stored.records.delete(kind, id);
    merge(stored, this);
    this.become(stored);
  }
}

function merge({ records, sealer }: Contents, memory: Contents): void {
  const digests = new Map<string, string>();
  for (const { facts: old, row } of memory.records.all('key')) {
    const secrets = memory.sealer.openKey(row);
    if (secrets === undefined) continue;
    const key = { ...old, digest: sealer.digestKey.ofSecret(secrets) };
    digests.set(old.digest, key.digest);
    const stored = records.get('key', key.credential)?.facts;
    if (stored === undefined || stored.confirmedAtMs <= key.confirmedAtMs) records.put(sealer.sealKey(key, secrets));
    wipeAll(secrets);
  }
  for (const kind of ['login', 'lease', 'timeline', 'check'] as const) {
    for (const { facts, row } of memory.records.all(kind)) {
      const opened = memory.sealer.open(row);
      if (opened !== undefined) records.put(sealer.seal(kind, facts, opened.secret.bytes));
      opened?.secret.wipe();
    }
  }
  for (const { facts: mark } of memory.records.all('rejected')) {
    const digest = sealer.digestKey === memory.sealer.digestKey ? mark.digest : digests.get(mark.digest);
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
