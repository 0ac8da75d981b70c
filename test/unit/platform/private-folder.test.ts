import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ensurePrivateFolder } from '../../../src/platform/place-rules.ts';

let base: string;
const uid = process.getuid?.() ?? 0;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'broker-folder-'));
});
afterEach(() => {
  rmSync(base, { recursive: true });
});

it('creates the folder and its missing parents for us alone', () => {
  const path = join(base, 'a', 'b');
  ensurePrivateFolder(path, uid);
  ensurePrivateFolder(path, uid);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(statSync(join(base, 'a')).mode & 0o777).toBe(0o700);
});

it.each([
  [
    'loose',
    () => chmodSync(mkdirSync(join(base, 'x'), { recursive: true }) ?? '', 0o750),
    /mode 0750/,
    /chmod 700 .*\/x$/,
  ],
  ['linked', () => symlinkSync(base, join(base, 'x')), /symbolic link/, /rm .*\/x$/],
  ['of somebody else', () => mkdirSync(join(base, 'x'), { mode: 0o700 }), /belongs to uid \d+/, /chown \d+ .*\/x$/],
])('refuses a %s folder with the command that mends it, and changes nothing', (what, make, message, remedy) => {
  make();
  const us = what === 'of somebody else' ? uid + 1 : uid;
  expect(() => ensurePrivateFolder(join(base, 'x'), us)).toThrow(
    expect.objectContaining({
      code: 'ERR_UNSAFE_FILE',
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    }),
  );
  if (what === 'loose') expect(statSync(join(base, 'x')).mode & 0o777).toBe(0o750);
});

it('reports a file in the way', () => {
  writeFileSync(join(base, 'x'), '');
  expect(() => ensurePrivateFolder(join(base, 'x'), uid)).toThrow(/not a folder|EEXIST/);
});
