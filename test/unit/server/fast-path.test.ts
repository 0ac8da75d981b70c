import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { loadNative } from '../../../src/platform/native.ts';
import { abortable } from '../../../src/platform/waiting.ts';
import type { DirectTransfer } from '../../../src/server/connections.ts';
import { readHelperRequest } from '../../../src/server/fast-path.ts';
import type { BrokerServerOptions } from '../../../src/server/server.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { KEY } from '../../fakes/scripted-broker.ts';
import { TestServer } from '../../fakes/test-server.ts';

const HINTS = 'pid=7, ppid=6, stdin=socket, stdout=pipe, entrypoint=cli';
const REQUEST = request('anthropic');

/** As the helper sends it, in one packet. test/native/ holds the real one against `readHelperRequest`. */
function request(name: string, query = ''): string {
  const head = `GET /v1/credentials/${name}/key${query} HTTP/1.1\r\nHost: broker\r\nAccept: text/plain\r\nConnection: close`;
  return `${head}\r\nUser-Agent: broker-key/0.1.0\r\nBroker-Client-Interval-Ms: 60000\r\nBroker-Client-Hints: ${HINTS}\r\n\r\n`;
}

let server: TestServer;
const startServer = async (options: Partial<BrokerServerOptions> = {}) => {
  server = await TestServer.start(options);
  return server;
};
afterEach(() => server?.stop());

/** Everything that comes back, until the server closes. */
async function ask(text: string): Promise<string> {
  const connection = await server.connect();
  connection.send(text);
  await connection.closed;
  return connection.received;
}

/** Node's HTTP dates its answers, the helper's lane does not. */
const tookHelperLane = (answer: string) => !/^date: /im.test(answer);

/** Without what only HTTP needs, and without the words behind a status, which nobody reads. */
const essence = (answer: string) =>
  answer
    .replace(/^(HTTP\/1\.1 \d+) .*/, '$1')
    .split('\r\n')
    .filter((line) => !/^(?:date|connection|cache-control):/i.test(line))
    .map((line) => line.toLowerCase())
    .toSorted();

describe('the request of a helper', () => {
  it.each([
    ['anthropic', '', { credential: 'anthropic', format: 'raw' }],
    ['_default', '', { credential: undefined, format: 'raw' }],
    ['a.b-c_9', '?format=headers', { credential: 'a.b-c_9', format: 'headers' }],
  ])('for %s%s is read', (name, query, expected) => {
    const read = readHelperRequest(Buffer.from(request(name, query)));
    expect(read).toEqual({ ...expected, interval: '60000', hints: HINTS });
  });

  it('is not anything that differs in a byte, is cut off, or has more behind it', () => {
    const whole = Buffer.from(REQUEST);
    for (let length = 0; length < whole.length; length++) {
      expect(readHelperRequest(whole.subarray(0, length)), String(length)).toBeUndefined();
    }
    expect(readHelperRequest(Buffer.concat([whole, whole]))).toBeUndefined();
    for (const [from, to] of [
      ['GET', 'PUT'],
      ['1.1', '1.0'],
      ['close', 'keep-alive'],
      ['Host', 'host'],
      ['anthropic', '_other'],
      ['anthropic', 'a%62'],
      ['60000', '-5'],
      ['\r\n\r\n', '\r\nContent-Length: 3\r\n\r\n'],
    ] as const) {
      expect(readHelperRequest(Buffer.from(REQUEST.replace(from, to))), to).toBeUndefined();
    }
  });

  it('is looked for in any bytes without harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        expect(readHelperRequest(Buffer.from(bytes))).toBeUndefined();
      }),
    );
  });
});

const NATIVE = loadNative();

/** A request that is there when its connection is accepted, whatever really comes. */
const there = (text: string): DirectTransfer => ({
  receiveNow: (_, into) => Buffer.from(into.buffer).write(text),
  sendNow: (fd, bytes) => NATIVE?.sendNow(fd, bytes) ?? 0,
});

describe.skipIf(NATIVE === undefined)('a request that is there when its connection is accepted', () => {
  /** What is answered to a client that, as far as Node knows, says nothing. */
  async function answer(): Promise<string> {
    const connection = await server.connect();
    await connection.closed;
    return connection.received;
  }

  it('is answered at once', async () => {
    const { broker } = await startServer({ direct: there(REQUEST) });
    expect(await answer()).toMatch(new RegExp(`^HTTP/1\\.1 200 OK\r\n[\\s\\S]*\r\n\r\n${KEY}$`));
    expect(broker.delivered).toBe(1);
    expect(() => broker.answers[0]?.secrets.get('value')?.bytes).toThrow('wiped');
  });

  it('goes to Node if it is not the helper that asks, whole or in part', async () => {
    const other = REQUEST.replace('User-Agent: broker-key', 'User-Agent: curl');
    for (const length of [other.length, 60]) {
      await startServer({ direct: there(other.slice(0, length)) });
      const connection = await server.connect();
      connection.send(other.slice(length));
      await connection.closed;
      expect(connection.received).toContain(KEY);
      await server.stop();
    }
    await startServer({ direct: there('nonsense\r\n\r\n') });
    expect(await answer()).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('is not kept: it may have been a login', async () => {
    let read: Uint8Array = new Uint8Array();
    const transfer = there('POST /v1/providers/vault/login HTTP/1.1\r\n\r\n{"token":"hvs.secret"}');
    await startServer({
      direct: {
        ...transfer,
        receiveNow: (fd, into) => {
          read = into;
          return transfer.receiveNow(fd, into);
        },
      },
    });
    await answer();
    expect(Buffer.from(read).toString()).not.toContain('secret');
  });

  it('does not hide that the asker hangs up while the broker waits', async () => {
    const { broker } = await startServer({ direct: there(REQUEST) });
    let hasGone = () => {};
    const gone = new Promise<void>((resolve) => {
      hasGone = resolve;
    });
    broker.script = (asked) => {
      asked.signal.addEventListener('abort', hasGone);
      return abortable(asked.signal, () => new Promise<never>(() => {}));
    };
    const connection = await server.connect();
    while (broker.asks.length === 0) await new Promise(setImmediate);
    connection.socket.destroy();
    await gone;
    expect(broker.delivered).toBe(0);
  });

  it('is answered to the end by Node where the kernel takes only a part', async () => {
    const { receiveNow } = there(REQUEST);
    const sendNow = (fd: number, bytes: Uint8Array) => NATIVE?.sendNow(fd, bytes.subarray(0, 100)) ?? 0;
    const { broker } = await startServer({ direct: { receiveNow, sendNow } });
    expect(await answer()).toMatch(new RegExp(`${KEY}$`));
    expect(broker.delivered).toBe(1);
  });

  it('of an asker who has gone is not delivered', async () => {
    const { broker } = await startServer({ direct: there(REQUEST) });
    let release = () => {};
    broker.script = (asked) =>
      new Promise((resolve) => {
        release = () => resolve(broker.give(asked, { value: KEY }));
      });
    const connection = await server.connect();
    while (broker.asks.length === 0) await new Promise(setImmediate);
    connection.socket.destroy();
    await connection.closed;
    release();
    while (server.server.connections > 0) await new Promise(setImmediate);
    expect(broker.delivered).toBe(0);
  });
});

describe.each([
  ['with the addon', NATIVE],
  ['without the addon', undefined],
])('the lane of the helper, %s', (_way, direct) => {
  const start = (options: Partial<BrokerServerOptions> = {}) => startServer({ direct, ...options });

  it.each([
    ['a key', undefined],
    ['an error with a remedy', new BrokerError('ERR_GONE', 'no secret', { remedy: 'ask your admin' })],
    ['a fault of the daemon', new TypeError('hvs.secret of undefined')],
  ])('says the same as the other to %s', async (_, failure) => {
    const { broker } = await start();
    if (failure !== undefined) broker.script = () => Promise.reject(failure);
    const direct = await ask(REQUEST);
    const roundabout = await ask(REQUEST.replace('User-Agent: broker-key', 'User-Agent: curl'));
    expect([tookHelperLane(direct), tookHelperLane(roundabout)]).toEqual([true, false]);
    expect(essence(direct)).toEqual(essence(roundabout));
    expect(direct).not.toContain('hvs.');
    expect(broker.asks.map(({ credential, intervalMs }) => [credential, intervalMs])).toEqual([
      ['anthropic', 60_000],
      ['anthropic', 60_000],
    ]);
  });

  it('is left to the other by a request that comes in pieces', async () => {
    const { broker } = await start();
    const connection = await server.connect();
    connection.send(REQUEST.slice(0, 50));
    while (server.server.connections === 0) await new Promise(setImmediate);
    connection.send(REQUEST.slice(50));
    await connection.closed;
    expect(connection.received).toContain(KEY);
    expect(broker.asks).toHaveLength(1);
  });

  it('refuses a format that there is not, like the other', async () => {
    await start();
    const answer = await ask(request('anthropic', '?format=yaml'));
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('the formats are: raw, json');
  });

  it('wipes the key when it is written, and only then counts it as served', async () => {
    const { broker } = await start();
    expect(await ask(REQUEST)).toContain(KEY);
    expect(broker.delivered).toBe(1);
    expect(() => broker.answers[0]?.secrets.get('value')?.bytes).toThrow('wiped');
  });

  it('takes an asker who gives up for nothing worse than that, in both lanes', async () => {
    const log = new CollectingLog();
    const { broker } = await start({ log });
    broker.script = (asked) => abortable(asked.signal, () => new Promise<never>(() => {}));
    for (const sent of [REQUEST, REQUEST.replace('Host: broker', 'Host: elsewhere')]) {
      const connection = await server.connect();
      const before = broker.asks.length;
      connection.send(sent);
      while (broker.asks.length === before) await new Promise(setImmediate);
      connection.socket.destroy();
      while (server.server.connections > 0) await new Promise(setImmediate);
      await new Promise(setImmediate);
    }
    expect(log.lines.map(({ level, message }) => [level, message])).toEqual(
      Array(2).fill(['debug', 'a client gave up before there was an answer']),
    );
  });

  it('names what the system refused instead of calling it unknown', async () => {
    const log = new CollectingLog();
    const { broker } = await start({ log });
    const refused = Object.assign(new Error('EMFILE: too many open files'), {
      code: 'EMFILE',
      syscall: 'open',
      path: '/x',
    });
    broker.script = () => Promise.reject(refused);
    expect(await ask(REQUEST)).toMatch(
      /Broker-Exit-Code: 74[\s\S]*the system refuses open \/x \(EMFILE\); raise the limit/i,
    );
    expect(log.lines).toMatchObject([
      { level: 'error', message: 'a request failed: the system refuses open /x (EMFILE)' },
    ]);
  });

  it('tells the broker when the asker hangs up, and wipes what it is given too late', async () => {
    const { broker } = await start();
    let release = () => {};
    const aborted = new Promise<void>((resolve) => {
      broker.script = (asked) => {
        asked.signal.addEventListener('abort', () => resolve());
        return new Promise((answer) => {
          release = () => answer(broker.give(asked, { value: KEY }));
        });
      };
    });
    const connection = await server.connect();
    connection.send(REQUEST);
    while (broker.asks.length === 0) await new Promise(setImmediate);
    connection.socket.destroy();
    await aborted;
    release();
    await new Promise(setImmediate);
    expect(() => broker.answers[0]?.secrets.get('value')?.bytes).toThrow('wiped');
    expect(broker.delivered).toBe(0);
  });

  it('is no longer than anybody else allowed to be silent', async () => {
    const clock = new FakeClock(Date.UTC(2030, 0, 1));
    await start({ clock });
    const connection = await server.connect();
    while (server.server.connections === 0) await new Promise(setImmediate);
    await clock.advance(5_000);
    await connection.closed;
    expect(connection.received).toBe('');
  });

  it('lets an answer under way be finished when the server closes, and cuts it off when the time is over', async () => {
    const clock = new FakeClock(Date.UTC(2030, 0, 1));
    const { broker } = await start({ clock });
    const releases: (() => void)[] = [];
    broker.script = (asked) =>
      new Promise((resolve) => releases.push(() => resolve(broker.give(asked, { value: KEY }))));
    const [first, second] = [await server.connect(), await server.connect()];
    first.send(REQUEST);
    second.send(REQUEST);
    while (broker.asks.length < 2) await new Promise(setImmediate);
    const closed = server.server.close(1_000);
    releases[0]?.();
    await first.closed;
    expect(first.received).toContain(KEY);
    await clock.advance(1_000);
    await Promise.all([second.closed, closed]);
    expect(second.received).toBe('');
    expect(broker.delivered).toBe(1);
  });

  it('counts as a request like any other', async () => {
    let requests = 0;
    (await start()).server.onRequest(() => {
      requests += 1;
    });
    await ask(REQUEST);
    await server.get('/v1/health');
    expect(requests).toBe(2);
  });
});
