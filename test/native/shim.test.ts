import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from './run-helper.ts';

const SHIMS = path.resolve(import.meta.dirname, '..', '..', 'bin');

/** A package whose binaries say their name and their arguments. */
let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'broker-shim with space-'));
  mkdirSync(path.join(root, 'bin'));
  for (const shim of ['broker', 'broker-key', 'machine.sh'])
    copyFileSync(path.join(SHIMS, shim), path.join(root, 'bin', shim));
  say('bin/broker.mjs');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function say(file: string): void {
  const program = path.join(root, file);
  mkdirSync(path.dirname(program), { recursive: true });
  writeFileSync(program, `#!/bin/sh\nprintf '%s' '${file}'\nprintf '|%s' "$@"\n`);
  chmodSync(program, 0o755);
}

/** A uname of our own first on PATH. */
function pretend(machine: string): { PATH: string } {
  const folder = path.join(root, 'fake-uname');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'uname'), `#!/bin/sh\necho '${machine}'\n`);
  chmodSync(path.join(folder, 'uname'), 0o755);
  return { PATH: `${folder}:${process.env['PATH']}` };
}

describe('bin/broker-key', () => {
  test.each([
    ['Linux x86_64', 'linux-x64'],
    ['Linux aarch64', 'linux-arm64'],
    ['Darwin x86_64', 'darwin-x64'],
    ['Darwin arm64', 'darwin-arm64'],
  ])('%s runs the helper for %s, with its arguments as they are', async (machine, folder) => {
    say(`prebuilds/${folder}/broker-key`);
    const outcome = await run(path.join(root, 'bin/broker-key'), ['--format', 'a b', '*'], pretend(machine));
    expect(outcome).toMatchObject({ code: 0, stdout: `prebuilds/${folder}/broker-key|--format|a b|*`, stderr: '' });
  });

  test.each(['Linux x86_64', 'SunOS sun4u'])('%s without a helper runs `broker get`', async (machine) => {
    const outcome = await run(path.join(root, 'bin/broker-key'), ['name'], pretend(machine));
    expect(outcome).toMatchObject({ code: 0, stdout: 'bin/broker.mjs|get|name', stderr: '' });
  });

  test('finds its package through links, relative and absolute, as npm and people make them', async () => {
    const shim = path.join(root, 'bin', 'broker-key');
    mkdirSync(path.join(root, 'elsewhere'));
    symlinkSync('../bin/broker-key', path.join(root, 'elsewhere', 'relative'));
    symlinkSync(path.join(root, 'elsewhere', 'relative'), path.join(root, 'absolute'));
    const env = pretend('SunOS sun4u');

    for (const file of [path.join(root, 'elsewhere', 'relative'), path.join(root, 'absolute')]) {
      expect((await run(file, [], env)).stdout).toBe('bin/broker.mjs|get');
    }
    expect((await run('absolute', [], { PATH: `${root}:${env.PATH}` })).stdout).toBe('bin/broker.mjs|get');
    expect((await run('/bin/sh', ['broker-key'], env, { cwd: path.dirname(shim) })).stdout).toBe('bin/broker.mjs|get');
  });
});

describe('bin/broker', () => {
  test.each([
    [['status', '--json'], 'bin/broker.mjs|status|--json'],
    [['run', '--help'], 'bin/broker.mjs|run|--help'],
    [['run'], 'prebuilds/linux-x64/broker-run|'],
    [['run', '--env', 'A=b', 'a b', '*'], 'prebuilds/linux-x64/broker-run|--env|A=b|a b|*'],
    [['get', 'run'], 'bin/broker.mjs|get|run'],
  ])('%j: Node, or for `run` broker-run, through links too', async (args, stdout) => {
    say('prebuilds/linux-x64/broker-run');
    symlinkSync('bin/broker', path.join(root, 'broker'));
    for (const file of ['broker', 'bin/broker']) {
      expect(await run(path.join(root, file), args, pretend('Linux x86_64'))).toMatchObject({ code: 0, stdout });
    }
  });

  test('a program that is run finds the variables that its user exported', async () => {
    say('prebuilds/linux-x64/broker-run');
    writeFileSync(
      path.join(root, 'prebuilds/linux-x64/broker-run'),
      '#!/bin/sh\nprintf "$self $target $bin $root $machine"\n',
    );
    symlinkSync('bin/broker', path.join(root, 'broker'));
    const env = { ...pretend('Linux x86_64'), self: '1', target: '2', bin: '3', root: '4', machine: '5' };
    expect(await run(path.join(root, 'broker'), ['run', 'a'], env)).toMatchObject({ stdout: '1 2 3 4 5' });
  });

  test('`run` without that program is for Node to explain', async () => {
    const { stdout } = await run(path.join(root, 'bin/broker'), ['run', 'a', 'b'], pretend('SunOS sun4u'));
    expect(stdout).toBe('bin/broker.mjs|run|a|b');
  });
});
