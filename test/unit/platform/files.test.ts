import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRegularFile, removeUnfinished, replaceFile } from '../../../src/platform/files.ts';
import { flawOf } from '../../../src/platform/place-rules.ts';

let base: string;
const uid = process.getuid?.() ?? 0;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'broker-files-'));
});
afterEach(() => {
  rmSync(base, { recursive: true });
});

describe('readRegularFile', () => {
  const read = (name: string, followLinks = true) =>
    readRegularFile(join(base, name), { maxBytes: 1_000, followLinks });

  it('reads a file, and one that a link leads to', () => {
    writeFileSync(join(base, 'file'), 'text');
    symlinkSync('file', join(base, 'link'));
    expect(read('file')).toMatchObject({ state: 'read', bytes: Buffer.from('text') });
    expect(read('link')).toMatchObject({ state: 'read', bytes: Buffer.from('text') });
    expect(read('link', false)).toMatchObject({ state: 'refused', why: 'link' });
    expect(read('nothing')).toEqual({ state: 'absent' });
    expect(readRegularFile('/proc/self/stat', { maxBytes: 65_536 })).toMatchObject({ state: 'read' });
  });

  it.each([
    ['a named pipe', (file: string) => execFileSync('mkfifo', [file]), 'is not a regular file'],
    ['a folder', (file: string) => mkdirSync(file), 'is a folder'],
    ['a device', (file: string) => symlinkSync('/dev/zero', file), 'is not a regular file'],
    [
      'a gigabyte',
      (file: string) => {
        writeFileSync(file, '');
        truncateSync(file, 1024 ** 3);
      },
      'is over 1000 bytes',
    ],
    ['a link to itself', (file: string) => symlinkSync(file, file), 'cannot be read (ELOOP)'],
  ])('refuses %s at once', (_, make, fault) => {
    make(join(base, 'x'));
    expect(read('x')).toMatchObject({ state: 'refused', fault });
  });
});

describe('replaceFile', () => {
  it('replaces a link, not what it leads to, and leaves nothing beside it', () => {
    writeFileSync(join(base, 'theirs'), 'theirs');
    symlinkSync('theirs', join(base, 'file'));
    expect(replaceFile(join(base, 'file'), 'new', { mode: 0o600 })).toBe(true);
    expect(lstatSync(join(base, 'file')).isFile()).toBe(true);
    expect(readFileSync(join(base, 'theirs'), 'utf8')).toBe('theirs');
    expect(readdirSync(base).sort()).toEqual(['file', 'theirs']);
  });

  it('changes nothing if it is not wanted any more, or if it fails', () => {
    writeFileSync(join(base, 'file'), 'old');
    expect(replaceFile(join(base, 'file'), 'new', { mode: 0o600, stillWanted: () => false })).toBe(false);
    const prepare = () => {
      throw new Error('no');
    };
    expect(() => replaceFile(join(base, 'file'), 'new', { mode: 0o600, prepare })).toThrow('no');
    expect(readFileSync(join(base, 'file'), 'utf8')).toBe('old');
    expect(readdirSync(base)).toEqual(['file']);
  });
});

it('what processes left that were killed while they replaced a file goes, and nothing else', () => {
  const stays = ['file', 'file.1.broker-tmp', '.file.x.broker-tmp', '.other.1.broker-tmp', '.file.other.1.broker-tmp'];
  for (const name of [...stays, '.file.1.broker-tmp', '.file.23.broker-tmp']) writeFileSync(join(base, name), '');
  removeUnfinished(join(base, 'file'));
  expect(readdirSync(base).sort()).toEqual(stays.sort());
  removeUnfinished(join(base, 'gone', 'file'));
});

describe('flawOf', () => {
  it.runIf(process.platform === 'linux').each(['/tmp', '/var', '/usr/lib'])(
    'nobody is told to make %s their own',
    (folder) => {
      for (const us of [0, 54_321]) {
        const remedy = flawOf(folder, lstatSync(folder), 'private', us)?.remedy;
        expect(remedy).toBe(`name a folder of your own instead, with mode 0700: mkdir -m 700 ${folder}/NAME`);
      }
    },
  );

  it.each([
    ['private', 0o600, uid, undefined],
    ['private', 0o640, uid, /mode 0640: others can reach it/],
    ['private', 0o600, uid + 1, /belongs to uid/],
    ['trusted', 0o644, uid, undefined],
    ['trusted', 0o664, uid, /others can write/],
    ['trusted', 0o644, uid + 1, uid === 0 ? undefined : /belongs to uid/],
  ] as const)('%s, mode %o, for uid %i', (rule, mode, us, reason) => {
    const file = join(base, 'file');
    writeFileSync(file, '');
    chmodSync(file, mode);
    const flaw = flawOf(file, lstatSync(file), rule, us);
    if (reason === undefined) expect(flaw).toBeUndefined();
    else expect(flaw?.reason).toMatch(reason);
  });
});
