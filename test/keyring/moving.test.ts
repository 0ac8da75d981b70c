import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import type { KeyHome } from '../../src/protocol/reports.ts';
import { served, store, temporaryFolder } from '../fakes/cache.ts';
import { readStored } from '../fakes/cache-dump.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { login, NOW } from '../fakes/material.ts';
import { Desk, missingPrograms } from './desk.ts';
import { openAt } from './open-at.ts';

const CRASHER = fileURLToPath(new URL('crasher.ts', import.meta.url));
const skipped = missingPrograms();

let desk: Desk;

beforeEach(async () => {
  desk = new Desk();
  if (skipped === undefined) await desk.start();
});

afterEach(async () => {
  await desk[Symbol.asyncDispose]();
});

const kekFiles = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('kek'));

async function filled(keyHome: KeyHome): Promise<string> {
  const folder = temporaryFolder();
  const cache = await openAt(desk, folder, { keyHome });
  store(cache, 'a', 'sk-a');
  cache.saveLogin('p', 'f', login('1'), SecretBytes.fromString('hvs.token'));
  cache.close();
  return folder;
}

async function open(folder: string, options: Parameters<typeof openAt>[2] = {}) {
  const cache = await openAt(desk, folder, options);
  onTestFinished(() => cache.close());
  return cache;
}

function expectEverything(cache: SqliteCache): void {
  expect(cache.health()).toMatchObject({ persistent: true });
  expect(served(cache, 'a')).toBe('sk-a');
  expect(cache.logins('p', 'f').map(({ token }) => token.reveal())).toEqual(['hvs.token']);
}

/** The one key there is, and nothing of any other. */
async function expectOneKey(cache: SqliteCache, folder: string, home: KeyHome): Promise<void> {
  expect(cache.health().keyHome).toBe(home);
  expect(kekFiles(folder)).toEqual(home === 'file' ? ['kek'] : []);
  expect(await desk.accounts()).toHaveLength(home === 'keyring' ? 1 : 0);
}

describe.skipIf(skipped)('moving the key', () => {
  it.each([
    ['file', 'keyring'],
    ['keyring', 'keyring'],
    ['keyring', 'file'],
  ] as const)('from %s to %s wraps everything anew and leaves one key', async (from, to) => {
    const folder = await filled(from);
    const cache = await open(folder);
    const before = await desk.accounts();
    const rotation = await cache.rotateKey({ to });
    expect(rotation).toMatchObject({ rewrapped: 2, left: null, setAside: null });
    expectEverything(cache);
    await expectOneKey(cache, folder, to);
    expect(await desk.accounts()).not.toEqual(before.length > 0 ? before : undefined);
    if (to === 'keyring') expect(await desk.accounts()).toEqual([rotation.keyId]);
    cache.close();
    expect(notesOfUnusedKeys(folder)).toBe(0);
    const log = new CollectingLog();
    expectEverything(await open(folder, { log }));
    expect(log.lines).toEqual([]);
  });

  it.each([
    ['file', 'keyring', 'before keyring add', 'file'],
    ['file', 'keyring', 'after keyring add', 'file'],
    ['file', 'keyring', 'before file remove', 'keyring'],
    ['keyring', 'keyring', 'after keyring add', 'keyring'],
    ['keyring', 'keyring', 'before keyring remove', 'keyring'],
    ['keyring', 'file', 'after file add', 'keyring'],
    ['keyring', 'file', 'before keyring remove', 'file'],
    ['keyring', 'file', 'after keyring remove', 'file'],
  ] as const)('from %s to %s survives kill -9 %s, with one key in the %s', async (from, to, moment, home) => {
    const folder = await filled(from);
    await crash(folder, to, moment);
    const log = new CollectingLog();
    const cache = await open(folder, { log });
    expectEverything(cache);
    await cache.reach();
    expect(log.lines).toEqual([]);
    await expectOneKey(cache, folder, home);
    expect(notesOfUnusedKeys(folder)).toBe(0);
  });

  it('to a keyring that is locked changes nothing and says so', async () => {
    const folder = await filled('file');
    await desk.restartKeyring('locked');
    const kek = readFileSync(join(folder, 'kek'));
    const cache = await open(folder);
    await expect(cache.rotateKey({ to: 'keyring' })).rejects.toMatchObject({
      message: 'cannot keep a key in the keyring: the Secret Service is locked',
      remedy: expect.stringMatching(/^Unlock it/),
    });
    expectEverything(cache);
    expect(readFileSync(join(folder, 'kek'))).toEqual(kek);
    expect(cache.health().keyHome).toBe('file');
    expect(desk.prompts).toBe(0);
  });

  it('to a keyring that dies in the midst of it changes nothing either', async () => {
    const folder = await filled('file');
    const cache = await open(folder);
    desk.freezeKeyring();
    // When it dies decides whether it failed, did not answer or was not there any more.
    const moved = expect(cache.rotateKey({ to: 'keyring' })).rejects.toThrow(/^cannot keep a key in the keyring: /);
    await desk.stopKeyring();
    await moved;
    expectEverything(cache);
    await desk.startKeyring('unlocked');
    await cache.reach();
    await expectOneKey(cache, folder, 'file');
    expect(notesOfUnusedKeys(folder)).toBe(0);
    expect((await cache.rotateKey({ to: 'keyring' })).left).toBeNull();
    expectEverything(cache);
  });

  it('out of a keyring that has been locked meanwhile leaves the old item until it can be removed', async () => {
    const folder = await filled('keyring');
    let now = NOW;
    const cache = await open(folder, { wallMs: () => now });
    await desk.restartKeyring('locked');
    expect((await cache.rotateKey({ to: 'file' })).left).toMatch(/the Secret Service is locked/);
    expectEverything(cache);
    expect([cache.health().keyHome, notesOfUnusedKeys(folder)]).toEqual(['file', 1]);
    await desk.restartKeyring('unlocked');
    expect(await desk.accounts()).toHaveLength(1);
    now += 600_000;
    await cache.reach();
    await expectOneKey(cache, folder, 'file');
    expect(notesOfUnusedKeys(folder)).toBe(0);
    expectEverything(cache);
  });

  it('while answers go on: what is stored meanwhile is wrapped with the new key, too', async () => {
    const folder = await filled('file');
    const cache = await open(folder);
    const rotated = cache.rotateKey({ to: 'keyring' });
    store(cache, 'b', 'sk-b');
    await rotated;
    store(cache, 'c', 'sk-c');
    cache.close();
    const next = await open(folder);
    expect(['a', 'b', 'c'].map((name) => served(next, name))).toEqual(['sk-a', 'sk-b', 'sk-c']);
  });

  it('is refused by a cache that was closed meanwhile, and the new item does not stay', async () => {
    const folder = await filled('file');
    const cache = await openAt(desk, folder);
    const rotated = cache.rotateKey({ to: 'keyring' });
    cache.close();
    await expect(rotated).rejects.toThrow(/closed/);
    const next = await open(folder);
    expectEverything(next);
    await next.reach();
    await expectOneKey(next, folder, 'file');
  });
});

describe.skipIf(skipped)('giving up a key in the keyring', () => {
  it('sets aside what it sealed and begins anew where a key can be kept: a file while the keyring is locked', async () => {
    const folder = await filled('keyring');
    const before = readFileSync(join(folder, 'cache.db'));
    await desk.restartKeyring('locked');
    const cache = await open(folder);
    store(cache, 'b', 'sk-b');
    const rotation = await cache.rotateKey({ discard: true });
    expect(rotation.home).toContain(join(folder, 'kek'));
    expect(readFileSync(rotation.setAside ?? '')).toEqual(before);
    expect([served(cache, 'a'), served(cache, 'b')]).toEqual([undefined, 'sk-b']);
    await desk.restartKeyring('unlocked');
    // Nothing is destroyed: with its item the database set aside could still be read.
    expect(await desk.accounts()).toHaveLength(1);
  });

  it('is refused, with nothing set aside, if the new one is to be in the same locked keyring', async () => {
    const folder = await filled('keyring');
    await desk.restartKeyring('locked');
    const cache = await open(folder);
    const files = readdirSync(folder).sort();
    await expect(cache.rotateKey({ discard: true, to: 'keyring' })).rejects.toThrow('the Secret Service is locked');
    expect(readdirSync(folder).sort()).toEqual(files);
    expect(existsSync(join(folder, 'cache.db'))).toBe(true);
  });

  it('makes no item where the service has a credential for the new one', async () => {
    const folder = await filled('keyring');
    await desk.restartKeyring('locked');
    const credentialsDir = temporaryFolder();
    writeFileSync(join(credentialsDir, 'broker-kek'), Buffer.alloc(32, 5), { mode: 0o400 });
    const cache = await open(folder, { credentialsDir });
    expect((await cache.rotateKey({ discard: true })).home).toBe('systemd credential broker-kek');
    await desk.restartKeyring('unlocked');
    expect(await desk.accounts()).toHaveLength(1);
  });

  it('is refused, with nothing set aside, if the credential that is to be the new one is not there', async () => {
    const folder = await filled('keyring');
    await desk.restartKeyring('locked');
    const cache = await open(folder, { credentialsDir: temporaryFolder() });
    const files = readdirSync(folder).sort();
    await expect(cache.rotateKey({ discard: true, to: 'systemd-credential' })).rejects.toThrow(/was not handed/);
    expect(readdirSync(folder).sort()).toEqual(files);
  });

  it('does not happen if the keyring has been unlocked since anybody looked', async () => {
    const folder = await filled('keyring');
    await desk.restartKeyring('locked');
    const cache = await open(folder);
    await desk.restartKeyring('unlocked');
    expect(await cache.rotateKey({ discard: true, to: 'file' })).toMatchObject({ setAside: null, rewrapped: 2 });
    expectEverything(cache);
    await expectOneKey(cache, folder, 'file');
  });

  it('of a key that is lost for good makes another item', async () => {
    const folder = await filled('keyring');
    await desk.stopKeyring();
    desk.forgetCollections();
    await desk.startKeyring('unlocked');
    const cache = await open(folder);
    expect(cache.health().problem).toMatch(/is not in it/);
    const rotation = await cache.rotateKey({ discard: true });
    expect(await desk.accounts()).toEqual([rotation.keyId]);
    store(cache, 'a', 'sk-a2');
    cache.close();
    expect(served(await open(folder), 'a')).toBe('sk-a2');
  });
});

function notesOfUnusedKeys(folder: string): unknown {
  return readStored(folder, (database) => database.prepare('SELECT count(*) FROM keks WHERE seals = 0').pluck().get());
}

async function crash(folder: string, to: string, moment: string): Promise<void> {
  const child = spawn(process.execPath, [CRASHER, folder, to, moment], {
    env: desk.env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    words += chunk;
  });
  const signal = await new Promise((resolve) => child.once('close', (_, ended) => resolve(ended)));
  expect([words, signal]).toEqual(['', 'SIGKILL']);
}
