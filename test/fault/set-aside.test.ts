import { readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openTestCache, store, temporaryFolder } from '../fakes/cache.ts';
import { NOW } from '../fakes/material.ts';

it('of the databases that were set aside only the newest three stay, and nobody’s own files go', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'cache.db.backup'), 'a person’s own');
  for (let day = 0; day < 5; day += 1) {
    writeFileSync(join(folder, 'cache.db'), 'damaged', { mode: 0o600 });
    const cache = await openTestCache(folder, { wallMs: () => NOW + day * 86_400_000 });
    expect(cache.health().problem).toContain('set aside');
    cache.close();
  }
  const aside = readdirSync(folder).filter((name) => name.startsWith('cache.db.corrupt-'));
  expect(aside.toSorted()).toEqual(aside.toSorted().slice(-3));
  expect(aside).toHaveLength(3);
  const newest = new Date(NOW + 4 * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
  expect(aside.some((name) => name.includes(newest))).toBe(true);
  expect(readdirSync(folder)).toContain('cache.db.backup');
});

it('the same holds for key files that took the place of the right one', async () => {
  const folder = temporaryFolder();
  let now = NOW;
  const cache = await openTestCache(folder, { wallMs: () => now });
  store(cache, 'a', 'sk-a');
  for (let day = 0; day < 5; day += 1) {
    now += 86_400_000;
    truncateSync(join(folder, 'kek'));
    expect(await cache.restoreKey()).toBe(true);
    expect(await cache.restoreKey()).toBe(false);
  }
  expect(readdirSync(folder).filter((name) => name.startsWith('kek.replaced-'))).toHaveLength(3);
  rmSync(join(folder, 'kek'));
  expect(await cache.restoreKey()).toBe(true);
});
