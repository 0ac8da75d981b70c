import type { SpawnOptions } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeDaemon, KEY, reply, sends } from './fake-daemon.ts';
import { expectFailure, type Outcome, run, runner } from './run-helper.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-run-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PATH = '/usr/bin:/bin';

function file(name: string, text: string, mode = 0o755): string {
  const made = path.join(folder, name);
  writeFileSync(made, text);
  chmodSync(made, mode);
  return made;
}

function expectRefusal(outcome: Outcome, code: number, words: RegExp | string): void {
  expect(outcome).toMatchObject({ code, signal: null, stdout: '' });
  expect(outcome.stderr).toMatch(/^broker run: [ -~]+\n$/);
  expect(outcome.stderr.length).toBeLessThanOrEqual(400);
  expect(outcome.stderr).toMatch(words);
}

const broker = (args: readonly string[], env: Record<string, string>, options?: SpawnOptions) =>
  run(runner ?? '', args, env, options);

describe.skipIf(runner === undefined)('broker-run', () => {
  const FAULTS: readonly (readonly [args: readonly string[], words: RegExp | string])[] = [
    [[], /no program is named/],
    [['--env', 'A'], /no program is named/],
    [['--'], /no program is named/],
    [['--nosuch', 'true'], /no option --nosuch/],
    [['-e', 'A', 'true'], /no option -e/],
    [['--env'], /not nothing/],
    [['--env', '', 'true'], /variable's name/],
    [['--env', '=a', 'true'], /variable's name/],
    [['--env', '1A=a', 'true'], /variable's name/],
    [['--env', 'A-B=a', 'true'], /variable's name/],
    [['--env', 'A B', 'true'], /variable's name/],
    [['--env', `${'A'.repeat(129)}=a`, 'true'], /variable's name/],
    [['--env', 'A=a', '--env=A=b', 'true'], /names A twice/],
    [['--env', 'A=', 'true'], /A= is followed by the name of a credential/],
    [['--env', 'A=_default', 'true'], /A= is followed by/],
    [Array.from({ length: 33 }, (_, i) => `--env=A${i}`).concat('true'), /at most 32 variables/],
    ...['PATH', 'HOME', 'LD_PRELOAD', 'DYLD_INSERT_LIBRARIES', 'NODE_OPTIONS', 'BROKER_SOCKET'].map(
      (name) => [[`--env=${name}=a`, 'true'], `${name} is read by the system`] as const,
    ),
  ];
  test.each(FAULTS)('words %#: 64 before anybody is asked', async (args, words) => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', KEY)));
    expectRefusal(await broker(args, { PATH, BROKER_SOCKET: daemon.socket }), 64, words);
    expect(daemon.requests).toEqual([]);
  });

  test('a key in place of a credential is not repeated', async () => {
    const key = `sk-ant-api03-${'x'.repeat(95)}`;
    for (const word of [`A=${key}`, key, `A-B=${key}`]) {
      const outcome = await broker(['--env', word, 'true'], { PATH });
      expectRefusal(outcome, 64, /what was given is not shown/);
      expect(outcome.stderr).not.toContain('sk-ant');
    }
  });

  test.each([
    ['nosuch', 127, /cannot run nosuch: No such file/],
    ['', 127, /cannot run/],
    ['./nosuch', 127, /No such file/],
    ['a'.repeat(5000), 126, /name too long/i],
    ['/', 126, /directory/i],
    ['plain', 126, /[Pp]ermission denied/],
    ['./plain', 126, /[Pp]ermission denied/],
  ])('a program %# that cannot run: as a shell has it, before anybody is asked', async (name, code, words) => {
    file('plain', 'text', 0o644);
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', KEY)));
    const env = { PATH: `/nowhere:${folder}:${PATH}`, BROKER_SOCKET: daemon.socket };
    expectRefusal(await broker(['--', name], env, { cwd: folder }), code, words);
    expect(daemon.requests).toEqual([]);
  });

  test('where PATH is empty in places the current folder is meant, and a script without a first line is for sh', async () => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', KEY)));
    file('without-first-line', 'echo "$1 $ANTHROPIC_API_KEY"\n');
    const env = { PATH: `${PATH}:`, BROKER_SOCKET: daemon.socket };
    const outcome = await broker(['without-first-line', 'one'], env, { cwd: folder });
    expect(outcome).toEqual({ code: 0, signal: null, stdout: `one ${KEY}\n`, stderr: '' });
  });

  test('its own environment goes on, with one value for each variable that was named', async () => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', KEY)));
    const env = { PATH, BROKER_SOCKET: daemon.socket, A: 'old', AB: 'kept', B: '' };
    const { stdout } = await broker(['--env', 'A=one', '--env=B', '--', 'env'], env);
    expect(stdout.trim().split('\n').sort()).toEqual(
      [`A=${KEY}`, 'AB=kept', `B=${KEY}`, `BROKER_SOCKET=${daemon.socket}`, `PATH=${PATH}`].sort(),
    );
    expect(daemon.requests.map((request) => request.split(' ')[1])).toEqual([
      '/v1/credentials/one/key?format=env',
      '/v1/credentials/_default/key?format=env',
    ]);
  });

  test('what is said of the key goes to standard error in one line, and not with --quiet', async () => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${KEY} its key lives for 5 min`)));
    const env = { PATH, BROKER_SOCKET: daemon.socket };
    expect(await broker(['--env', 'A', 'true'], env)).toEqual({
      code: 0,
      signal: null,
      stdout: '',
      stderr: 'broker run: A: its key lives for 5 min\n',
    });
    expect((await broker(['--quiet', 'true'], env)).stderr).toBe('');
  });

  test.each([
    [reply('200 OK', ''), 65],
    [reply('200 OK', ` ${KEY}`), 65],
    [reply('200 OK', `${KEY}\n`), 65],
    [reply('200 OK', `${KEY}\0x`), 65],
    [reply('200 OK', 'k'.repeat(16_385)), 65],
    [reply('403 Forbidden', 'is for some callers only', ['Broker-Exit-Code: 77']), 77],
    [reply('400 Bad Request', 'there is no such format', ['Broker-Exit-Code: 64']), 64],
  ])('answer %#: the program is not started', async (answer, code) => {
    await using daemon = await FakeDaemon.start(sends(answer));
    const outcome = await broker(['echo', 'started'], { PATH, BROKER_SOCKET: daemon.socket });
    expect(outcome).toMatchObject({ code, signal: null, stdout: '' });
    expect(outcome.stderr).toMatch(/^broker(?:-key| run): [ -~]+\n$/);
    expect(outcome.stderr).not.toContain(KEY);
  });

  describe('beside another helper', () => {
    const beside = async (helper: string | undefined, args: readonly string[] = ['echo', 'started']) => {
      const place = mkdtempSync(path.join(folder, 'place-'));
      copyFileSync(runner ?? '', path.join(place, 'broker-run'));
      if (helper !== undefined)
        writeFileSync(path.join(place, 'broker-key'), `#!/bin/sh\n${helper}\n`, { mode: 0o755 });
      mkdirSync(path.join(place, 'bin'));
      symlinkSync('../broker-run', path.join(place, 'bin', 'linked'));
      return await run('bash', ['--norc', '-c', 'exec -a elsewhere linked "$@"', 'bash', ...args], {
        PATH: `${path.join(place, 'bin')}:${PATH}`,
      });
    };

    test('it asks that, wherever a link leads to it and whatever it is called', async () => {
      const outcome = await beside('echo "$*"', ['--env', 'A=one', '--env', 'B', '--quiet', 'sh', '-c', 'echo $A $B']);
      expect(outcome).toMatchObject({ code: 0, stdout: '--format --format\n', stderr: '' });
    });

    test.each([
      ['printf "key says something"', 0, 'started\n', 'broker run: ANTHROPIC_API_KEY: says somethin\n'],
      ['true', 65, '', /the daemon's answer is not a key/],
      ['echo key; exit 3', 3, '', /^$/],
      ['kill -9 $$', 137, '', /^$/],
      ['head -c 20000 /dev/zero | tr "\\0" k', 65, '', /not a key/],
      [undefined, 69, '', /cannot run .*\/broker-key: No such file.*install broker again/],
    ])('%s: %i', async (helper, code, stdout, stderr) => {
      const outcome = await beside(helper);
      expect(outcome).toMatchObject({ code, signal: null, stdout });
      expect(outcome.stderr).toMatch(stderr);
    });
  });

  test('a longest key arrives whole, thirty-two of them too', async () => {
    const longest = 'k'.repeat(16_384);
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', longest)));
    const variables = Array.from({ length: 32 }, (_, i) => `--env=A${i}`);
    const env = { PATH, BROKER_SOCKET: daemon.socket };
    const { stdout } = await broker([...variables, '--', 'env'], env);
    expect(stdout.split('\n').filter((line) => /^A\d+=k{16384}$/.test(line))).toHaveLength(32);
  });

  test('without a daemon: 69', async () => {
    const env = { PATH, BROKER_SOCKET: path.join(folder, 'none.sock'), HOME: folder, BROKER_NO_AUTOSTART: '1' };
    expectFailure(await broker(['echo', 'started'], env), 69, /nothing answers/);
  });
});
