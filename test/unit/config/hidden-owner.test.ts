import { expect, test } from 'vitest';
import { hiddenOwners, isPlaceOfRoot } from '../../../src/config/safe-file.ts';

const proc =
  (uidMap: string, overflow = '65534\n') =>
  (file: string) =>
    file.endsWith('uid_map') ? uidMap : overflow;

test.each([
  ['an ordinary process', '         0          0 4294967295\n', undefined],
  ['a container with a root of its own', '0 100000 65536\n', undefined],
  ['root and the user alone, as systemd makes it for services of the system', '0 0 1\n1000 1000 1\n', undefined],
  [
    'the user alone, as systemd makes it for services of users',
    '      1000       1000          1\n',
    { nobody: 65534 },
  ],
])('%s', (_, uidMap, expected) => {
  expect(hiddenOwners(proc(uidMap))).toEqual(expected);
});

test('without /proc nothing is hidden', () => {
  const failing = () => {
    throw new Error('ENOENT');
  };
  expect(hiddenOwners(failing)).toBeUndefined();
});

test.each([
  ['/etc/broker/config.toml', true],
  ['/etc/broker', true],
  ['/etc', true],
  ['/nix/store/abc-home-manager-files/.config/broker/config.toml', true],
  ['/nix/store', true],
  ['/gnu/store/abc-config.toml', true],
  ['/nix/storehouse/config.toml', false],
  ['/etcetera/config.toml', false],
  ['/home/mallory/etc/config.toml', false],
  ['/srv/config.toml', false],
  ['/', false],
])('root alone fills %s: %s', (place, expected) => {
  expect(isPlaceOfRoot(place)).toBe(expected);
});
