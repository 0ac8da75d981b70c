import type { Timeline } from '../platform/timeline.ts';
import type { SecretFields } from './cache.ts';
import type { Records, RejectedMark } from './records.ts';
import type { Sealer } from './sealer.ts';
import { wipeSecrets } from './secret-fields.ts';

/** What was removed while the database could not be reached, and must not come back out of it. */
export class ForgottenRecords {
  readonly keys = new Set<string>();
  /** By `idWithin`. */
  readonly leases = new Set<string>();
  readonly logins = new Set<string>();
}

/**
 * Rejected marks made with a digest key that dies with this process, on values that were not in memory any more when
 * the database became reachable. Should such a value turn up again, its mark is found and made anew.
 */
export class FormerMarks {
  readonly #sealer: Sealer;
  readonly #marks: readonly RejectedMark[];

  constructor(sealer: Sealer, marks: readonly RejectedMark[]) {
    this.#sealer = sealer;
    this.#marks = marks;
  }

  /** The marks on this value, with its present digest. */
  translate(secrets: SecretFields, digest: string): RejectedMark[] {
    const former = this.#sealer.digest(secrets);
    return this.#marks.filter((mark) => mark.digest === former).map((mark) => ({ ...mark, digest }));
  }
}

/**
 * Brings what was kept in memory under an ephemeral key into the records of a database that has become reachable.
 * The newer key wins; everything kept in memory is sealed and digested anew. Returns the marks on values that memory
 * no longer holds, for FormerMarks.
 */
export function mergeInto(
  target: Records,
  targetSealer: Sealer,
  memory: Records,
  memorySealer: Sealer,
  forgotten: ForgottenRecords,
): RejectedMark[] {
  for (const credential of forgotten.keys) target.keys.delete(credential);
  for (const id of forgotten.leases) target.leases.delete(id);
  for (const id of forgotten.logins) target.logins.delete(id);

  const digests = new Map<string, string>();
  for (const { key: old, sealed } of memory.keys.values()) {
    const secrets = memorySealer.openKey(old, sealed);
    if (secrets === undefined) continue;
    const key = { ...old, digest: targetSealer.digest(secrets) };
    digests.set(old.digest, key.digest);
    const stored = target.keys.get(key.credential)?.key;
    if (stored === undefined || stored.confirmedAtMs <= key.confirmedAtMs) {
      target.addKey({ key, sealed: targetSealer.sealKey(key, secrets) });
    }
    wipeSecrets(secrets);
  }
  for (const { provider, fingerprint, login, sealed } of memory.logins.values()) {
    const token = memorySealer.openLogin(provider, fingerprint, login, sealed);
    if (token === undefined) continue;
    target.addLogin({
      provider,
      fingerprint,
      login,
      sealed: targetSealer.sealLogin(provider, fingerprint, login, token),
    });
    token.wipe();
  }
  for (const entry of memory.leases.values()) target.addLease(entry);
  target.timeline = memory.timeline ?? target.timeline;

  const untranslated: RejectedMark[] = [];
  for (const mark of memory.rejectedMarks()) {
    const digest = digests.get(mark.digest);
    if (digest === undefined) untranslated.push(mark);
    else target.addRejected({ ...mark, digest });
  }
  return untranslated;
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
