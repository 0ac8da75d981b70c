import { chmodSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { openDatabase } from '../../../src/cache/database.ts';
import { MIGRATIONS } from '../../../src/cache/migrations.ts';
import { openTestCache, served, store, temporaryFolder } from '../../fakes/cache.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';

const FIRST = "CREATE TABLE notes (text TEXT) STRICT; INSERT INTO notes VALUES ('kept');";
const SECOND = 'ALTER TABLE notes ADD COLUMN at_ms REAL; UPDATE notes SET at_ms = 5;';

describe('migrations', () => {
  it('take an older database to the newest version and keep what is in it', () => {
    const path = join(temporaryFolder(), 'cache.db');
    openDatabase(path, { networkFileSystem: false, migrations: [FIRST] }).close();
    const database = openDatabase(path, { networkFileSystem: false, migrations: [FIRST, SECOND] });
    expect(database.prepare('SELECT * FROM notes').all()).toEqual([{ text: 'kept', at_ms: 5 }]);
    expect(database.pragma('user_version', { simple: true })).toBe(2);
    database.close();
  });

  it('change nothing if one step fails', () => {
    const path = join(temporaryFolder(), 'cache.db');
    openDatabase(path, { networkFileSystem: false, migrations: [FIRST] }).close();
    const broken = [FIRST, SECOND, 'CREATE TABLE notes (again TEXT)'];
    expect(() => openDatabase(path, { networkFileSystem: false, migrations: broken })).toThrow(/already exists/);
    const database = openDatabase(path, { networkFileSystem: false, migrations: [FIRST] });
    expect(database.prepare('SELECT * FROM notes').all()).toEqual([{ text: 'kept' }]);
    database.close();
  });

  it('start from an empty file', () => {
    const path = join(temporaryFolder(), 'cache.db');
    const database = openDatabase(path, { networkFileSystem: false });
    expect(database.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
    database.close();
  });

  it('set a database of a newer version aside, whole, and go on empty', async () => {
    const folder = temporaryFolder();
    const cache = await openTestCache(folder);
    store(cache, 'a', 'sk-newer');
    cache.close();
    const database = new SqliteDatabase(join(folder, 'cache.db'));
    database.pragma('user_version = 42');
    database.close();

    const older = await openTestCache(folder);
    expect(older.keys()).toEqual([]);
    expect(older.health()).toMatchObject({ persistent: true, problem: expect.stringContaining('newer version') });
    store(older, 'b', 'sk-b');
    older.close();
    expect(readdirSync(folder)).toContain('cache.db.newer-v42');

    const kept = new SqliteDatabase(join(folder, 'cache.db.newer-v42'), { readonly: true });
    expect(kept.prepare("SELECT id FROM records WHERE kind = 'key'").all()).toEqual([{ id: 'a' }]);
    kept.close();
    expect(served(await openTestCache(folder), 'b')).toBe('sk-b');
  });

  it('set a database from before the first release aside, and say in one line that its open leases lapse', async () => {
    const folder = temporaryFolder();
    const former = new SqliteDatabase(join(folder, 'cache.db'));
    former.exec('CREATE TABLE leases (lease_id TEXT)');
    former.pragma('application_id = 0x62726b72');
    former.pragma('user_version = 1');
    former.close();
    chmodSync(join(folder, 'cache.db'), 0o600);
    const log = new CollectingLog();
    const cache = await openTestCache(folder, { log });
    expect(log.lines.map(({ message }) => message)).toEqual([
      expect.stringMatching(/before version 0\.1\.0, in another format; its open leases lapse\) and was set aside as /),
    ]);
    expect(cache.health()).toMatchObject({ persistent: true, problem: log.lines[0]?.message });
    expect(readdirSync(folder)).toContain('cache.db.before-0.1.0');
  });

  it('leave the database of another program alone', async () => {
    const folder = temporaryFolder();
    const foreign = new SqliteDatabase(join(folder, 'cache.db'));
    foreign.exec('CREATE TABLE theirs (x)');
    foreign.close();
    const path = join(folder, 'cache.db');
    chmodSync(path, 0o644);
    const refused = await openTestCache(folder);
    expect(refused.health()).toMatchObject({ persistent: false, remedy: expect.stringContaining(`chmod 600 ${path}`) });

    chmodSync(path, 0o600);
    expect(await refused.reach()).toBe(true);
    expect(refused.health()).toMatchObject({ persistent: true, problem: expect.stringContaining('set aside') });
    const aside = readdirSync(folder).find((name) => name.startsWith('cache.db.corrupt-'));
    const kept = new SqliteDatabase(join(folder, aside ?? ''), { readonly: true });
    expect(kept.prepare('SELECT count(*) AS n FROM theirs').get()).toEqual({ n: 0 });
    kept.close();
  });
});
