import type { KeyEncryptionKey } from './envelope.ts';
import type { KekHome, KekReading } from './kek-store.ts';

export interface RecordedKek {
  /** A string and not a KeyHome: a later version may have written one that this version does not know. */
  readonly home: string;
  readonly id: string;
}

export type KekFinding =
  | { readonly state: 'reachable'; readonly kek: KeyEncryptionKey; readonly home: KekHome }
  | Exclude<KekReading, { state: 'reachable' }>;

/** Finds the key that a database says it was sealed with, and finishes a rotation that a crash cut short. */
export function findRecordedKek(homes: readonly KekHome[], recorded: RecordedKek): KekFinding {
  const home = homes.find((candidate) => candidate.kind === recorded.home);
  if (home === undefined) {
    return {
      state: 'unreachable',
      reason: `the key lives in "${recorded.home}", which this version or machine does not know`,
      remedy: 'Run the version that sealed it, or give up what it sealed: broker rotate-key --discard',
    };
  }
  const current = home.read('current', recorded.id);
  if (current.state === 'reachable' && current.kek.id === recorded.id) {
    // Left over from a rotation that never committed, into this home or another: no row was ever sealed with it.
    for (const { writer } of homes) attempt(() => writer?.clear('next'));
    return { ...current, home };
  }
  const next = home.read('next', recorded.id);
  if (next.state === 'reachable' && next.kek.id === recorded.id) {
    attempt(() => home.writer?.promote());
    return { ...next, home };
  }
  return current.state === 'reachable' ? wrongKey(home, current.kek.id, recorded.id) : current;
}

/**
 * The key for a database that has sealed nothing yet: the first home that holds one, else a new one in the first home
 * that can keep it. A key that is there but cannot be reached is never bypassed.
 */
export function findOrCreateKek(homes: readonly KekHome[]): KekFinding {
  const configured = homes.filter((home) => home.configured);
  for (const home of configured) {
    if (home.keeper !== undefined) continue;
    const reading = home.read('current');
    if (reading.state === 'reachable') return { ...reading, home };
    if (reading.state === 'unreachable') return reading;
  }
  for (const home of configured) {
    if (home.writer !== undefined) return { state: 'reachable', kek: home.writer.create('current'), home };
    if (home.keeper === undefined) continue;
    const reading = home.read('current');
    return reading.state === 'reachable' ? { ...reading, home } : reading;
  }
  return { state: 'missing', reason: 'there is no place to keep a key in', remedy: 'Give the daemon a state folder.' };
}

function wrongKey(home: KekHome, found: string, recorded: string): KekReading & { state: 'missing' } {
  return {
    state: 'missing',
    reason: `the key in ${home.description} (${found}) is not the one that sealed the database (${recorded})`,
    remedy: 'Put the right key back from a backup, or give up what it sealed: broker rotate-key --discard',
  };
}

/** Tidying that fails (a read-only folder, say) is no reason to refuse a key that was found: the next start tries again. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {}
}
