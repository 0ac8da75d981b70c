import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { SecretBytes } from '../../src/credential/secret.ts';
import { openTestCache, served, store, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { lease, login, NOW, secret } from '../fakes/material.ts';

/** A database with two keys, a lease and a login, closed. */
async function filled() {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'old', 'sk-old', { confirmedAtMs: NOW - 9_000 });
  store(cache, 'newer', 'sk-newer', { confirmedAtMs: NOW + 9_000 });
  store(cache, 'invalidated', 'sk-bad');
  cache.journalLease({ provider: 'p', credential: 'old', lease: lease('l1'), state: 'live', replacedAtMs: undefined });
  cache.journalLease({ provider: 'p', credential: 'old', lease: lease('l2'), state: 'live', replacedAtMs: undefined });
  cache.saveLogin('p', 'f', login('1'), SecretBytes.fromString('hvs.stored'));
  cache.saveTimeline({ bootId: 'b', offsetMs: 3, lastSeenMs: NOW });
  cache.appendEvents([{ atMs: NOW, kind: 'stored', credential: undefined, detail: {} }]);
  const rejected = cache.digest(secret('sk-rejected-before'));
  cache.markRejected('old', rejected, NOW);
  cache.close();
  const [database, kek] = [join(folder, 'cache.db'), join(folder, 'kek')];
  return { folder, database, kek, before: readFileSync(database) };
}

const UNREACHABLE: [string, (kek: string) => void, (kek: string) => void][] = [
  ['is gone', (kek) => renameSync(kek, `${kek}.away`), (kek) => renameSync(`${kek}.away`, kek)],
  ['is open to others', (kek) => chmodSync(kek, 0o644), (kek) => chmodSync(kek, 0o600)],
  [
    'was exchanged',
    (kek) => {
      renameSync(kek, `${kek}.away`);
      writeFileSync(kek, Buffer.alloc(32, 1), { mode: 0o600 });
    },
    (kek) => renameSync(`${kek}.away`, kek),
  ],
];

describe.each(UNREACHABLE)('a key file that %s', (_, lose, mend) => {
  it('means memory only, the database untouched and no new key; then everything comes together again', async () => {
    const { folder, database, kek, before } = await filled();
    lose(kek);
    const filesBefore = readdirSync(folder).toSorted();
    const log = new CollectingLog();
    const cache = await openTestCache(folder, { log });
    expect(cache.health()).toMatchObject({ persistent: false, problem: expect.stringContaining(kek) });
    expect(cache.health().remedy).toBeTruthy();
    expect(cache.keys()).toEqual([]);
    expect(cache.timeline()).toEqual({ bootId: 'b', offsetMs: 3, lastSeenMs: NOW });

    store(cache, 'old', 'sk-fetched-again');
    store(cache, 'newer', 'sk-stale', { confirmedAtMs: NOW });
    store(cache, 'only-in-memory', 'sk-memory');
    cache.remove('invalidated');
    cache.forgetLease('p', 'l2');
    cache.saveLogin('p', 'f', login('2'), SecretBytes.fromString('hvs.memory'));
    cache.markRejected('old', cache.digest(secret('sk-fetched-again')), NOW);
    cache.appendEvents([{ atMs: NOW, kind: 'in memory', credential: undefined, detail: {} }]);
    expect(served(cache, 'old')).toBe('sk-fetched-again');
    expect(await cache.reach()).toBe(false);
    await expect(cache.rotateKey()).rejects.toThrow();
    expect(readFileSync(database)).toEqual(before);
    expect(readdirSync(folder).toSorted()).toEqual(filesBefore);

    mend(kek);
    expect(await cache.reach()).toBe(true);
    expect(await cache.reach()).toBe(false);
    expect(cache.health()).toMatchObject({ persistent: true, problem: undefined });
    // Digested again, with another key: a value that was rejected meanwhile and is still there stays rejected.
    expect(cache.rejectedMarks('old')).toContain(cache.digest(secret('sk-fetched-again')));
    cache.close();

    const next = await openTestCache(folder);
    expect(
      next
        .keys()
        .map((key) => [key.credential, served(next, key.credential)])
        .toSorted(),
    ).toEqual([
      ['newer', 'sk-newer'],
      ['old', 'sk-fetched-again'],
      ['only-in-memory', 'sk-memory'],
    ]);
    for (const key of next.keys()) expect(next.digest(secret(served(next, key.credential) ?? ''))).toBe(key.digest);
    expect(next.leases().map((entry) => entry.lease.id)).toEqual(['l1']);
    expect(
      next
        .logins('p', 'f')
        .map(({ token }) => token.reveal())
        .toSorted(),
    ).toEqual(['hvs.memory', 'hvs.stored']);
    for (const text of ['sk-rejected-before', 'sk-fetched-again']) {
      expect(next.rejectedMarks('old')).toContain(next.digest(secret(text)));
    }
    expect(next.events({ limit: 9 }).map(({ kind }) => kind)).toEqual(['stored', 'in memory']);
  });

  it('can be given up by a person: the database is set aside, what is in memory goes into a new one', async () => {
    const { folder, kek, before } = await filled();
    lose(kek);
    const cache = await openTestCache(folder);
    store(cache, 'a', 'sk-a');
    const rotation = await cache.rotateKey({ discard: true });
    expect(readFileSync(rotation.setAside ?? '')).toEqual(before);
    if (existsSync(`${kek}.away`)) rmSync(`${kek}.away`);
    expect(cache.health()).toMatchObject({ persistent: true, problem: undefined });
    cache.close();
    const next = await openTestCache(folder);
    expect(next.keys().map(({ credential }) => credential)).toEqual(['a']);
    expect(served(next, 'a')).toBe('sk-a');
  });
});

it('keys are not judged by a timeline that somebody changed while the key was out of reach', async () => {
  const { folder, database, kek } = await filled();
  renameSync(kek, `${kek}.away`);
  const tampered = new SqliteDatabase(database);
  tampered.exec("UPDATE records SET facts = json_set(facts, '$.offsetMs', -1e9) WHERE kind = 'timeline'");
  tampered.close();
  const cache = await openTestCache(folder);
  expect(cache.timeline()?.offsetMs).toBe(-1e9);
  store(cache, 'fetched', 'sk-fetched');
  renameSync(`${kek}.away`, kek);
  expect(await cache.reach()).toBe(true);
  expect(cache.keys().map(({ credential }) => credential)).toEqual(['fetched']);
});

it.each([
  ['the same timeline', { bootId: 'b', offsetMs: 3.5, lastSeenMs: NOW + 1 }, 3],
  ['a clock set back within one boot', { bootId: 'b', offsetMs: -3_600_000, lastSeenMs: NOW + 1 }, 0],
  ['a later boot', { bootId: 'c', offsetMs: 99, lastSeenMs: NOW + 1 }, 3],
  ['a later boot whose clock is behind', { bootId: 'c', offsetMs: 99, lastSeenMs: NOW - 1 }, 0],
])('stored keys join a running clock only if it counts like theirs: %s', async (_, timeline, expected) => {
  const { folder, kek } = await filled();
  renameSync(kek, `${kek}.away`);
  const cache = await openTestCache(folder);
  cache.saveTimeline(timeline);
  renameSync(`${kek}.away`, kek);
  expect(await cache.reach()).toBe(true);
  expect(cache.keys()).toHaveLength(expected);
  expect(cache.timeline()).toEqual(timeline);
});

it('a new state folder makes its own key; one whose database is gone keeps the key it has', async () => {
  const { folder, database, kek } = await filled();
  const bytes = readFileSync(kek);
  rmSync(database);
  const cache = await openTestCache(folder);
  expect(cache.health().persistent).toBe(true);
  expect(readFileSync(kek)).toEqual(bytes);
});

it('a state folder that is open to others is refused with the command that fixes it', async () => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  await expect(openTestCache(folder)).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_UNSAFE_FILE', remedy: expect.stringContaining(`chmod 700 ${folder}`) }),
  );
});
