import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, describe, expect, test } from 'vitest';
import { MIGRATIONS } from '../../src/cache/migrations.ts';
import { BrokerHome } from '../fakes/daemon-process.ts';
import type { Expected } from './fixture.ts';

const WALL_CLOCK = new URL('../fixtures/wall-clock.mjs', import.meta.url).href;
const folders = readdirSync(import.meta.dirname).filter((name) => name.startsWith('schema-'));
const MINUTE_MS = 60_000;

let home: BrokerHome | undefined;
afterEach(() => home?.close());

/** A home with nothing in it but what an earlier version left. */
function inherit(folder: string): BrokerHome {
  const made = new BrokerHome(readFileSync(path.join(folder, 'config.toml'), 'utf8'));
  mkdirSync(made.stateDir, { mode: 0o700 });
  for (const name of ['cache.db', 'kek']) {
    const copy = path.join(made.stateDir, name);
    copyFileSync(path.join(folder, name), copy);
    // Whatever mode the checkout gave them.
    chmodSync(copy, 0o600);
  }
  return made;
}

describe.each(folders)('%s', (name) => {
  const folder = path.join(import.meta.dirname, name);
  const { wroteAtMs, stdout } = JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')) as Expected;

  test.each([
    ['ten minutes', 10 * MINUTE_MS],
    ['twelve hours', 12 * 60 * MINUTE_MS],
  ])('%s later every key is served, with the provider unplugged', async (_, laterMs) => {
    home = inherit(folder);
    const wall = { BROKER_TEST_WALL_MS: String(wroteAtMs + laterMs) };
    const daemon = await home.start(wall, { nodeArgs: [`--import=${WALL_CLOCK}`] });
    for (const [ask, expected] of Object.entries(stdout)) {
      expect(await home.key(ask), `broker-key ${ask}`).toEqual({ code: 0, stdout: expected, stderr: '' });
    }
    const { cache, configProblem } = JSON.parse((await home.broker('status', '--json')).stdout).daemon;
    expect({ cache, configProblem }).toMatchObject({ cache: { persistent: true, problem: null }, configProblem: null });
    expect((await home.broker('events', '--json')).stdout.trim().split('\n').length).toBeGreaterThan(
      Object.keys(stdout).length,
    );
    await daemon.end('SIGTERM');
    expect(readdirSync(home.stateDir).filter((file) => /corrupt|newer|aside/.test(file))).toEqual([]);
    const database = new SqliteDatabase(path.join(home.stateDir, 'cache.db'), { readonly: true });
    expect(database.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length);
    database.close();
  });
});

test('every schema that there was is among them: see README.md', () => {
  expect(folders.toSorted()).toEqual(MIGRATIONS.map((_, index) => `schema-${index + 1}`).toSorted());
});
