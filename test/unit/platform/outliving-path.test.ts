import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { outlivingPath } from '../../../src/platform/native.ts';

let lib: string;
const version = (name: string) => path.join(lib, 'versions', name);

beforeEach(() => {
  lib = realpathSync(mkdtempSync(path.join(tmpdir(), 'broker-outliving-')));
  for (const name of ['0.1.0-a', '0.2.0-b']) mkdirSync(version(name), { recursive: true });
});

afterEach(() => rmSync(lib, { recursive: true }));

test('what install.sh put into a folder of its version is named through the link to the newest', () => {
  symlinkSync('versions/0.2.0-b', path.join(lib, 'current'));
  expect(outlivingPath(version('0.2.0-b'))).toBe(path.join(lib, 'current'));
});

test('a version that is not the newest any more, or has no such link, is named as it is', () => {
  expect(outlivingPath(version('0.1.0-a'))).toBe(version('0.1.0-a'));
  symlinkSync('versions/0.2.0-b', path.join(lib, 'current'));
  expect(outlivingPath(version('0.1.0-a'))).toBe(version('0.1.0-a'));
  expect(outlivingPath('/usr/lib/node_modules/apikey-broker')).toBe('/usr/lib/node_modules/apikey-broker');
});
