import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BrokerHome, type RunningDaemon } from '../fakes/daemon-process.ts';

const PROJECT = resolve(import.meta.dirname, '..', '..');

let home: BrokerHome;
let installed: string;
let daemon: RunningDaemon;

beforeEach(async () => {
  home = new BrokerHome(
    'default = "key"\n[providers.own]\ntype = "exec"\ncommand = ["/bin/echo", "sk-test-0123456789"]\n' +
      '[credentials.key]\nprovider = "own"\n',
  );
  installed = join(home.folder, 'installed');
  mkdirSync(installed);
  for (const part of ['bin', 'dist', 'prebuilds', 'package.json']) {
    cpSync(join(PROJECT, part), join(installed, part), { recursive: true });
  }
  symlinkSync(join(PROJECT, 'node_modules'), join(installed, 'node_modules'));
  daemon = await home.start({}, { program: join(installed, 'bin', 'broker.mjs') });
});

afterEach(() => home.close());

/** What the daemon has not needed so far is gone. */
function removeProviders(): void {
  const chunks = join(installed, 'dist', 'chunks');
  const providers = readdirSync(chunks).filter((name) => name.includes('-provider'));
  expect(providers.length).toBeGreaterThan(0);
  for (const name of providers) rmSync(join(chunks, name));
}

it('a daemon whose program was upgraded under it makes room for the next, which answers', async () => {
  removeProviders();
  const ended = daemon.whenLogged('stopping');
  // What npm does: another package in the place of the old one.
  rmSync(join(installed, 'package.json'));
  cpSync(join(PROJECT, 'package.json'), join(installed, 'package.json'));
  expect(await home.key()).toMatchObject({ stdout: '' });
  await ended;
  expect(await daemon.ended).toBe(75);
  expect(daemon.log).toContain('the program was replaced while it ran');
  cpSync(join(PROJECT, 'dist'), join(installed, 'dist'), { recursive: true });
  await home.start({}, { program: join(installed, 'bin', 'broker.mjs') });
  expect(await home.key()).toEqual({ code: 0, stdout: 'sk-test-0123456789\n', stderr: '' });
});

it('a program that is damaged is told as that, again and again', async () => {
  removeProviders();
  for (let times = 0; times < 2; times += 1) {
    const { code, stdout, stderr } = await home.key();
    expect({ code, stdout }).toEqual({ code: 70, stdout: '' });
    expect(stderr).toMatch(/could not be loaded; install it again: npm install -g/);
  }
  expect(daemon.hasEnded).toBe(false);
  writeFileSync(join(installed, 'README.md'), 'other files may change');
  expect((await home.key()).code).toBe(70);
});
