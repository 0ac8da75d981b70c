import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectFailure, expectKey, type Outcome, run } from '../native/run-helper.ts';
import { describeEveryNode } from './every-node.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const { name, version, scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
const CONFIG = `default = "key"
[providers.command]
type = "exec"
[credentials.key]
provider = "command"
command = ["echo", "sk-packed"]
`;

let folder: string;
let prefix: string;
let home: string;
let env: Record<string, string>;
let packed: readonly string[];
let tarball: string;

/** npm as it is here, with the settings it has here: it has to reach the registry. */
const npm = (...args: string[]): string => npmIn(ROOT, ...args);

function npmIn(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const broker = (...args: string[]): Promise<Outcome> =>
  run(path.join(prefix, 'bin', 'broker'), args, env, { cwd: home });

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-package-'));
  [prefix, home] = [path.join(folder, 'prefix'), path.join(folder, 'home')];
  for (const each of [prefix, home, path.join(home, 'run')]) mkdirSync(each, { mode: 0o700 });
  const [{ filename, files }] = JSON.parse(npm('pack', '--json', '--ignore-scripts', '--pack-destination', folder));
  tarball = filename;
  packed = files.map((file: { path: string }) => file.path);
  npm(
    'install',
    '--global',
    '--prefix',
    prefix,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    path.join(folder, filename),
  );
  const node = path.dirname(process.execPath);
  const runtime = path.join(home, 'run');
  env = {
    HOME: home,
    XDG_RUNTIME_DIR: runtime,
    BROKER_SOCKET: path.join(runtime, 'broker', 'broker.sock'),
    PATH: `${prefix}/bin:${node}:/usr/bin:/bin`,
  };
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the tarball has what runs and what is read, and no install script', () => {
  for (const file of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'bin/broker',
    'bin/broker.mjs',
    'bin/broker-key',
    'bin/machine.sh',
    'dist/cli/main.js',
    'dist/LICENCES.txt',
    'dist/platform/keyring-main.js',
    'systemd/broker.service',
    'docs/service.md',
  ]) {
    expect(packed).toContain(file);
  }
  expect(packed.filter((file) => /^(?:src|test|native|bench|node_modules|\.)/.test(file))).toEqual([]);
  expect(packed.filter((file) => /^dist\/(?!man\/.*\.[15]$)/.test(file) && !file.endsWith('.js')).sort()).toEqual([
    'dist/LICENCES.txt',
    'dist/package.json',
  ]);
  expect(packed).toEqual(
    expect.arrayContaining(
      ['broker-key', 'broker-run', 'broker.node'].map(
        (file) => `prebuilds/${process.platform}-${process.arch}/${file}`,
      ),
    ),
  );
  expect(Object.keys(scripts)).not.toEqual(expect.arrayContaining(['install']));
  expect(Object.keys(scripts).filter((script) => /^(?:pre|post)?install$|^prepare$/.test(script))).toEqual([]);
});

test('broker --version', async () => {
  expect(await broker('--version')).toEqual({ code: 0, signal: null, stdout: `${version}\n`, stderr: '' });
});

test('the manual: pages in the program, and for man where npm puts them', async () => {
  const page = path.join(prefix, 'lib', 'node_modules', 'apikey-broker', 'docs', 'providers', 'vault.md');
  // run() hands bytes on as they are.
  expect(await broker('help', 'vault')).toMatchObject({ code: 0, stdout: readFileSync(page, 'latin1') });
  for (const name of ['man1/broker.1', 'man1/broker-key.1', 'man5/broker.toml.5']) {
    expect(readFileSync(path.join(prefix, 'share', 'man', name), 'utf8')).toMatch(/^\.TH BROKER/);
  }
});

test('broker demo, with nothing there', async () => {
  const outcome = await broker('demo');
  expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
  expect(readdirSync(home)).toEqual(['run']);
});

test('broker-key without anything says what to run', async () => {
  expectFailure(await run(path.join(prefix, 'bin', 'broker-key'), [], env), 69, /run `broker setup`/);
  expect(await run(path.join(prefix, 'bin', 'broker-key'), ['--version'], env)).toMatchObject({
    stdout: `broker-key ${version}\n`,
  });
});

describe('installed as a service', () => {
  const state = () => path.join(home, '.local', 'state', 'broker');

  test('without a configuration it says so at once', async () => {
    const outcome = await broker('service', 'install');
    expect(outcome).toMatchObject({ code: 78, stdout: '' });
    expect(outcome.stderr).toMatch(/there is no configuration file; run broker setup, or write one/);
    expect(await broker('service', 'uninstall')).toMatchObject({ code: 0 });
    rmSync(path.join(home, '.local'), { recursive: true });
  });

  test('where nothing manages services, the helper is all that is needed', async () => {
    mkdirSync(path.join(home, '.config', 'broker'), { recursive: true, mode: 0o700 });
    writeFileSync(path.join(home, '.config', 'broker', 'config.toml'), CONFIG, { mode: 0o600 });
    const outcome = await broker('service', 'install', '--json');
    expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
    const { manager, helper, command } = JSON.parse(outcome.stdout);
    expect(manager).toBe('none');
    expect(command).toContain(realpathSync(path.join(prefix, 'lib', 'node_modules', name, 'bin', 'broker.mjs')));
    expect(helper).toBe(path.join(state(), 'bin', 'broker-key'));
    expectKey(await run(helper, [], env), 'sk-packed');
    expectKey(await run(path.join(prefix, 'bin', 'broker-key'), [], env), 'sk-packed');
    expectKey(await broker('run', '--env', 'A', 'sh', '-c', 'echo $A'), 'sk-packed');
  });

  test('stopped on purpose, started again', async () => {
    const helper = path.join(state(), 'bin', 'broker-key');
    expect(await broker('service', 'stop')).toMatchObject({ code: 0 });
    expectFailure(await run(helper, [], env), 69, /`broker service start`/);
    expect(await broker('service', 'status')).toMatchObject({ code: 69 });
    expect(await broker('service', 'start')).toMatchObject({ code: 0 });
    expectKey(await run(helper, [], env), 'sk-packed');
    expect(await broker('service', 'restart')).toMatchObject({ code: 0 });
    expectKey(await run(helper, [], env), 'sk-packed');
  });

  test('uninstalled, nothing is left but the state, and it says where that is', async () => {
    const outcome = await broker('service', 'uninstall');
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toContain(state());
    expect(existsSync(path.join(state(), 'launch'))).toBe(false);
    expectFailure(await run(path.join(state(), 'bin', 'broker-key'), [], env), 69, /nothing answers/);
    expect(readdirSync(home).sort()).toEqual(['.config', '.local', 'run']);
    expect(readdirSync(path.join(home, '.config'))).toEqual(['broker']);
  });
});

describeEveryNode(() => ({
  folder,
  program: path.join(prefix, 'lib', 'node_modules', name, 'bin', 'broker.mjs'),
}));

describe('a tarball with the binaries of every machine', () => {
  const machines = {
    'Linux x86_64': 'linux-x64',
    'Linux aarch64': 'linux-arm64',
    'Darwin x86_64': 'darwin-x64',
    'Darwin arm64': 'darwin-arm64',
  };
  let root: string;

  beforeAll(() => {
    // What was packed, with stand-ins for what only a release makes: they say for which machine they are.
    const tree = path.join(folder, 'every');
    mkdirSync(tree);
    execFileSync('tar', ['-xzf', path.join(folder, tarball), '-C', tree]);
    for (const machine of Object.values(machines)) {
      const place = path.join(tree, 'package', 'prebuilds', machine);
      mkdirSync(place, { recursive: true });
      for (const program of ['broker-key', 'broker-run']) {
        writeFileSync(path.join(place, program), `#!/bin/sh\necho ${machine} "$@"\n`, { mode: 0o755 });
      }
      writeFileSync(path.join(place, 'broker.node'), machine);
    }
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', tree];
    const [{ filename }] = JSON.parse(npmIn(path.join(tree, 'package'), ...args));
    mkdirSync(path.join(tree, 'unpacked'));
    execFileSync('tar', ['-xzf', path.join(tree, filename), '-C', path.join(tree, 'unpacked')]);
    root = path.join(tree, 'unpacked', 'package');
    // For the half in JavaScript: what the package depends on.
    symlinkSync(path.join(prefix, 'lib', 'node_modules', name, 'node_modules'), path.join(root, 'node_modules'));
  });

  test.each(Object.entries(machines))('has those of %s, and they are chosen there', async (uname, machine) => {
    expect(readdirSync(path.join(root, 'prebuilds', machine)).sort()).toEqual([
      'broker-key',
      'broker-run',
      'broker.node',
    ]);
    const programs = mkdtempSync(path.join(folder, 'uname-'));
    writeFileSync(path.join(programs, 'uname'), `#!/bin/sh\necho '${uname}'\n`, { mode: 0o755 });
    const there = { ...env, PATH: `${programs}:${env['PATH']}` };
    expect(await run(path.join(root, 'bin', 'broker-key'), ['a b'], there)).toMatchObject({
      stdout: `${machine} a b\n`,
    });
    expect(await run(path.join(root, 'bin', 'broker'), ['run', 'a b'], there)).toMatchObject({
      stdout: `${machine} a b\n`,
    });

    // The half in JavaScript: what is put where settings name it.
    const [platform, arch] = machine.split('-');
    const pretend = `for (const [key, value] of Object.entries({ platform: '${platform}', arch: '${arch}' })) Object.defineProperty(process, key, { value });`;
    const alien = mkdtempSync(path.join(folder, 'alien-'));
    const program = [
      `--import=data:text/javascript,${encodeURIComponent(pretend)}`,
      path.join(root, 'bin', 'broker.mjs'),
    ];
    const outcome = await run(process.execPath, [...program, 'claude', 'install'], { ...env, HOME: alien });
    const helper = path.join(alien, '.local', 'state', 'broker', 'bin', 'broker-key');
    expect(readFileSync(helper, 'utf8'), outcome.stderr).toContain(`echo ${machine} `);
  });
});

test('uninstalled by npm, nothing of it is left in the prefix', () => {
  npm('uninstall', '--global', '--prefix', prefix, name);
  expect(readdirSync(path.join(prefix, 'bin'))).toEqual([]);
  expect(lstatSync(path.join(prefix, 'lib', 'node_modules', name), { throwIfNoEntry: false })).toBeUndefined();
});
