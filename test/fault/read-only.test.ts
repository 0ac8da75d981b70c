import { spawnSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../fakes/cache.ts';

const USER = fileURLToPath(new URL('read-only-user.ts', import.meta.url));
const NOBODY = 65534;

/** To root, modes mean nothing. */
function runUser(folder: string, name: string) {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, NOBODY, NOBODY);
  const identity = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const result = spawnSync(process.execPath, [USER, folder, name], { encoding: 'utf8', ...identity });
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout);
}

it('a database that cannot be written at start is named, served from, and written as soon as that is fixed', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'cache.db');
  expect(runUser(folder, 'cache.db')).toEqual({
    problem: expect.stringContaining(`${path} cannot be written`),
    remedy: `run: chmod u+rw ${path}`,
    persistent: false,
    tooEarly: false,
    fixed: true,
    keys: ['before', 'meanwhile'],
  });
});

it.each(['cache.db-shm', 'cache.db-wal'])('a read-only %s that was left behind is in nobody’s way', (name) => {
  expect(runUser(temporaryFolder(), name)).toMatchObject({ persistent: true, keys: ['before', 'meanwhile'] });
});
