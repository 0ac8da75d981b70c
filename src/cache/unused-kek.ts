import type { KekHome } from '../crypto/kek-home.ts';
import type { RecordedKek } from '../crypto/kek-locator.ts';
import type { CacheOptions } from './attach.ts';

/**
 * Removes a key that seals nothing (any more) from its home. Returns why it is still there; never rejects.
 *
 * @param inUse the id of the key that does seal: a damaged note about another one must not cost it.
 */
export async function removeUnusedKek(
  unused: RecordedKek,
  inUse: string,
  { kekHomes, log }: CacheOptions,
): Promise<string | undefined> {
  if (unused.id === inUse) return undefined;
  try {
    const home = kekHomes.find(({ kind }) => kind === unused.home);
    if (home !== undefined) await removeFrom(home, unused.id);
    return undefined;
  } catch (error) {
    const left = error instanceof Error ? error.message : 'unknown error';
    log.warn({ home: unused.home, reason: left }, 'a key that seals nothing any more could not be removed yet');
    return left;
  }
}

async function removeFrom(home: KekHome, id: string): Promise<void> {
  await home.keeper?.remove(id);
  if (home.writer === undefined) return;
  for (const slot of ['current', 'next'] as const) {
    const reading = home.read(slot);
    if (reading.state === 'reachable' && reading.kek.id === id) home.writer.clear(slot);
  }
}
