import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageCommands } from '../../../src/platform/installation.ts';

test('what put the program there is what puts it there again and takes it away', () => {
  expect(packageCommands('/usr/lib/apikey-broker').remove).toBe('apt remove apikey-broker');
  expect(packageCommands('/usr/lib/node_modules/apikey-broker').remove).toBe('npm uninstall -g apikey-broker');
  const prefix = mkdtempSync(path.join(tmpdir(), 'broker-prefix-'));
  const root = path.join(prefix, 'lib', 'apikey-broker', 'current');
  mkdirSync(root, { recursive: true });
  writeFileSync(path.join(root, 'install.sh'), '');
  expect(packageCommands(root)).toEqual({
    install: `sh install.sh --prefix ${prefix}`,
    remove: `${root}/install.sh --uninstall --prefix ${prefix}`,
  });
  rmSync(prefix, { recursive: true });
});
