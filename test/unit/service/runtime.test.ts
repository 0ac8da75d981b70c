import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MEMORY_ENVIRONMENT } from '../../../src/platform/guard.ts';
import { recordedEnvironment } from '../../../src/service/manager.ts';
import { daemonCommand, runtimeCopy, vanishesWith } from '../../../src/service/runtime.ts';
import { installStableHelper, refreshStableHelper, stableHelper } from '../../../src/service/stable-helper.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-runtime-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function runtime(...place: string[]): string {
  const file = path.join(folder, ...place);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, '#!/bin/sh\necho node\n');
  chmodSync(file, 0o755);
  return file;
}

const command = (execPath: string, more: object = {}) =>
  daemonCommand({ execPath, stateDir: path.join(folder, 'state'), copyRuntime: false, dryRun: false, ...more });

test.each([
  ['/home/u/.nvm/versions/node/v24.1.0/bin/node', 'nvm'],
  ['/home/u/.config/nvm/versions/node/v24.1.0/bin/node', 'nvm'],
  ['/home/u/.asdf/installs/nodejs/24.1.0/bin/node', 'asdf'],
  ['/home/u/.volta/tools/image/node/24.1.0/bin/node', 'volta'],
  ['/home/u/.local/share/mise/installs/node/24.1.0/bin/node', 'mise'],
  ['/home/u/.local/share/fnm/node-versions/v24.1.0/installation/bin/node', 'fnm'],
  ['/opt/homebrew/Cellar/node/24.1.0/bin/node', 'Homebrew'],
  ['/nix/store/abc-nodejs-24/bin/node', 'Nix'],
  ['/Users/u/Library/Application Support/fnm/node-versions/v24.1.0/installation/bin/node', 'fnm'],
  ['/home/u/.nodenv/versions/24.1.0/bin/node', 'nodenv'],
  ['/usr/local/n/versions/node/24.1.0/bin/node', 'n'],
  ['/home/u/n/n/versions/node/24.1.0/bin/node', 'n'],
  ['/home/u/.nvs/node/24.1.0/x64/bin/node', 'nvs'],
  ['/home/u/.proto/tools/node/24.1.0/bin/node', 'proto'],
  ['/home/u/.local/share/pnpm/nodejs/24.1.0/bin/node', 'pnpm'],
  ['/home/linuxbrew/.linuxbrew/Cellar/node@22/22.20.0/bin/node', 'Homebrew'],
  ['/snap/node/9876/bin/node', 'snap'],
  ['/gnu/store/abc-node-22/bin/node', 'Guix'],
  ['/home/u/.local/lib/apikey-broker/versions/0.1.0-1a2b3c4d/bin/node', 'install.sh'],
  ['/home/u/.local/lib/apikey-broker/current/bin/node', undefined],
  ['/usr/lib/apikey-broker/bin/node', undefined],
  ['/usr/bin/node', undefined],
  ['/snap/node/current/bin/node', undefined],
  ['/run/current-system/sw/bin/node', undefined],
  ['/usr/local/bin/node', undefined],
])('%s goes with %s', (file, manager) => {
  expect(vanishesWith(file)).toBe(manager);
});

test('a runtime of one version is warned of, and a copy of it is not', () => {
  const node = runtime('.nvm', 'versions', 'node', 'v24', 'bin', 'node');
  const first = command(node);
  expect(first.node).toBe(node);
  expect(first.warnings.join()).toMatch(/nvm will remove.*--copy-runtime/);

  const copied = command(node, { copyRuntime: true });
  expect(copied.node).toBe(runtimeCopy(path.join(folder, 'state')));
  expect(copied.warnings.join()).not.toMatch(/nvm/);
  expect(readFileSync(copied.node, 'utf8')).toContain('echo node');
  expect(statSync(copied.node).mode & 0o777).toBe(0o700);
  // Once there is a copy it is used, and an upgrade renews it.
  expect(command(runtime('usr', 'node')).node).toBe(copied.node);
});

test('a dry run copies nothing', () => {
  const { node } = command(runtime('usr', 'node'), { copyRuntime: true, dryRun: true });
  expect(statSync(node, { throwIfNoEntry: false })).toBeUndefined();
});

test("Homebrew's link beside its versions is used instead of the version", () => {
  const node = runtime('Cellar', 'node', '24.1.0', 'bin', 'node');
  mkdirSync(path.join(folder, 'opt'));
  symlinkSync('../Cellar/node/24.1.0', path.join(folder, 'opt', 'node'));
  expect(command(node).node).toBe(path.join(folder, 'opt', 'node', 'bin', 'node'));
});

test('a link on PATH that outlives versions is used instead of the version', () => {
  const node = runtime('.nvm', 'versions', 'node', 'v24', 'bin', 'node');
  const profile = path.join(folder, 'profile', 'bin');
  mkdirSync(profile, { recursive: true });
  symlinkSync(node, path.join(profile, 'node'));
  const { node: used, warnings } = command(node, { searched: `relative:/nonexistent:${profile}` });
  expect(used).toBe(path.join(profile, 'node'));
  expect(warnings.join()).not.toContain('nvm');
  // Another one there is another runtime.
  rmSync(path.join(profile, 'node'));
  runtime('profile', 'bin', 'node');
  expect(command(node, { searched: profile }).node).toBe(node);
});

test.each([
  '/opt/homebrew/opt/libuv/lib/libuv.1.dylib',
  '/usr/local/opt/icu4c@77/lib/libicui18n.77.dylib',
  '/nix/store/abc-glibc-2.40/lib/ld-linux-x86-64.so.2',
])('a runtime that needs %s, which goes with an upgrade, is not copied', (library) => {
  const node = runtime('opt', 'bin', 'node');
  writeFileSync(node, `#!/bin/sh\necho node\n# \0${library}\0`);
  expect(() => command(node, { copyRuntime: true })).toThrow(/would end with the next upgrade/);
  writeFileSync(node, '#!/bin/sh\necho node\n# \0/usr/lib/libSystem.B.dylib\0');
  expect(() => command(node, { copyRuntime: true })).not.toThrow();
});

test('a runtime whose copy does not run is not copied', () => {
  const node = runtime('conda', 'bin', 'node');
  writeFileSync(
    node,
    '#!/bin/sh\ncase $0 in */conda/bin/node) echo v24 ;; *) echo "cannot find libnode.so" >&2; exit 127 ;; esac\n',
  );
  expect(() => command(node, { copyRuntime: true })).toThrow(/does not run: cannot find libnode.so/);
  expect(statSync(runtimeCopy(path.join(folder, 'state')), { throwIfNoEntry: false })).toBeUndefined();
});

test('what an installed daemon keeps of the environment', () => {
  const env = {
    PATH: '/home/u/bin:relative:/project/node_modules/.bin:/usr/bin:/usr/bin:/tmp/x',
    BROKER_CONFIG: '/home/u/c.toml',
    XDG_CONFIG_HOME: 'relative',
    VAULT_ADDR: 'https://v',
    NODE_OPTIONS: '--inspect',
  };
  expect(recordedEnvironment({ env })).toEqual({
    PATH: '/home/u/bin:/usr/bin:/usr/local/bin:/bin',
    ...MEMORY_ENVIRONMENT,
    BROKER_CONFIG: '/home/u/c.toml',
  });
});

test('the helper stays at one place, and follows upgrades once it is there', () => {
  const state = path.join(folder, 'state');
  const uid = process.getuid?.() ?? 0;
  refreshStableHelper(state, uid);
  expect(statSync(state, { throwIfNoEntry: false })).toBeUndefined();

  const place = installStableHelper(state, uid);
  if (place !== stableHelper(state)) return; // There is no native helper here.
  const original = readFileSync(place);
  expect(statSync(place).mode & 0o777).toBe(0o700);
  writeFileSync(place, 'an old one');
  refreshStableHelper(state, uid);
  expect(readFileSync(place).equals(original)).toBe(true);
});
