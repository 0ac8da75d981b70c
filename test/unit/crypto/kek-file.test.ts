import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { KekFile } from '../../../src/crypto/kek-file.ts';
import { findOrCreateKek, findRecordedKek } from '../../../src/crypto/kek-locator.ts';
import { KekSystemdCredential } from '../../../src/crypto/kek-systemd-credential.ts';
import { temporaryFolder } from '../../fakes/cache.ts';

function createdIn(folder: string) {
  const home = new KekFile(folder);
  return { home, kek: home.writer.create('current'), path: join(folder, 'kek') };
}

describe('the key file', () => {
  it('is created 0600 under any umask, with 32 random bytes, and read back as the same key', () => {
    const before = process.umask(0);
    try {
      const { home, kek, path } = createdIn(temporaryFolder());
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readFileSync(path)).toHaveLength(32);
      const reading = home.read('current');
      expect(reading.state === 'reachable' && reading.kek.id).toBe(kek.id);
      expect(() => home.writer.create('current')).toThrow(/exists/);
    } finally {
      process.umask(before);
    }
  });

  it('never shows its bytes in its id', () => {
    const { kek, path } = createdIn(temporaryFolder());
    expect(readFileSync(path).toString('hex')).not.toContain(kek.id);
    expect(kek.id).toMatch(/^[0-9a-f]{16}$/);
  });

  it.each([0o640, 0o604, 0o620, 0o660, 0o644])('is refused with mode %o, and says how to mend it', (mode) => {
    const { home, path } = createdIn(temporaryFolder());
    chmodSync(path, mode);
    expect(home.read('current')).toMatchObject({ state: 'unreachable', remedy: `Run: chmod 600 ${path}` });
    chmodSync(path, 0o600);
    expect(home.read('current').state).toBe('reachable');
  });

  it('is refused as a symbolic link', () => {
    const { home, path } = createdIn(temporaryFolder());
    renameSync(path, `${path}.real`);
    symlinkSync(`${path}.real`, path);
    const reading = home.read('current');
    expect(reading).toMatchObject({ state: 'unreachable', reason: `${path} is a symbolic link` });
    expect('remedy' in reading && reading.remedy).toContain('readlink -f');
  });

  it.skipIf(process.getuid?.() !== 0)('is refused with a foreign owner', () => {
    const { home, path } = createdIn(temporaryFolder());
    chownSync(path, 12_345, 0);
    const reading = home.read('current');
    expect(reading).toMatchObject({ state: 'unreachable', reason: expect.stringContaining('belongs to user 12345') });
    expect('remedy' in reading && reading.remedy).toContain(`sudo chown 0 ${path}`);
  });

  it.each([0, 31, 33, 100_000])('is refused with %i bytes', (size) => {
    const { home, path } = createdIn(temporaryFolder());
    writeFileSync(path, Buffer.alloc(size, 1));
    expect(home.read('current')).toMatchObject({ state: 'unreachable', reason: expect.stringContaining('exactly 32') });
  });

  it('that is gone is missing, not unreachable', () => {
    expect(new KekFile(temporaryFolder()).read('current').state).toBe('missing');
  });

  it('is told from the wrong key', () => {
    const { home, kek } = createdIn(temporaryFolder());
    expect(findRecordedKek([home], { home: 'file', id: kek.id }).state).toBe('reachable');
    const wrong = findRecordedKek([home], { home: 'file', id: '0000000000000000' });
    expect(wrong).toMatchObject({ state: 'missing', reason: expect.stringContaining('not the one that sealed') });
  });

  it('recorded in a home that nobody knows is unreachable', () => {
    const found = findRecordedKek([createdIn(temporaryFolder()).home], { home: 'keychain', id: 'x' });
    expect(found).toMatchObject({ state: 'unreachable', reason: expect.stringContaining('"keychain"') });
  });

  it('left over from a rotation that never committed is removed, one that did takes its place', () => {
    const folder = temporaryFolder();
    const { home, kek, path } = createdIn(folder);
    home.writer.create('next');
    writeFileSync(`${path}.next.part`, 'half a key');
    expect(findRecordedKek([home], { home: 'file', id: kek.id }).state).toBe('reachable');
    expect(readdirSync(folder)).toEqual(['kek']);

    const next = home.writer.create('next');
    expect(findRecordedKek([home], { home: 'file', id: next.id }).state).toBe('reachable');
    expect(existsSync(`${path}.next`)).toBe(false);
    const current = home.read('current');
    expect(current.state === 'reachable' && current.kek.id).toBe(next.id);
  });
});

describe('the systemd credential', () => {
  const credentials = () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'broker-kek'), Buffer.alloc(32, 7), { mode: 0o440 });
    return folder;
  };

  it('is preferred where systemd handed one over, else the file is', () => {
    const state = temporaryFolder();
    const withCredential = findOrCreateKek([new KekSystemdCredential(credentials()), new KekFile(state)]);
    expect(withCredential).toMatchObject({ state: 'reachable', home: { kind: 'systemd-credential' } });
    expect(existsSync(join(state, 'kek'))).toBe(false);
    for (const folder of [undefined, temporaryFolder()]) {
      const without = findOrCreateKek([new KekSystemdCredential(folder), new KekFile(state)]);
      expect(without).toMatchObject({ state: 'reachable', home: { kind: 'file' } });
    }
  });

  it('that is damaged is not bypassed by making another key elsewhere', () => {
    const folder = credentials();
    chmodSync(join(folder, 'broker-kek'), 0o600);
    writeFileSync(join(folder, 'broker-kek'), 'short');
    const state = temporaryFolder();
    expect(findOrCreateKek([new KekSystemdCredential(folder), new KekFile(state)]).state).toBe('unreachable');
    expect(existsSync(join(state, 'kek'))).toBe(false);
  });

  it('is unreachable, not gone, when the daemon was started without it', () => {
    const found = findRecordedKek([new KekSystemdCredential(undefined)], { home: 'systemd-credential', id: 'x' });
    expect(found.state).toBe('unreachable');
  });
});
