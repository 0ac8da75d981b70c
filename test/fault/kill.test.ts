import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openTestCache, served, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';

const WRITER = fileURLToPath(new URL('writer.ts', import.meta.url));

/** Starts a writer and kills it -9 somewhere in the middle; `afterMs` varies where. */
async function writeUntilKilled(folder: string, start: number, afterMs: number): Promise<void> {
  const child = spawn(process.execPath, [WRITER, folder, String(start)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  await delay(afterMs);
  child.kill('SIGKILL');
  expect(await exited).toEqual([null, 'SIGKILL']);
}

it('a process killed -9 in the middle of writes and rotations leaves a database in which everything authenticates', async () => {
  const folder = temporaryFolder();
  let last = -1;
  for (const [round, afterMs] of [0, 3, 17, 40, 71, 123].entries()) {
    await writeUntilKilled(folder, round * 100_000, afterMs);
    const log = new CollectingLog();
    const cache = await openTestCache(folder, { log });
    expect(log.lines).toEqual([]);
    expect(cache.health()).toMatchObject({ persistent: true, problem: undefined });

    const keys = cache.keys();
    const journal = new Map(cache.leases().map((entry) => [entry.lease.id, entry]));
    for (const key of keys) {
      expect(served(cache, key.credential)).toBe(`sk-${key.credential}-${key.version}`);
      expect(cache.digest(cache.open(key.credential) ?? new Map())).toBe(key.digest);
      // Journaled before it was stored: no key on record hangs on a lease that nobody would revoke.
      expect(journal.get(key.lease?.id ?? '')?.credential).toBe(key.credential);
    }
    const newest = Math.max(...keys.map((key) => Number(key.version)));
    expect(newest).toBeGreaterThan(last);
    last = newest;
    // One transaction after the other, so the events never run more than one step ahead of or behind the keys.
    const events = cache.events({ limit: 1 });
    expect(Math.abs(Number(events[0]?.detail['round']) - newest)).toBeLessThanOrEqual(1);
    expect(cache.logins('p', 'f').map(({ token }) => token.reveal().startsWith('sk-'))).toEqual([true]);
    cache.close();
    expect(readdirSync(folder).toSorted()).toEqual(['cache.db', 'kek']);
  }
});
