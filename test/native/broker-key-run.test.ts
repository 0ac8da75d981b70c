import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeDaemon, KEY, reply, sends } from './fake-daemon.ts';
import { helper, type Outcome, run, runHelper } from './run-helper.ts';

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

describe.skipIf(helper === undefined)('broker-key --run', () => {
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
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${KEY}\n`)));
    expectRefusal(await runHelper(['--run', ...args], { PATH, BROKER_SOCKET: daemon.socket }), 64, words);
    expect(daemon.requests).toEqual([]);
  });

  test('a key in place of a credential is not repeated', async () => {
    const key = `sk-ant-api03-${'x'.repeat(95)}`;
    for (const word of [`A=${key}`, key, `A-B=${key}`]) {
      const outcome = await runHelper(['--run', '--env', word, 'true'], { PATH });
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
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${KEY}\n`)));
    const env = { PATH: `/nowhere:${folder}:${PATH}`, BROKER_SOCKET: daemon.socket };
    expectRefusal(await runHelper(['--run', '--', name], env, { cwd: folder }), code, words);
    expect(daemon.requests).toEqual([]);
  });

  test('where PATH is empty in places the current folder is meant, and a script without a first line is for sh', async () => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${KEY}\n`)));
    file('without-first-line', 'echo "$1 $ANTHROPIC_API_KEY"\n');
    const env = { PATH: `${PATH}:`, BROKER_SOCKET: daemon.socket };
    const outcome = await runHelper(['--run', 'without-first-line', 'one'], env, { cwd: folder });
    expect(outcome).toEqual({ code: 0, signal: null, stdout: `one ${KEY}\n`, stderr: '' });
  });

  test('its own environment goes on, with one value for each variable that was named', async () => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${KEY}\n`)));
    const env = { PATH, BROKER_SOCKET: daemon.socket, A: 'old', AB: 'kept', B: '' };
    const { stdout } = await runHelper(['--run', '--env', 'A=one', '--env=B', '--', 'env'], env);
    expect(stdout.trim().split('\n').sort()).toEqual(
      [`A=${KEY}`, 'AB=kept', `B=${KEY}`, `BROKER_SOCKET=${daemon.socket}`, `PATH=${PATH}`].sort(),
    );
    expect(daemon.requests.map((request) => request.split(' ')[1])).toEqual([
      '/v1/credentials/one/key?format=env',
      '/v1/credentials/_default/key?format=env',
    ]);
  });

  test('what is said of the key goes to standard error in one line, and not with --quiet', async () => {
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${KEY}\nits key lives for 5 min`)));
    const env = { PATH, BROKER_SOCKET: daemon.socket };
    expect(await runHelper(['--run', '--env', 'A', 'true'], env)).toEqual({
      code: 0,
      signal: null,
      stdout: '',
      stderr: 'broker run: A: its key lives for 5 min\n',
    });
    expect((await runHelper(['--run', '--quiet', 'true'], env)).stderr).toBe('');
  });

  test.each([
    [reply('200 OK', '\n'), 65],
    [reply('200 OK', `${KEY} x\n`), 65],
    [reply('200 OK', `${KEY}\r\n`), 65],
    [reply('200 OK', `${KEY}\0x\n`), 65],
    [reply('200 OK', `${'k'.repeat(16_385)}\n`), 65],
    [reply('403 Forbidden', 'is for some callers only', ['Broker-Exit-Code: 77']), 77],
    [reply('400 Bad Request', 'there is no such format', ['Broker-Exit-Code: 64']), 64],
  ])('answer %#: the program is not started', async (answer, code) => {
    await using daemon = await FakeDaemon.start(sends(answer));
    const outcome = await runHelper(['--run', 'echo', 'started'], { PATH, BROKER_SOCKET: daemon.socket });
    expectRefusal(outcome, code, /./);
    expect(outcome.stderr).not.toContain(KEY);
  });

  test('a longest key arrives whole, thirty-two of them too', async () => {
    const longest = 'k'.repeat(16_384);
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', `${longest}\n`)));
    const variables = Array.from({ length: 32 }, (_, i) => `--env=A${i}`);
    const env = { PATH, BROKER_SOCKET: daemon.socket };
    const { stdout } = await runHelper(['--run', ...variables, '--', 'env'], env);
    expect(stdout.split('\n').filter((line) => /^A\d+=k{16384}$/.test(line))).toHaveLength(32);
  });

  test('without a daemon: 69', async () => {
    const env = { PATH, BROKER_SOCKET: path.join(folder, 'none.sock'), HOME: folder, BROKER_NO_AUTOSTART: '1' };
    expectRefusal(await run(helper ?? '', ['--run', 'echo', 'started'], env), 69, /nothing answers/);
  });
});
