import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeDaemon, GOOD_REPLY, type Script } from './fake-daemon.ts';
import { expectFailure, helper, runHelper } from './run-helper.ts';

const SILENT: Script = () => {};

const DRIPPING: Script = (connection) => {
  let sent = 0;
  const drip = setInterval(() => connection.write(GOOD_REPLY[sent++] ?? 'x'), 300);
  connection.on('close', () => clearInterval(drip));
};

const HANGING_UP: Script = (connection) => connection.destroy();

/** Every byte but the last. */
const STALLING: Script = (connection) => connection.write(GOOD_REPLY.slice(0, -1));

// All at once: the deadline cannot be changed from outside, so this really takes 9.5 s.
// A machine that is busy just then may be late once.
describe.skipIf(helper === undefined).concurrent('after 9.5 s broker-key gives up', { retry: 2 }, () => {
  test.each([
    ['a silent server', SILENT, /no answer within 9\.5 s/],
    ['a byte now and then', DRIPPING, /no answer within 9\.5 s/],
    ['a server that stops before the last byte', STALLING, /no answer within 9\.5 s/],
    ['a server that hangs up on every try', HANGING_UP, /hung up on every try/],
  ])('%s', async (_, script, words) => {
    await using daemon = await FakeDaemon.start(script);
    const started = performance.now();

    expectFailure(await runHelper([], { BROKER_SOCKET: daemon.socket }), 75, words);

    const took = performance.now() - started;
    expect(took).toBeGreaterThan(9_400);
    expect(took).toBeLessThan(10_000);
    // Asked again, but never in a tight loop.
    expect(daemon.requests.length).toBeLessThan(60);
  });
});

describe.skipIf(helper === undefined)('a daemon that hung up, where no helper starts another', () => {
  test('was killed, so that its socket is deserted: 69 at once', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'broker-key-killed-'));
    try {
      const killed = spawn(process.execPath, [path.join(import.meta.dirname, 'killed-by-request.mjs'), folder]);
      await once(killed.stdout, 'data');
      const ended = once(killed, 'exit');
      const started = performance.now();
      expectFailure(await runHelper([], { BROKER_SOCKET: path.join(folder, 'broker.sock') }), 69, /not running/);
      expect(performance.now() - started).toBeLessThan(1_500);
      await ended;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('took its socket away and does not come back: 69 as soon as a restart would be over', async () => {
    let daemon: FakeDaemon | undefined;
    await using only = await FakeDaemon.start((connection) => {
      connection.destroy();
      void daemon?.[Symbol.asyncDispose]();
    });
    daemon = only;
    const started = performance.now();

    expectFailure(await runHelper([], { BROKER_SOCKET: only.socket }), 69, /not running/);

    const took = performance.now() - started;
    expect(took).toBeGreaterThan(1_900);
    expect(took).toBeLessThan(5_000);
  });
});
