import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { shellWord } from '../fakes/processes.ts';
import { FakeDaemon, GOOD_REPLY, KEY, reply, sends } from './fake-daemon.ts';
import { expectFailure, expectKey, helper, run, runHelper } from './run-helper.ts';

/** Runs the helper with redirections that only a shell can make. */
async function runRedirected(redirections: string, socket: string) {
  return await run('/bin/sh', ['-c', `exec "$0" ${redirections}`, helper ?? ''], { BROKER_SOCKET: socket });
}

describe.skipIf(helper === undefined)('standard streams of broker-key', () => {
  test('stdin is not read: what was in it is still there', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));
    const file = path.join(daemon.folder, 'stdin');
    writeFileSync(file, 'untouched');
    const stdin = openSync(file, 'r');
    const rest = Buffer.alloc(16);

    expectKey(await runHelper([], { BROKER_SOCKET: daemon.socket }, { stdio: [stdin, 'pipe', 'pipe'] }), KEY);

    expect(rest.toString('utf8', 0, readSync(stdin, rest))).toBe('untouched');
    closeSync(stdin);
    expect(daemon.requests[0]).toContain('stdin=file');
  });

  test.each([
    ['</dev/null', 'stdin=null'],
    ['<&-', 'stdin=closed'],
    ['</dev/zero', 'stdin=other'],
    ['<"$0"', 'stdin=file'],
    ['2>&-', 'stdin=socket'],
    ['<&- 2>&-', 'stdin=closed'],
  ])('%s does no harm', async (redirections, hint) => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectKey(await runRedirected(redirections, daemon.socket), KEY);
    expect(daemon.requests[0]).toContain(hint);
  });

  test('without stderr a failure says nothing to anybody, the daemon included', async () => {
    let late = '';
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    await using daemon = await FakeDaemon.start((connection) => {
      connection.on('data', (bytes) => {
        late += bytes.toString('latin1');
      });
      connection.on('end', () => end()).end(reply('503 No', 'words'));
    });

    const outcome = await runRedirected('2>&-', daemon.socket);

    expect(outcome).toEqual({ code: 69, signal: null, stdout: '', stderr: '' });
    await ended;
    expect(late).toBe('');
  });

  test('a closed stdout is 74 before anybody is asked', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectFailure(await runRedirected('>&-', daemon.socket), 74, /stdout is closed/);
    expect(daemon.requests).toEqual([]);
  });

  test.skipIf(process.platform !== 'linux')('a full stdout is 74', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectFailure(await runRedirected('>/dev/full', daemon.socket), 74, /No space left/);
  });

  test('a stdout that cannot be written to is 74', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectFailure(await runRedirected('1</dev/null', daemon.socket), 74, /could not write to stdout/);
  });

  test('a reader that has gone is 74, not a death by SIGPIPE', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'broker-key-gone-'));
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));
    // The reader of the pipe has exited before the helper starts: its exit is what `wait` waits for.
    const script = 'mkfifo "$1/pipe"; : <"$1/pipe" & exec 3>"$1/pipe"; wait; "$0" >&3; echo $? >"$1/code"';

    const outcome = await run('/bin/sh', ['-c', script, helper ?? '', folder], {
      BROKER_SOCKET: daemon.socket,
      PATH: process.env['PATH'] ?? '',
    });

    expect(outcome.stderr).toMatch(/^broker-key: could not write to stdout: Broken pipe; [ -~]+\n$/);
    expect(readFileSync(path.join(folder, 'code'), 'utf8')).toBe('74\n');
    rmSync(folder, { recursive: true });
  });

  test('a long key reaches a file whole', async () => {
    const key = 'k'.repeat(16_384);
    await using daemon = await FakeDaemon.start(sends(reply('200 OK', key)));
    const file = path.join(daemon.folder, 'out');
    const stdout = openSync(file, 'w');

    await runHelper([], { BROKER_SOCKET: daemon.socket }, { stdio: ['pipe', stdout, 'pipe'] });

    closeSync(stdout);
    expect(readFileSync(file, 'latin1')).toBe(`${key}\n`);
  });

  test('as the client runs it, through sh with a stdin that never ends', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    expectKey(
      await run('/bin/sh', ['-c', `${shellWord(helper ?? '')} anthropic`], { BROKER_SOCKET: daemon.socket }),
      KEY,
    );
  });
});
