import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import { openTestCache, store, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { keyVersion, login, NOW } from '../fakes/material.ts';

const CANARY = 'sk-ant-CANARY-q7Zp2vXw9LmB4tRy';

/** Every shape in which a value commonly leaks; pieces of it too, because pages and frames cut where they like. */
function shapesOf(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const pieces = [bytes.subarray(0, 12), bytes.subarray(9, 21), bytes.subarray(-12)];
  return pieces.flatMap((piece) => [
    piece,
    Buffer.from(piece.toString('hex')),
    Buffer.from(piece.toString('hex').toUpperCase()),
    Buffer.from(piece.toString('latin1'), 'utf16le'),
    Buffer.from(piece.toString('latin1'), 'utf16le').swap16(),
    Buffer.from(piece).reverse(),
    // Base64 depends on where in a group of three the piece begins; the outer characters are shared with neighbours.
    ...[0, 1, 2].map((shift) =>
      Buffer.from(
        Buffer.concat([Buffer.alloc(shift), piece])
          .toString('base64')
          .slice(4, -4),
      ),
    ),
  ]);
}

function findLeaks(folder: string): string[] {
  const shapes = shapesOf(CANARY);
  return readdirSync(folder).filter((name) => {
    const bytes = readFileSync(join(folder, name));
    return shapes.some((shape) => bytes.includes(shape));
  });
}

async function useHard(cache: SqliteCache, rounds = 60): Promise<void> {
  for (let n = 0; n < rounds; n += 1) {
    store(cache, `c${n % 9}`, `${CANARY}${n}`, { version: String(n) });
    const opened = cache.open(`c${n % 9}`);
    if (n % 4 === 0) cache.remove(`c${n % 9}`);
    else
      cache.touch({
        ...(cache.keys().find((key) => key.credential === `c${n % 9}`) ?? keyVersion('')),
        confirmedAtMs: NOW + n,
      });
    cache.saveLogin('p', 'f', login(String(n % 3)), SecretBytes.fromString(`${CANARY}-token`));
    if (n % 5 === 0) cache.removeLogin('p', String(n % 3));
    cache.markRejected(`c${n}`, cache.digest(opened ?? new Map()), NOW);
    cache.appendEvents([{ atMs: NOW, kind: 'served', credential: 'c1', detail: { n } }]);
    if (n % 20 === 19) await cache.rotateKey();
  }
}

describe.each([false, true])('with networkFileSystem: %s', (networkFileSystem) => {
  it('no file in the state folder ever holds a byte sequence of a key or a token, whatever was done', async () => {
    const folder = temporaryFolder();
    const log = new CollectingLog();
    const before = process.umask(0);
    try {
      const cache = await openTestCache(folder, { networkFileSystem, log });
      // With a rollback journal every commit waits for the disk.
      await useHard(cache, networkFileSystem ? 21 : 60);
      expect(findLeaks(folder)).toEqual([]);
      const names = readdirSync(folder).toSorted();
      if (!networkFileSystem) expect(names).toEqual(['cache.db', 'cache.db-wal', 'kek']);
      for (const name of names) expect([name, statSync(join(folder, name)).mode & 0o777]).toEqual([name, 0o600]);
      cache.close();
      expect(findLeaks(folder)).toEqual([]);
      expect(JSON.stringify(log.lines)).not.toContain('CANARY');
    } finally {
      process.umask(before);
    }
  });
});

it('the search finds what it looks for', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  for (const leak of [CANARY, Buffer.from(CANARY).toString('hex'), Buffer.from(`xx${CANARY}`).toString('base64')]) {
    const key = store(cache, 'a', 'x');
    cache.appendEvents([{ atMs: NOW, kind: 'leak', credential: key.credential, detail: { leak } }]);
    expect(findLeaks(folder).length).toBeGreaterThan(0);
  }
});

it('what is deleted is overwritten: a removed row leaves no trace in the database', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder, { networkFileSystem: true });
  for (let n = 0; n < 9; n += 1) store(cache, `credential-${n}`, 'sk');
  for (let n = 0; n < 9; n += 1) cache.remove(`credential-${n}`);
  cache.close();
  expect(readFileSync(join(folder, 'cache.db')).includes('credential-')).toBe(false);
});

const hasShell = (() => {
  try {
    execFileSync('sqlite3', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

it.skipIf(!hasShell)(
  'a dump by the sqlite3 shell of what lies there while the cache is open shows no key',
  async () => {
    const folder = temporaryFolder();
    const cache = await openTestCache(folder);
    await useHard(cache);
    const copy = temporaryFolder();
    for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(copy, name));
    const dump = execFileSync('sqlite3', [join(copy, 'cache.db'), '.dump'], { encoding: 'latin1' });
    expect(dump).toContain('INSERT INTO records');
    const bytes = Buffer.from(dump, 'latin1');
    expect(shapesOf(CANARY).some((shape) => bytes.includes(shape))).toBe(false);
  },
);
