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

  test('a daemon that does not come back after it hung up', async () => {
    let daemon: FakeDaemon | undefined;
    await using only = await FakeDaemon.start((connection) => {
      connection.destroy();
      void daemon?.[Symbol.asyncDispose]();
    });
    daemon = only;

    expectFailure(await runHelper([], { BROKER_SOCKET: only.socket }), 75, /hung up/);
  });
});
