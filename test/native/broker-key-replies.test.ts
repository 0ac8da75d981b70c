import { describe, expect, test } from 'vitest';
import { FakeDaemon, GOOD_REPLY, KEY, sends } from './fake-daemon.ts';
import { REPLIES } from './replies.ts';
import { expectFailure, expectKey, helper, runHelper } from './run-helper.ts';

describe.skipIf(helper === undefined)('what broker-key makes of an answer', () => {
  test.each(REPLIES)('$title', async ({ bytes, args = [], prints, code = 0, says }) => {
    await using daemon = await FakeDaemon.start(sends(bytes));

    const outcome = await runHelper(args, { BROKER_SOCKET: daemon.socket });

    if (prints === undefined) expectFailure(outcome, code, says);
    else expectKey(outcome, prints);
    expect(daemon.requests).toHaveLength(1);
  });

  test('cut off at any byte before the end of the status line, it asks again', async () => {
    const statusLine = GOOD_REPLY.indexOf('\n');
    for (let cut = 0; cut <= statusLine; cut++) {
      await using daemon = await FakeDaemon.start(sends(GOOD_REPLY.slice(0, cut)), sends(GOOD_REPLY));

      expectKey(await runHelper([], { BROKER_SOCKET: daemon.socket }), KEY);
      expect(daemon.requests).toHaveLength(2);
      expect(daemon.requests[0]).toBe(daemon.requests[1]);
    }
  });

  test('cut off at any later byte, it fails', async () => {
    for (let cut = GOOD_REPLY.indexOf('\n') + 1; cut < GOOD_REPLY.length; cut++) {
      await using daemon = await FakeDaemon.start(sends(GOOD_REPLY.slice(0, cut)), sends(GOOD_REPLY));

      expectFailure(await runHelper([], { BROKER_SOCKET: daemon.socket }), 69, /broke off/);
      expect(daemon.requests).toHaveLength(1);
    }
  });

  test('in two pieces at any byte, it prints the key', async () => {
    for (let cut = 1; cut < GOOD_REPLY.length; cut += 3) {
      await using daemon = await FakeDaemon.start((connection) => {
        connection.write(GOOD_REPLY.slice(0, cut), () => setImmediate(() => connection.end(GOOD_REPLY.slice(cut))));
      });

      expectKey(await runHelper([], { BROKER_SOCKET: daemon.socket }), KEY);
    }
  });

  test('a connection reset before any byte is asked again, five times over', async () => {
    const hangUp = (connection: { destroy(): void }) => connection.destroy();
    await using daemon = await FakeDaemon.start(hangUp, hangUp, hangUp, hangUp, hangUp, sends(GOOD_REPLY));

    expectKey(await runHelper([], { BROKER_SOCKET: daemon.socket }), KEY);
    expect(daemon.requests).toHaveLength(6);
  });

  test('a server that keeps the connection open is not waited for', async () => {
    await using daemon = await FakeDaemon.start((connection) => connection.write(GOOD_REPLY));

    const started = performance.now();
    expectKey(await runHelper([], { BROKER_SOCKET: daemon.socket }), KEY);
    expect(performance.now() - started).toBeLessThan(9_000);
  });
});
