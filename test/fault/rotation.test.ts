import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { SqliteCache } from '../../src/cache/sqlite-cache.ts';
import { SecretBytes } from '../../src/credential/secret.ts';
import { openTestCache, served, store, temporaryFolder } from '../fakes/cache.ts';
import { readStored } from '../fakes/cache-dump.ts';
import { CollectingLog } from '../fakes/collecting-log.ts';
import { login } from '../fakes/material.ts';

const CRASHER = fileURLToPath(new URL('rotation-crasher.ts', import.meta.url));

async function filled(folder: string, credentialsDir?: string) {
  const cache = await openTestCache(folder, { credentialsDir });
  store(cache, 'a', 'sk-a');
  store(cache, 'b', 'sk-b');
  cache.saveLogin('p', 'f', login('1'), SecretBytes.fromString('hvs.token'));
  return cache;
}

const expectEverything = (cache: SqliteCache) => {
  expect([served(cache, 'a'), served(cache, 'b')]).toEqual(['sk-a', 'sk-b']);
  expect(cache.logins('p', 'f').map(({ token }) => token.reveal())).toEqual(['hvs.token']);
  for (const key of cache.keys()) expect(cache.digest(cache.open(key.credential) ?? new Map())).toBe(key.digest);
};

describe('rotating the key', () => {
  it('wraps everything anew: the old key opens nothing, no wrapped key of old is left in any file', async () => {
    const folder = temporaryFolder();
    const cache = await filled(folder);
    const oldKek = readFileSync(join(folder, 'kek'));
    const oldWraps = readStored(folder, (database) =>
      database.prepare<[], { sealed: Buffer }>('SELECT sealed FROM records').all(),
    );

    const rotation = await cache.rotateKey();
    expect(rotation).toMatchObject({ rewrapped: 3, setAside: null });
    expect(readFileSync(join(folder, 'kek'))).not.toEqual(oldKek);
    expectEverything(cache);
    for (const name of readdirSync(folder)) {
      const bytes = readFileSync(join(folder, name));
      for (const { sealed } of oldWraps) expect(bytes.includes(sealed.subarray(0, 69))).toBe(false);
    }
    cache.close();
    expectEverything(await openTestCache(folder));
    expect(readFileSync(join(folder, 'kek'))).toHaveLength(32);
  });

  it.each(['before add', 'after add', 'before remove', 'after remove'])('survives kill -9 %s', async (moment) => {
    const folder = temporaryFolder();
    (await filled(folder)).close();
    const child = spawnSync(process.execPath, [CRASHER, folder, moment], { encoding: 'utf8' });
    expect([child.signal, child.stderr]).toEqual(['SIGKILL', '']);
    const log = new CollectingLog();
    const cache = await openTestCache(folder, { log });
    expect(log.lines).toEqual([]);
    expectEverything(cache);
    await cache.reach();
    expect(readFileSync(join(folder, 'kek'))).toHaveLength(32);
    expect((await cache.rotateKey()).rewrapped).toBe(3);
    expectEverything(cache);
  });

  it('moves the key from the file to a systemd credential', async () => {
    const folder = temporaryFolder();
    (await filled(folder)).close();
    const credentialsDir = join(temporaryFolder(), 'credentials');
    mkdirSync(credentialsDir, { mode: 0o500 });
    writeFileSync(join(credentialsDir, 'broker-kek'), Buffer.alloc(32, 5), { mode: 0o400 });

    const cache = await openTestCache(folder, { credentialsDir });
    expect(cache.health().keyEncryptionKeyHome).toContain('file');
    expect((await cache.rotateKey({ to: 'systemd-credential' })).home).toBe('systemd credential broker-kek');
    cache.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('kek'))).toEqual([]);
    const moved = await openTestCache(folder, { credentialsDir });
    expectEverything(moved);
    moved.close();

    const without = await openTestCache(folder);
    expect(without.health()).toMatchObject({
      persistent: false,
      problem: expect.stringContaining('CREDENTIALS_DIRECTORY'),
    });
    expect(readdirSync(folder).filter((name) => name.startsWith('kek'))).toEqual([]);
  });

  it('says what is missing when the home cannot hold a new key by itself', async () => {
    const folder = temporaryFolder();
    const cache = await filled(folder);
    await expect(cache.rotateKey({ to: 'systemd-credential' })).rejects.toThrow(/no new key in systemd credential/);
    expectEverything(cache);
  });

  it('with --discard and a key that is not lost is a plain rotation', async () => {
    const cache = await filled(temporaryFolder());
    expect((await cache.rotateKey({ discard: true })).setAside).toBeNull();
    expectEverything(cache);
  });
});
