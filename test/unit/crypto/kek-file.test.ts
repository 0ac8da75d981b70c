import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KeyEncryptionKey } from '../../../src/crypto/envelope.ts';
import { KekFile } from '../../../src/crypto/kek-file.ts';
import { findRecordedKek, newKek } from '../../../src/crypto/kek-store.ts';
import { KekSystemdCredential } from '../../../src/crypto/kek-systemd-credential.ts';
import { temporaryFolder } from '../../fakes/cache.ts';

async function createdIn(folder: string) {
  const home = new KekFile(folder);
  const kek = KeyEncryptionKey.ephemeral();
  expect(await home.add(kek)).toBeUndefined();
  return { home, kek, path: join(folder, 'kek') };
}

describe('the key file', () => {
  it('is created 0600 under any umask, with 32 random bytes, and read back as the same key', async () => {
    const before = process.umask(0);
    try {
      const { home, kek, path } = await createdIn(temporaryFolder());
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readFileSync(path)).toHaveLength(32);
      const reading = await home.find(kek.id);
      expect(reading.state === 'reachable' && reading.kek.id).toBe(kek.id);
    } finally {
      process.umask(before);
    }
  });

  it('never shows its bytes in its id', async () => {
    const { kek, path } = await createdIn(temporaryFolder());
    expect(readFileSync(path).toString('hex')).not.toContain(kek.id);
    expect(kek.id).toMatch(/^[0-9a-f]{16}$/);
  });

  it.each([0o640, 0o604, 0o620, 0o660, 0o644])('is refused with mode %o, and says how to fix it', async (mode) => {
    const { home, kek, path } = await createdIn(temporaryFolder());
    chmodSync(path, mode);
    expect(await home.find(kek.id)).toMatchObject({
      state: 'unreachable',
      remedy: expect.stringContaining(`chmod 600 ${path}`),
    });
    chmodSync(path, 0o600);
    expect((await home.find(kek.id)).state).toBe('reachable');
  });

  it('is refused as a symbolic link', async () => {
    const { home, kek, path } = await createdIn(temporaryFolder());
    renameSync(path, `${path}.real`);
    symlinkSync(`${path}.real`, path);
    const reading = await home.find(kek.id);
    expect(reading).toMatchObject({ state: 'unreachable', reason: `${path} is a symbolic link` });
    expect('remedy' in reading && reading.remedy).toContain('readlink -f');
    rmSync(path);
    symlinkSync('/dev/zero', path);
    expect(await home.find(kek.id)).toMatchObject({ remedy: `remove it: rm ${path}` });
  });

  it.skipIf(process.getuid?.() !== 0)('is refused with a foreign owner', async () => {
    const { home, kek, path } = await createdIn(temporaryFolder());
    chownSync(path, 12_345, 0);
    const reading = await home.find(kek.id);
    expect(reading).toMatchObject({ state: 'unreachable', reason: expect.stringContaining('belongs to uid 12345') });
    expect('remedy' in reading && reading.remedy).toContain(`sudo chown 0 ${path}`);
  });

  it.each([0, 31, 33, 100_000])('is refused with %i bytes', async (size) => {
    const { home, kek, path } = await createdIn(temporaryFolder());
    writeFileSync(path, Buffer.alloc(size, 1));
    expect(await home.find(kek.id)).toMatchObject({
      state: 'unreachable',
      reason: expect.stringContaining('exactly 32'),
    });
  });

  it('that is gone is missing, not unreachable', async () => {
    expect((await new KekFile(temporaryFolder()).find('x')).state).toBe('missing');
  });

  it('is told from the wrong key', async () => {
    const { home, kek } = await createdIn(temporaryFolder());
    expect((await findRecordedKek([home], { home: 'file', id: kek.id })).state).toBe('reachable');
    const wrong = await findRecordedKek([home], { home: 'file', id: '0000000000000000' });
    expect(wrong).toMatchObject({ state: 'missing', reason: expect.stringContaining('not the one that sealed') });
  });

  it('recorded in a home that nobody knows is unreachable', async () => {
    const { home } = await createdIn(temporaryFolder());
    const found = await findRecordedKek([home], { home: 'keychain', id: 'x' });
    expect(found).toMatchObject({ state: 'unreachable', reason: expect.stringContaining('"keychain"') });
  });

  it('holds two keys while one takes the place of the other, and loses neither before it is told to', async () => {
    const { home, kek, path } = await createdIn(temporaryFolder());
    const next = KeyEncryptionKey.ephemeral();
    expect(await home.add(next)).toBeUndefined();
    for (const { id } of [kek, next]) expect(await home.find(id)).toMatchObject({ state: 'reachable', kek: { id } });
    expect(await home.remove(kek.id)).toBeUndefined();
    expect((await home.find(kek.id)).state).toBe('missing');
    expect(await home.find(next.id)).toMatchObject({ state: 'reachable', kek: { id: next.id } });
    expect([readFileSync(path).length, statSync(path).mode & 0o777]).toEqual([32, 0o600]);
    expect(await home.remove(next.id)).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });

  it('leaves no copy that a crash in the middle of a write made', async () => {
    const folder = temporaryFolder();
    const { home, kek } = await createdIn(folder);
    writeFileSync(join(folder, '.kek.12345.broker-tmp'), Buffer.alloc(64, 1), { mode: 0o600 });
    expect((await home.find(kek.id)).state).toBe('reachable');
    expect(readdirSync(folder)).toEqual(['kek']);
  });

  it('that is given up is moved out of the way, whatever it is', async () => {
    const folder = temporaryFolder();
    const { home, path } = await createdIn(folder);
    writeFileSync(path, 'short');
    const kek = KeyEncryptionKey.ephemeral();
    expect(await home.add(kek)).toMatchObject({ reason: expect.stringContaining('exactly 32') });
    expect(await home.add(kek, { setAside: 'discarded-1' })).toBeUndefined();
    expect(readFileSync(`${path}.discarded-1`, 'utf8')).toBe('short');
    expect(await home.find(kek.id)).toMatchObject({ state: 'reachable' });
  });
});

describe('the systemd credential', () => {
  const credentials = () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'broker-kek'), Buffer.alloc(32, 7), { mode: 0o440 });
    return folder;
  };

  it('is preferred where systemd handed one over, else the file is', async () => {
    const state = temporaryFolder();
    const withCredential = await newKek([new KekSystemdCredential(credentials()), new KekFile(state)]);
    expect(withCredential).toMatchObject({ state: 'reachable', home: { kind: 'systemd-credential' } });
    expect(existsSync(join(state, 'kek'))).toBe(false);
    for (const folder of [undefined, temporaryFolder()]) {
      const without = await newKek([new KekSystemdCredential(folder), new KekFile(state)]);
      expect(without).toMatchObject({ state: 'reachable', home: { kind: 'file' } });
    }
  });

  it('that is damaged is not bypassed by making another key elsewhere', async () => {
    const folder = credentials();
    chmodSync(join(folder, 'broker-kek'), 0o600);
    writeFileSync(join(folder, 'broker-kek'), 'short');
    const state = temporaryFolder();
    expect((await newKek([new KekSystemdCredential(folder), new KekFile(state)])).state).toBe('unreachable');
    expect(existsSync(join(state, 'kek'))).toBe(false);
  });

  it('has a next one for a rotation, which is found like the first, and the first is not a new one any more', async () => {
    const folder = credentials();
    const store = new KekSystemdCredential(folder);
    const first = await store.spare();
    const id = first.state === 'reachable' ? first.kek.id : '';
    expect(await store.spare(id)).toMatchObject({
      state: 'missing',
      reason: expect.stringContaining('broker-kek.next'),
    });
    writeFileSync(join(folder, 'broker-kek.next'), Buffer.alloc(32, 8), { mode: 0o440 });
    const next = await store.spare(id);
    const nextId = next.state === 'reachable' ? next.kek.id : '';
    for (const each of [id, nextId])
      expect(await store.find(each)).toMatchObject({ state: 'reachable', kek: { id: each } });
    expect((await store.spare(nextId)).state).toBe('missing');
  });

  it('is unreachable, not gone, when the daemon was started without it', async () => {
    const found = await findRecordedKek([new KekSystemdCredential(undefined)], { home: 'systemd-credential', id: 'x' });
    expect(found.state).toBe('unreachable');
  });
});
