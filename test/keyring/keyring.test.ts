import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { OpenCacheOptions } from '../../src/cache/open.ts';
import { served, store, temporaryFolder } from '../fakes/cache.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { NOW } from '../fakes/material.ts';
import { Desk, missingPrograms } from './desk.ts';
import { askAt, openAt } from './open-at.ts';

const skipped = missingPrograms();
if (skipped !== undefined) console.log(`the keyring tests are skipped: ${skipped}`);

let desk: Desk;

beforeEach(async () => {
  desk = new Desk();
  if (skipped === undefined) await desk.start();
});

afterEach(async () => {
  await desk[Symbol.asyncDispose]();
});

const kekFiles = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('kek'));

async function open(folder: string, options: Partial<OpenCacheOptions> = {}) {
  const cache = await openAt(desk, folder, options);
  onTestFinished(() => cache.close());
  return cache;
}

/** A state folder whose key is in the keyring, and nobody has it open. */
async function filled(): Promise<string> {
  const folder = temporaryFolder();
  const cache = await openAt(desk, folder);
  store(cache, 'a', 'sk-a');
  cache.close();
  return folder;
}

describe.skipIf(skipped)('a key in the Secret Service', () => {
  it('is what a desktop with an open keyring gets by itself: one item, no file, and the next start finds it', async () => {
    const folder = temporaryFolder();
    const cache = await open(folder);
    expect(cache.health()).toMatchObject({ persistent: true, keyHome: 'keyring', problem: undefined });
    store(cache, 'a', 'sk-a');
    cache.close();
    expect(kekFiles(folder)).toEqual([]);
    const [account, ...others] = await desk.accounts();
    expect(others).toEqual([]);
    expect(account).toMatch(/^[0-9a-f]{16}$/);
    const kept = await askAt(desk)?.({
      action: 'read',
      service: 'apikey-broker',
      account: account ?? '',
      mayStart: false,
    });
    expect(kept).toMatchObject({ outcome: 'found', secret: expect.stringMatching(/^broker-kek-1:[\w-]{43}$/) });

    const log = new CollectingLog();
    expect(served(await open(folder, { log }), 'a')).toBe('sk-a');
    expect(log.lines).toEqual([]);
    expect(desk.prompts).toBe(0);
  });

  it('is not shared by two state folders', async () => {
    const folders = [await filled(), await filled()];
    expect(new Set(await desk.accounts()).size).toBe(2);
    for (const folder of folders) expect(served(await open(folder), 'a')).toBe('sk-a');
  });

  it('behind a locked collection means memory only, the database untouched, nobody asked; unlocked, all is there', async () => {
    const folder = await filled();
    const before = readFileSync(join(folder, 'cache.db'));
    await desk.restartKeyring('locked');
    const log = new CollectingLog();
    const cache = await open(folder, { log });
    expect(cache.health()).toMatchObject({
      persistent: false,
      problem: 'the Secret Service is locked',
      remedy: expect.stringMatching(/^Unlock it.*broker rotate-key --discard --to file$/),
    });
    store(cache, 'b', 'sk-b');
    expect(await cache.reach()).toBe(false);
    expect(await cache.reach()).toBe(false);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(readFileSync(join(folder, 'cache.db'))).toEqual(before);
    expect(kekFiles(folder)).toEqual([]);
    expect(desk.prompts).toBe(0);

    await desk.restartKeyring('unlocked');
    expect(await cache.reach()).toBe(true);
    expect([served(cache, 'a'), served(cache, 'b')]).toEqual(['sk-a', 'sk-b']);
    cache.close();
    const next = await open(folder);
    expect([served(next, 'a'), served(next, 'b')]).toEqual(['sk-a', 'sk-b']);
  });

  it('whose bus, service or collection is gone is out of reach, and no reason to make another', async () => {
    const folder = await filled();
    const before = readFileSync(join(folder, 'cache.db'));
    const expectUnreachable = async (problem: RegExp) => {
      const cache = await openAt(desk, folder);
      expect(cache.health()).toMatchObject({ persistent: false, problem: expect.stringMatching(problem) });
      cache.close();
      expect(readFileSync(join(folder, 'cache.db'))).toEqual(before);
      expect(kekFiles(folder)).toEqual([]);
    };
    await desk.stopKeyring();
    await expectUnreachable(/no Secret Service answers/);
    desk.forgetCollections();
    await desk.startKeyring('locked');
    await expectUnreachable(/no default collection/);
    await desk.stopBus();
    await expectUnreachable(/no session bus/);
    const cache = await openAt({ env: {} }, folder);
    expect(cache.health().problem).toMatch(/no session bus/);
    cache.close();
  });

  it('is not read blind where there is no busctl to look with', async () => {
    const folder = await filled();
    const before = readFileSync(join(folder, 'cache.db'));
    const cache = await openAt({ env: { ...desk.env, PATH: '/nowhere' } }, folder);
    expect(cache.health()).toMatchObject({
      persistent: false,
      problem: 'whether the Secret Service is open cannot be told: there is no busctl',
      remedy: expect.stringContaining('busctl'),
    });
    cache.close();
    expect(readFileSync(join(folder, 'cache.db'))).toEqual(before);
    expect(served(await open(folder), 'a')).toBe('sk-a');
  });

  it('that a person deleted is missing, and one that was exchanged is refused', async () => {
    const folder = await filled();
    const [account = ''] = await desk.accounts();
    const ask = askAt(desk);
    await ask?.({
      action: 'store',
      service: 'apikey-broker',
      account,
      secret: `broker-kek-1:${'A'.repeat(43)}`,
      mayStart: false,
    });
    expect((await open(folder)).health().problem).toMatch(/is not that key/);
    await ask?.({ action: 'remove', service: 'apikey-broker', account, mayStart: false });
    expect((await open(folder)).health().problem).toMatch(/is open, and the key [0-9a-f]{16} is not in it/);
    expect(await desk.accounts()).toEqual([]);
  });

  it('is found by what it seals, whatever a damaged note in the database says', async () => {
    const folder = await filled();
    const database = new SqliteDatabase(join(folder, 'cache.db'));
    database.exec('DELETE FROM keks');
    database.close();
    expect(served(await open(folder), 'a')).toBe('sk-a');
  });

  it('that seals everything is not removed, whatever a damaged note in the database says', async () => {
    const folder = await filled();
    const [account = ''] = await desk.accounts();
    const database = new SqliteDatabase(join(folder, 'cache.db'));
    database.exec('UPDATE keks SET seals = 0');
    database.close();
    const cache = await open(folder);
    await cache.reach();
    expect(await desk.accounts()).toEqual([account]);
    expect(served(cache, 'a')).toBe('sk-a');
  });

  it('of a keyring that hangs costs three seconds and not the daemon, and then it is left in peace for a while', async () => {
    const folder = await filled();
    desk.freezeKeyring();
    let now = NOW;
    const started = performance.now();
    const cache = await open(folder, { wallMs: () => now });
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(cache.health()).toMatchObject({
      persistent: false,
      problem: expect.stringContaining('did not answer in time'),
    });
    desk.thawKeyring();
    expect(await cache.reach()).toBe(false);
    now += 60_000;
    expect(await cache.reach()).toBe(true);
    expect(served(cache, 'a')).toBe('sk-a');
  });

  it('is made anew for a database that takes the place of a damaged one, which is told', async () => {
    const folder = await filled();
    writeFileSync(join(folder, 'cache.db'), 'no database', { mode: 0o600 });
    const cache = await open(folder);
    expect(cache.health()).toMatchObject({
      persistent: true,
      keyHome: 'keyring',
      problem: expect.stringContaining('was set aside as'),
    });
  });

  it('is not asked for where the key is in a file', async () => {
    const folder = temporaryFolder();
    (await open(folder, { keyHome: 'file' })).close();
    expect(kekFiles(folder)).toEqual(['kek']);
    const askKeyring = () => Promise.reject(new Error('somebody asked the keyring'));
    const cache = await open(folder, { askKeyring });
    expect(cache.health()).toMatchObject({ persistent: true, keyHome: 'file' });
    expect(await desk.accounts()).toEqual([]);
  });
});

describe.skipIf(skipped)('where a new key goes', () => {
  const homeOf = async (options: Partial<OpenCacheOptions> = {}, at: Pick<Desk, 'env'> = desk) => {
    const cache = await openAt(at, temporaryFolder(), options);
    const { keyHome, problem } = cache.health();
    cache.close();
    return keyHome ?? problem;
  };

  it('is a file if the keyring is locked (SSH), has no collection, does not run or has no bus (servers, containers)', async () => {
    await desk.restartKeyring('locked');
    expect(await homeOf()).toBe('file');
    expect(await homeOf({ keyHome: 'keyring' })).toBe('the Secret Service is locked');
    await desk.stopKeyring();
    desk.forgetCollections();
    expect(await homeOf()).toBe('file');
    await desk.startKeyring('locked');
    expect(await homeOf()).toBe('file');
    await desk.stopBus();
    expect(await homeOf()).toBe('file');
    expect(await homeOf({}, { env: {} })).toBe('file');
    expect(desk.prompts).toBe(0);
  });

  it('is a file where there is no busctl to tell whether the keyring is open', async () => {
    const without = { env: { ...desk.env, PATH: '/nowhere' } };
    expect(await homeOf({}, without)).toBe('file');
    expect(await homeOf({ keyHome: 'keyring' }, without)).toMatch(/there is no busctl/);
    expect(await desk.accounts()).toEqual([]);
  });

  it('is where key_home says', async () => {
    expect(await homeOf({ keyHome: 'keyring' })).toBe('keyring');
    expect(await homeOf({ keyHome: 'file' })).toBe('file');
    expect(await homeOf({ keyHome: 'systemd-credential' })).toMatch(/CREDENTIALS_DIRECTORY is not set/);
    expect(await desk.accounts()).toHaveLength(1);
  });

  it('stays the file that is there, if only the database was lost', async () => {
    const folder = temporaryFolder();
    (await openAt(desk, folder, { keyHome: 'file' })).close();
    rmSync(join(folder, 'cache.db'));
    expect((await open(folder)).health().keyHome).toBe('file');
    expect(existsSync(join(folder, 'kek'))).toBe(true);
    expect(await desk.accounts()).toEqual([]);
  });
});

it.skipIf(skipped)('the bench itself notices who unlocks: the library alone would have asked somebody', async () => {
  await filled();
  await desk.restartKeyring('locked');
  const read = `new (require('@napi-rs/keyring').Entry)('apikey-broker', '${'0'.repeat(16)}').setPassword('x')`;
  spawnSync(process.execPath, ['-e', read], { env: desk.env, timeout: 1_500 });
  expect(desk.prompts).toBeGreaterThan(0);
});
