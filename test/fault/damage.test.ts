import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openCache } from '../../src/cache/open.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import { silentLog } from '../../src/platform/log.ts';
import { openTestCache, served, store, temporaryFolder } from '../fakes/cache.ts';
import { lease, login, NOW } from '../fakes/material.ts';

/** A small database with something in every table, as its files lie there. */
async function sampleFiles(): Promise<{ database: Buffer; kek: Buffer; values: Map<string, string> }> {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  const values = new Map<string, string>();
  for (let n = 0; n < 8; n += 1) {
    values.set(`c${n}`, `sk-value-${n}`);
    store(cache, `c${n}`, `sk-value-${n}`, { lease: n % 2 ? lease(`l${n}`) : undefined });
    cache.journalLease({
      provider: 'p',
      credential: `c${n}`,
      lease: lease(`l${n}`),
      state: 'live',
      replacedAtMs: undefined,
    });
    cache.markRejected(`c${n}`, `d${n}`, NOW);
  }
  cache.saveLogin('p', 'f', login('1'), SecretBytes.fromString('hvs.token'));
  cache.saveTimeline({ bootId: 'b', offsetMs: 1, lastSeenMs: NOW });
  cache.appendEvents(
    Array.from({ length: 20 }, (_, n) => ({ atMs: NOW, kind: 'served', credential: 'c1', detail: { n } })),
  );
  cache.close();
  return { database: readFileSync(join(folder, 'cache.db')), kek: readFileSync(join(folder, 'kek')), values };
}

/** Opens a damaged copy: it may lose keys, it may never serve a wrong one, throw or stop working. */
async function expectHarmless(damaged: Buffer, original: Awaited<ReturnType<typeof sampleFiles>>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'broker-damage-'));
  try {
    writeFileSync(join(folder, 'cache.db'), damaged, { mode: 0o600 });
    writeFileSync(join(folder, 'kek'), original.kek, { mode: 0o600 });
    const cache = await openCache({ stateDir: folder, log: silentLog, wallMs: () => NOW });
    try {
      for (const key of cache.keys()) {
        expect(served(cache, key.credential)).toBe(original.values.get(key.credential));
        expect(key.expiresAtMs).toBe(NOW + 3_600_000);
      }
      for (const { token } of cache.logins('p', 'f')) expect(token.reveal()).toBe('hvs.token');
      for (const entry of cache.leases()) expect(entry.lease.id).toMatch(/^l[0-7]$/);
      cache.events({ limit: 50 });
      cache.events({ afterId: 0, limit: 50 });
      store(cache, 'new', 'sk-new');
      cache.appendEvents([{ atMs: NOW, kind: 'served', credential: 'new', detail: {} }]);
      expect(served(cache, 'new')).toBe('sk-new');
      expect(cache.health().persistent).toBe(true);
    } finally {
      cache.close();
    }
    const again = await openCache({ stateDir: folder, log: silentLog, wallMs: () => NOW });
    expect(served(again, 'new')).toBe('sk-new');
    again.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function flipped(database: Buffer, bits: readonly number[]): Buffer {
  const damaged = Buffer.from(database);
  for (const at of bits) damaged[at >> 3] = (damaged[at >> 3] ?? 0) ^ (1 << (at & 7));
  return damaged;
}

it('flipped bits anywhere in the database cost at most the keys they hit', async () => {
  const original = await sampleFiles();
  const bit = fc.nat(original.database.length * 8 - 1);
  // Half of them in the first page and its schema, where damage is worst.
  const early = fc.nat(4096 * 8 - 1);
  // Every bit of the page size and the format versions: each changes how SQLite treats the whole file.
  for (let at = 16 * 8; at < 24 * 8; at += 1) await expectHarmless(flipped(original.database, [at]), original);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(bit, early), { minLength: 1, maxLength: 4 }), async (bits) => {
      await expectHarmless(flipped(original.database, bits), original);
    }),
    { numRuns: 250 },
  );
});

it('garbage pages, truncation, other files and an empty file are set aside or begun again', async () => {
  const original = await sampleFiles();
  const { database } = original;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(database.length / 4096 - 1),
      fc.uint8Array({ minLength: 4096, maxLength: 4096 }),
      async (page, noise) => {
        const damaged = Buffer.from(database);
        damaged.set(noise, page * 4096);
        await expectHarmless(damaged, original);
      },
    ),
    { numRuns: 40 },
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(database.length - 1), (length) => expectHarmless(database.subarray(0, length), original)),
    { numRuns: 40 },
  );
  for (const other of ['', 'not a database', 'SQLite format 3\0']) await expectHarmless(Buffer.from(other), original);
});

it('a damaged database is kept under another name, and health says so', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'a', 'sk-a');
  cache.close();
  const size = readFileSync(join(folder, 'cache.db')).length;
  writeFileSync(join(folder, 'cache.db'), Buffer.alloc(size, 'garbage'));
  const before = readFileSync(join(folder, 'cache.db'));

  for (const expected of ['cache.db.corrupt-20250615T150640Z', 'cache.db.corrupt-20250615T150640Z-2']) {
    const next = await openTestCache(folder);
    expect(next.keys()).toEqual([]);
    expect(next.health()).toMatchObject({ persistent: true, problem: expect.stringContaining(expected) });
    next.close();
    expect(readFileSync(join(folder, expected))).toEqual(before);
    writeFileSync(join(folder, 'cache.db'), before);
  }
});

it('a log that was emptied, and written on since, is noticed', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'a', 'sk-a');
  truncateSync(join(folder, 'cache.db-wal'));
  store(cache, 'b', 'sk-b');
  expect(await cache.restoreDatabase()).toBe(true);
  expect(await cache.restoreDatabase()).toBe(false);
  const next = await openTestCache(folder);
  expect([served(next, 'a'), served(next, 'b')]).toEqual(['sk-a', 'sk-b']);
});

it('a database damaged under the running daemon is set aside and built anew from memory', async () => {
  const folder = temporaryFolder();
  const cache = await openTestCache(folder);
  store(cache, 'a', 'sk-a');
  // Nothing of it is in SQLite's own memory, and its log is empty: what is in the file counts.
  await cache.rotateKey();
  cache.releaseMemory();
  const path = join(folder, 'cache.db');
  writeFileSync(path, Buffer.alloc(statSync(path).size, 'garbage'), { flag: 'r+' });
  for (let n = 0; n < 20; n += 1) store(cache, `b${n}`, `sk-b${n}`);
  expect(served(cache, 'a')).toBe('sk-a');
  expect(cache.health().persistent).toBe(true);
  cache.close();
  const next = await openTestCache(folder);
  expect(served(next, 'a')).toBe('sk-a');
  expect(served(next, 'b19')).toBe('sk-b19');
});
