import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isInMemory, MemoryFile } from '../../../src/platform/memory-file.ts';
import { hasMemoryFolder, memoryFolder } from '../../fakes/memory-folder.ts';

const uid = process.getuid?.() ?? 0;
let folder: string;

beforeEach(() => {
  folder = hasMemoryFolder ? memoryFolder() : '';
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytes = (text: string) => Buffer.from(text);

describe.skipIf(!hasMemoryFolder)('a file in memory', () => {
  it('is for its owner alone, replaced whole, and makes its folder', () => {
    const file = new MemoryFile(join(folder, 'broker', 'token'), uid);
    expect(file.access()).toBe('absent');
    file.write(bytes('first'));
    const before = statSync(file.path);
    expect(before.mode & 0o7777).toBe(0o600);
    expect(statSync(join(folder, 'broker')).mode & 0o7777).toBe(0o700);
    file.write(bytes('second'));
    expect(statSync(file.path).ino).not.toBe(before.ino);
    expect(readFileSync(file.path, 'utf8')).toBe('second');
    expect(readdirSync(join(folder, 'broker'))).toEqual(['token']);
  });

  it('tells whether it was read since it was written', () => {
    const file = new MemoryFile(join(folder, 'token'), uid);
    file.write(bytes('first'));
    expect([file.access(), file.access()]).toEqual(['unread', 'unread']);
    readFileSync(file.path);
    expect(file.access()).toBe('read');
    file.write(bytes('first'));
    expect(file.access()).toBe('unread');
    rmSync(file.path);
    expect(file.access()).toBe('absent');
  });

  it('is removed, and nothing else is in its place', () => {
    const file = new MemoryFile(join(folder, 'token'), uid);
    file.remove();
    file.write(bytes('x'));
    file.remove();
    expect(existsSync(file.path)).toBe(false);
    mkdirSync(file.path);
    file.remove();
    expect(existsSync(file.path)).toBe(true);
    expect(() => file.write(bytes('x'))).toThrow(/cannot be written|has mode/);
  });

  it('is refused where others can reach it', () => {
    chmodSync(folder, 0o755);
    expect(() => new MemoryFile(join(folder, 'token'), uid).write(bytes('x'))).toThrow(/has mode 0755/);
    chmodSync(folder, 0o700);
    writeFileSync(join(folder, 'token'), 'theirs', { mode: 0o644 });
    chmodSync(join(folder, 'token'), 0o644);
    expect(() => new MemoryFile(join(folder, 'token'), uid).write(bytes('x'))).toThrow(/has mode 0644/);
    expect(readFileSync(join(folder, 'token'), 'utf8')).toBe('theirs');
  });
});

const onDisk = mkdtempSync(join(tmpdir(), 'broker-disk-'));

it.skipIf(isInMemory(onDisk))('a folder on a disk is refused', () => {
  expect(() => new MemoryFile(join(onDisk, 'token'), uid).write(bytes('x'))).toThrow(/is not in memory/);
  expect(readdirSync(onDisk)).toEqual([]);
  rmSync(onDisk, { recursive: true });
});
