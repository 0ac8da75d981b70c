import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { helperPath } from '../../src/platform/native.ts';
import { expectFailure, expectKey, type Outcome, run } from '../native/run-helper.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const HOME = process.env['HOME'] ?? '';
const UNITS = path.join(HOME, '.config', 'systemd', 'user');
const CONFIG = path.join(HOME, '.config', 'broker', 'config.toml');
const env = { HOME, XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? '', PATH: '/usr/local/bin:/usr/bin:/bin' };
const helper = helperPath() ?? '';
const isSandboxed = process.getuid?.() !== 0;

const ask = (): Promise<Outcome> => run(helper, [], env);
const broker = (...args: string[]): Promise<Outcome> =>
  run(process.execPath, [path.join(ROOT, 'bin', 'broker.mjs'), ...args], env);
const systemctl = (...args: string[]): string =>
  execFileSync('systemctl', ['--user', ...args], { env, encoding: 'utf8', stdio: 'pipe' });

/** As Home Manager switches a generation: the new link takes the old one's place. */
function link(target: string, file: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  symlinkSync(target, `${file}.new`);
  renameSync(`${file}.new`, file);
}

beforeAll(() => link('/etc/broker-test/1/config.toml', CONFIG));

afterAll(async () => {
  await broker('service', 'uninstall');
  for (const name of ['.config', '.local', 'store']) rmSync(path.join(HOME, name), { recursive: true, force: true });
  systemctl('daemon-reload');
});

test('a configuration of root below /etc, reached by a link, is read inside the sandbox', async () => {
  const installed = await broker('service', 'install');
  expect(installed, installed.stderr).toMatchObject({ code: 0 });
  expect(systemctl('show', '--value', '--property=PrivateUsers', 'broker.service').trim()).toBe(
    isSandboxed ? 'yes' : 'no',
  );
  expectKey(await ask(), 'sk-1');
});

test('another generation of it is taken over', async () => {
  link('/etc/broker-test/2/config.toml', CONFIG);
  await expect.poll(async () => (await ask()).stdout).toBe('sk-2\n');
});

test.skipIf(!isSandboxed)(
  "one of root elsewhere has no known owner in the sandbox, and root's without it",
  async () => {
    systemctl('stop', 'broker.service');
    link('/run/broker-test/3/config.toml', CONFIG);
    expectFailure(await ask(), 78, /sandbox hides the owner of \S+; it is not you.*--sandbox basic/);
    expect(await broker('service', 'install', '--sandbox', 'basic')).toMatchObject({ code: 0 });
    expectKey(await ask(), 'sk-3');
  },
);

test('units that are links are started and never replaced or removed', async () => {
  expect(await broker('service', 'uninstall')).toMatchObject({ code: 0 });
  const store = path.join(HOME, 'store');
  mkdirSync(store);
  const options = ['--sandbox', 'basic'];
  const { files } = JSON.parse((await broker('service', 'install', '--dry-run', '--json', ...options)).stdout);
  for (const { path: file, content } of files as { path: string; content: string }[]) {
    const kept = path.join(store, path.basename(file));
    writeFileSync(kept, content, { mode: 0o444 });
    link(kept, file);
  }
  systemctl('daemon-reload');
  expect(await broker('service', 'start')).toMatchObject({ code: 0, stderr: '' });
  expect((await ask()).code).toBe(0);
  // Just what would be written: records the helper's way to start it and leaves the links.
  expect(await broker('service', 'install', ...options)).toMatchObject({ code: 0, stderr: '' });

  const unit = path.join(UNITS, 'broker.service');
  expect(lstatSync(unit).isSymbolicLink()).toBe(true);
  const before = readFileSync(unit, 'utf8');
  rmSync(path.join(store, 'broker.service'));
  writeFileSync(path.join(store, 'broker.service'), `${before}# of an older version\n`, { mode: 0o444 });
  const refused = await broker('service', 'install', ...options);
  expect(refused).toMatchObject({ code: 78, stdout: '' });
  expect(refused.stderr).toMatch(/broker\.service is a link to \S+store\/broker\.service: something else keeps it/);

  const uninstalled = await broker('service', 'uninstall');
  expect(uninstalled).toMatchObject({ code: 0, stderr: '' });
  expect(uninstalled.stdout).toMatch(/broker\.service stays: something else put it there/);
  expect(lstatSync(unit).isSymbolicLink()).toBe(true);
});
