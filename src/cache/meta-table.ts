import type { Database } from 'better-sqlite3';
import type { RecordedKek } from '../crypto/kek-locator.ts';
import type { Timeline } from '../platform/timeline.ts';

type Name = 'kek_home' | 'kek_id' | 'unused_kek_home' | 'unused_kek_id' | 'digest_key';

interface AuthenticatedTimeline {
  readonly timeline: Timeline;
  readonly mac: Buffer;
}

/** What the database says about itself: which key sealed it and where that lives; and where the steady clock stood. */
export function metaTable(database: Database) {
  const select = database.prepare<[Name], { value: unknown }>('SELECT value AS value FROM meta WHERE name = ?');
  const replace = database.prepare<[Name, string | Buffer]>('INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)');
  const selectTimeline = database.prepare<[], Timeline & { mac: Buffer }>(
    'SELECT boot_id AS bootId, offset_ms AS offsetMs, last_seen_ms AS lastSeenMs, mac AS mac FROM timeline WHERE id = 1',
  );
  const replaceTimeline = database.prepare<[string, number, number, Buffer]>(
    'INSERT OR REPLACE INTO timeline (id, boot_id, offset_ms, last_seen_ms, mac) VALUES (1, ?, ?, ?, ?)',
  );
  const remove = database.prepare<[Name]>('DELETE FROM meta WHERE name = ?');
  const clearTimeline = database.prepare('DELETE FROM timeline');
  const get = (name: Name): unknown => select.get(name)?.value;
  const kekAt = (homeName: Name, idName: Name): RecordedKek | undefined => {
    const [home, id] = [get(homeName), get(idName)];
    return typeof home === 'string' && typeof id === 'string' ? { home, id } : undefined;
  };
  return {
    recordedKek: (): RecordedKek | undefined => kekAt('kek_home', 'kek_id'),
    recordKek: ({ home, id }: RecordedKek): void => {
      replace.run('kek_home', home);
      replace.run('kek_id', id);
    },
    /** A key that seals nothing yet or nothing any more, to be removed from its home. */
    unusedKek: (): RecordedKek | undefined => kekAt('unused_kek_home', 'unused_kek_id'),
    recordUnusedKek: (unused: RecordedKek | undefined): void => {
      for (const [name, value] of [
        ['unused_kek_home', unused?.home],
        ['unused_kek_id', unused?.id],
      ] as const) {
        if (value === undefined) remove.run(name);
        else replace.run(name, value);
      }
    },
    digestKey: (): Buffer | undefined => {
      const value = get('digest_key');
      return Buffer.isBuffer(value) ? value : undefined;
    },
    putDigestKey: (sealed: Buffer): void => void replace.run('digest_key', sealed),
    timeline: (): AuthenticatedTimeline | undefined => {
      const row = selectTimeline.get();
      if (row === undefined) return undefined;
      const { mac, ...timeline } = row;
      return { timeline, mac };
    },
    putTimeline: ({ timeline, mac }: AuthenticatedTimeline): void =>
      void replaceTimeline.run(timeline.bootId, timeline.offsetMs, timeline.lastSeenMs, mac),
    clearTimeline: (): void => void clearTimeline.run(),
  };
}
