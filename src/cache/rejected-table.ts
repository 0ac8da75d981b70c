import type { Database } from 'better-sqlite3';
import type { RejectedMark } from './records.ts';

/**
 * Marks carry no MAC: a forged one could only keep a key from being served, and one that somebody deleted cannot be
 * noticed by a MAC anyway.
 */
export function rejectedTable(database: Database) {
  const selectAll = database.prepare<[], RejectedMark>(
    'SELECT credential AS credential, digest AS digest, at_ms AS atMs FROM rejected',
  );
  const replace = database.prepare<[RejectedMark]>(
    'INSERT OR REPLACE INTO rejected (credential, digest, at_ms) VALUES (@credential, @digest, @atMs)',
  );
  const prune = database.prepare<[number]>('DELETE FROM rejected WHERE at_ms < ?');
  const remove = database.prepare<[string]>('DELETE FROM rejected WHERE credential = ?');
  const clear = database.prepare('DELETE FROM rejected');
  return {
    all: (): RejectedMark[] => selectAll.all(),
    put: (mark: RejectedMark): void => void replace.run(mark),
    remove: (credential: string): void => void remove.run(credential),
    prune: (beforeMs: number): void => void prune.run(beforeMs),
    clear: (): void => void clear.run(),
  };
}
