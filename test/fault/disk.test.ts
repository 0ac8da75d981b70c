import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { expect, it } from 'vitest';
import { openTestCache, served, store, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { lease, NOW } from '../fakes/material.ts';

const USER = fileURLToPath(new URL('disk-user.ts', import.meta.url));

function runUser(script: string, ...args: string[]) {
  const result = spawnSync('/bin/sh', ['-c', script, 'sh', process.execPath, USER, ...args], { encoding: 'utf8' });
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout);
}

const SERVED_ALL_ALONG = {
  whenFull: {
    health: { persistent: false, problem: expect.any(String), remedy: expect.any(String) },
    before: 'sk-before',
    big: 16_000,
    events: 1,
  },
  afterwards: { health: { persistent: true }, after: 'sk-after' },
};

it('writes that the system refuses cost persistence, never an answer, and are made up for', async () => {
  const folder = temporaryFolder();
  // Files may not grow beyond 256 blocks; SIGXFSZ ignored, so that writes fail with EFBIG.
  const report = runUser('trap "" XFSZ; ulimit -f 256; exec "$@"', folder);
  expect(report).toMatchObject(SERVED_ALL_ALONG);
  const next = await openTestCache(folder);
  expect(['before', 'after', 'last', 'big1'].map((name) => served(next, name))).toEqual([
    'sk-before',
    'sk-after',
    'sk-last',
    undefined,
  ]);
});

const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

it.skipIf(!canMount)('a disk that is full costs persistence, never an answer, and is made up for', () => {
  const folder = temporaryFolder();
  const mount = 'mount -t tmpfs -o size=512k,mode=0700 none "$3" && exec "$@"';
  const report = runUser(`exec unshare -rm /bin/sh -c '${mount}' sh "$@"`, folder, join(folder, 'filler'));
  expect(report).toMatchObject(SERVED_ALL_ALONG);
});

it.skipIf(!canMount)('a key stored before is served by a daemon that starts on a full disk', () => {
  const folder = temporaryFolder();
  const mount = `mount -t tmpfs -o size=400k,mode=0700 none "$3" && cd "$3" && "$1" "$2" . '' once && rm -f cache.db-shm
    dd if=/dev/zero of=filler bs=1k count=900 2>/dev/null; "$1" "$2" . '' read`;
  const report = runUser(`exec unshare -rm /bin/sh -c '${mount.replaceAll("'", `'"'"'`)}' sh "$@"`, folder);
  expect(report).toEqual({ before: 'sk-before' });
});

it('a database that somebody else has open is taken over, with what happened meanwhile, as soon as it is free', async () => {
  const folder = temporaryFolder();
  const former = await openTestCache(folder);
  store(former, 'a', 'sk-a');
  store(former, 'd', 'sk-d');
  former.close();
  let now = NOW;
  const log = new CollectingLog();
  const other = new SqliteDatabase(join(folder, 'cache.db'));
  other.prepare('SELECT count(*) FROM records').get();

  const cache = await openTestCache(folder, { log, wallMs: () => now });
  store(cache, 'a', 'sk-a2');
  store(cache, 'b', 'sk-b');
  cache.remove('never');
  cache.journalLease({ provider: 'p', credential: 'a', lease: lease('1'), state: 'live', replacedAtMs: undefined });
  expect([served(cache, 'a'), served(cache, 'b')]).toEqual(['sk-a2', 'sk-b']);
  expect(cache.health()).toMatchObject({ persistent: false, remedy: expect.stringContaining('fuser') });
  // One attempt, one line: while it is known to be locked, no answer waits for it.
  expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  expect(await cache.reach()).toBe(false);
  await expect(cache.rotateKey()).rejects.toThrow(/locked/);

  other.close();
  now += 6_000;
  expect(await cache.reach()).toBe(true);
  store(cache, 'c', 'sk-c');
  expect(cache.health()).toMatchObject({ persistent: true, problem: undefined });
  cache.close();
  const next = await openTestCache(folder);
  expect(['a', 'b', 'c', 'd'].map((name) => served(next, name))).toEqual(['sk-a2', 'sk-b', 'sk-c', 'sk-d']);
  expect(next.leases()).toHaveLength(1);
});

it('nobody else can lock the database, or change it, while the cache is open', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'a', 'sk-a');
  const other = new SqliteDatabase(join(folder, 'cache.db'), { timeout: 0 });
  expect(() => other.exec('DELETE FROM records')).toThrow(/locked/);
  expect(() => other.exec('SELECT * FROM records')).toThrow(/locked/);
  other.close();
  store(cache, 'b', 'sk-b');
  expect(cache.health()).toMatchObject({ persistent: true });
});

it('a database that cannot be opened at start is left alone until it can', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'a', 'sk-a');
  cache.close();
  const path = join(folder, 'cache.db');
  renameSync(path, `${path}.real`);
  // A folder whose mode is at fault as well.
  mkdirSync(path, { mode: 0o755 });

  const without = await openTestCache(folder);
  expect(without.health()).toMatchObject({ persistent: false, problem: `${path} is not a regular file` });
  store(without, 'b', 'sk-b');
  expect(await without.reach()).toBe(false);
  rmdirSync(path);
  renameSync(`${path}.real`, path);
  expect(await without.reach()).toBe(true);
  expect([served(without, 'a'), served(without, 'b')]).toEqual(['sk-a', 'sk-b']);
});
