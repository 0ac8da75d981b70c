import { expect, it } from 'vitest';
import { EVENTS_KEPT, EVENTS_KEPT_MS } from '../../../src/cache/events.ts';
import { openMemoryCache } from '../../../src/cache/open.ts';
import { openTestCache, temporaryFolder } from '../../fakes/cache.ts';
import { NOW } from '../../fakes/material.ts';

const batch = (size: number, atMs = NOW) =>
  Array.from({ length: size }, (_, n) => ({ atMs, kind: 'served', credential: 'a', detail: { n } }));

it('the journal keeps the newest events only', async () => {
  const cache = await openTestCache(temporaryFolder());
  for (let n = 0; n < 6; n += 1) cache.appendEvents(batch(2_000));
  const kept = cache.events({ limit: 99_999 });
  expect(kept.length).toBeGreaterThanOrEqual(EVENTS_KEPT);
  expect(kept.length).toBeLessThan(EVENTS_KEPT + 2_000);
  expect(kept.at(-1)?.id).toBe(12_000);
});

it('and none that is too old beside the newest', async () => {
  const cache = await openTestCache(temporaryFolder());
  cache.appendEvents(batch(300, NOW - EVENTS_KEPT_MS - 1));
  cache.appendEvents(batch(300, NOW));
  expect(cache.events({ limit: 9_999 }).every(({ atMs }) => atMs === NOW)).toBe(true);
});

it('in memory as well, where there is less room', () => {
  const cache = openMemoryCache();
  for (let n = 0; n < 30; n += 1) cache.appendEvents(batch(100));
  const kept = cache.events({ limit: 99_999 });
  expect(kept).toHaveLength(1_000);
  expect(kept.at(-1)?.id).toBe(3_000);
});
