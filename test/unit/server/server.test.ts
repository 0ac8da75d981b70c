import { afterEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../src/errors.ts';
import { type Caller, NOBODY } from '../../../src/platform/client-identity.ts';
import { CLAUDE_CODE } from '../../../src/platform/known-clients.ts';
import type { PeerCredentials } from '../../../src/server/peer.ts';
import type { BrokerServerOptions } from '../../../src/server/server.ts';
import { CollectingLog } from '../../fakes/collecting-log.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { KEY, START_MS } from '../../fakes/scripted-broker.ts';
import { TestServer, UID } from '../../fakes/test-server.ts';

let server: TestServer;
const start = async (options: Partial<BrokerServerOptions> = {}) => {
  server = await TestServer.start(options);
  return server;
};
afterEach(() => server.stop());

const KEY_PATH = '/v1/credentials/anthropic/key';

describe('GET …/key', () => {
  it('gives the key alone, says what it is in headers, forbids storing it, and wipes it afterwards', async () => {
    const { broker } = await start();
    const reply = await server.get(KEY_PATH);
    expect(reply.status).toBe(200);
    expect(reply.body).toBe(KEY);
    expect(reply.headers).toMatchObject({
      'content-type': 'text/plain; charset=us-ascii',
      'content-length': String(KEY.length),
      'cache-control': 'no-store',
      age: '42',
      'broker-key-version': '7',
      'broker-key-expires': '2030-01-01T01:00:00.000Z',
      'broker-key-state': 'fresh',
    });
    expect(broker.delivered).toBe(1);
    expect(() => broker.answers[0]?.secrets.get('value')?.bytes).toThrow('wiped');
  });

  it('hands on what the request says and asks for the default by its own name', async () => {
    const { broker } = await start();
    await server.get(KEY_PATH, { 'Broker-Client-Interval-Ms': '60000' });
    await server.get('/v1/credentials/_default/key');
    await server.get(KEY_PATH, { 'Broker-Client-Interval-Ms': '-5' });
    await server.get(KEY_PATH, { 'Broker-Client-Interval-Ms': '0' });
    await server.get(KEY_PATH, { 'Broker-Client-Interval-Ms': '5m' });
    expect(broker.asks.map(({ credential, intervalMs }) => [credential, intervalMs])).toEqual([
      ['anthropic', 60_000],
      [undefined, 300_000],
      ['anthropic', 300_000],
      ['anthropic', 0],
      ['anthropic', 5],
    ]);
  });

  it('shows the expiry by the wall clock, which may be off from steady time', async () => {
    const clock = new FakeClock(START_MS);
    clock.setWall(START_MS + 86_400_000);
    await start({ clock });
    expect((await server.get(KEY_PATH)).headers['broker-key-expires']).toBe('2030-01-02T01:00:00.000Z');
  });

  it('knows formats, its own and those handed in, and names them when asked for another', async () => {
    const formats = new Map([['headers', () => ({ contentType: 'application/json', body: Buffer.from('{"a":"b"}') })]]);
    await start({ formats });
    expect(JSON.parse((await server.get(`${KEY_PATH}?format=json`)).body)).toMatchObject({ key: KEY, version: '7' });
    expect((await server.get(`${KEY_PATH}?format=headers`)).body).toBe('{"a":"b"}');
    const refused = await server.get(`${KEY_PATH}?format=yaml`);
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.body)).toMatchObject({
      code: 'ERR_USAGE',
      remedy: 'the formats are: raw, json, env, headers',
    });
  });

  it('tells the broker who asks and for what, and nothing that its hints do not say', async () => {
    const client = { id: '9:1', pid: 9, startTime: '1', name: 'claude', known: CLAUDE_CODE };
    const asked: unknown[] = [];
    const identify = (peer: PeerCredentials | undefined, hints: string | undefined): Caller => {
      asked.push([peer?.pid, hints]);
      return { client, saysRejected: false, mayBeOwn: hints === 'stdin=socket', origin: () => 'unknown' };
    };
    const { broker } = await start({ peers: { identify, peerCredentials: () => ({ pid: 77, uid: UID }) } });
    await server.get(KEY_PATH, { 'Broker-Client-Hints': 'stdin=socket' });
    await server.get(`${KEY_PATH}?format=json`, { 'Broker-Client-Hints': 'stdin=socket' });
    await server.get(KEY_PATH);
    expect(asked).toEqual([
      [77, 'stdin=socket'],
      [77, 'stdin=socket'],
      [77, undefined],
    ]);
    expect(broker.asks.map((ask) => [ask.mayBeOwn, ask.format, ask.client])).toEqual([
      [true, 'raw', client],
      [true, 'json', client],
      [false, 'raw', client],
    ]);
  });

  it('tells the broker when the asker hangs up, wipes what comes too late and counts nothing', async () => {
    const { broker } = await start();
    let release = () => {};
    const aborted = new Promise<void>((resolve) => {
      broker.script = (ask) => {
        ask.signal.addEventListener('abort', () => resolve());
        return new Promise((answer) => {
          release = () => answer(broker.give(ask, { value: KEY }));
        });
      };
    });
    const connection = await server.connect();
    connection.send(`GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\n\r\n`);
    while (broker.asks.length === 0) await new Promise(setImmediate);
    connection.socket.destroy();
    await aborted;
    release();
    await new Promise(setImmediate);
    expect(() => broker.answers[0]?.secrets.get('value')?.bytes).toThrow('wiped');
    expect(broker.delivered).toBe(0);
  });
});

describe('errors', () => {
  const failWith = (error: Error) => {
    server.broker.script = () => Promise.reject(error);
  };

  it('are problem documents with the exit code in a header', async () => {
    await start();
    failWith(new BrokerError('ERR_REFRESH_PENDING', 'no key yet', { remedy: 'try again' }));
    const reply = await server.get(KEY_PATH);
    expect(reply.status).toBe(504);
    expect(reply.headers).toMatchObject({ 'content-type': 'application/problem+json', 'broker-exit-code': '75' });
    expect(JSON.parse(reply.body)).toEqual({
      type: 'urn:apikey-broker:error:ERR_REFRESH_PENDING',
      title: 'Refresh still under way',
      status: 504,
      detail: 'no key yet',
      code: 'ERR_REFRESH_PENDING',
      remedy: 'try again',
      exitCode: 75,
    });
  });

  it('are one line for whoever asks for text/plain', async () => {
    await start();
    failWith(new BrokerError('ERR_GONE', 'no secret', { remedy: 'ask your admin' }));
    const reply = await server.get(KEY_PATH, { accept: 'text/plain' });
    expect(reply.status).toBe(410);
    expect(reply.headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'broker-exit-code': '77' });
    expect(reply.body).toBe('no secret; ask your admin\n');
  });

  it('that are faults of the daemon itself keep their words for the log', async () => {
    await start();
    failWith(new TypeError('hvs.secret of undefined'));
    const reply = await server.get(KEY_PATH);
    expect(reply.status).toBe(500);
    expect(reply.body).not.toContain('hvs.');
    expect(JSON.parse(reply.body)).toMatchObject({ code: 'ERR_INTERNAL', exitCode: 70 });
  });

  it('of a formatter wipe the key, too', async () => {
    const { broker } = await start();
    broker.script = async (ask) => broker.give(ask, { a: 'x', b: 'y' });
    expect((await server.get(KEY_PATH)).status).toBe(400);
    expect(() => broker.answers[0]?.secrets.get('a')?.bytes).toThrow('wiped');
    expect(broker.delivered).toBe(0);
  });

  it('name the method that goes with a path', async () => {
    await start();
    const reply = await server.request('DELETE', KEY_PATH);
    expect([reply.status, reply.headers.allow]).toEqual([405, 'GET']);
  });
});

describe('the other routes', () => {
  it('refresh and invalidate what they are told to, and answer with the new state', async () => {
    const { broker } = await start();
    expect(JSON.parse((await server.request('POST', '/v1/credentials/anthropic/refresh')).body)).toMatchObject({
      name: 'anthropic',
    });
    await server.request('POST', '/v1/credentials/_default/refresh');
    const all = JSON.parse((await server.request('POST', '/v1/refresh')).body);
    expect(all.credentials).toHaveLength(1);
    expect(broker.refreshed).toEqual(['anthropic', undefined, '*']);
    const dropped = await server.request('POST', '/v1/credentials/anthropic/invalidate');
    expect(JSON.parse(dropped.body)).toMatchObject({ state: 'idle' });
    expect((await server.request('POST', '/v1/credentials/nobody/refresh')).status).toBe(404);
  });

  it('tell the status, and health by the HTTP status as well', async () => {
    const { broker } = await start();
    expect(JSON.parse((await server.get('/v1/status')).body)).toEqual(broker.report);
    expect((await server.get('/v1/health')).status).toBe(200);
    broker.healthReport = { ok: false, problem: 'x', remedy: 'y' };
    expect((await server.get('/v1/health')).status).toBe(503);
  });

  it('give figures in OpenMetrics', async () => {
    await start();
    const { headers, body } = await server.get('/v1/metrics');
    expect(headers['content-type']).toContain('application/openmetrics-text');
    expect(body).toContain('# TYPE broker_keys_served counter\n');
    expect(body).toContain('broker_keys_served_total{credential="anthropic",provider="vault-prod"} 1234\n');
    expect(body).toContain('broker_credential_state{credential="anthropic",provider="vault-prod",state="fresh"} 1\n');
    expect(body).toContain(
      `broker_key_expiry_timestamp_seconds{credential="anthropic",provider="vault-prod"} 1893459600\n`,
    );
    expect(body).toContain('broker_test_total{a="x\\"y"} 3\n');
    expect(body).toContain('broker_connections 1\n');
    expect(body.endsWith('# EOF\n')).toBe(true);
  });

  it('refuse a long body and do without a short one', async () => {
    await start();
    expect((await server.request('POST', '/v1/refresh', {}, 'x'.repeat(4096))).status).toBe(200);
    expect((await server.request('POST', '/v1/refresh', {}, 'x'.repeat(4097))).status).toBe(413);
  });
});

describe('peers', () => {
  it('of another user, or unknown to the kernel, are refused before they can ask', async () => {
    let peer: { pid: number; uid: number } | undefined = { pid: 1, uid: UID + 1 };
    const { broker } = await start({
      peers: { identify: () => NOBODY, peerCredentials: () => peer },
    });
    const first = await server.connect();
    await first.closed;
    expect(first.received).toMatch(/^HTTP\/1\.1 403 [\s\S]*broker-exit-code: 77[\s\S]*ERR_PEER_REFUSED/);
    peer = undefined;
    const second = await server.connect();
    await second.closed;
    expect(second.received).toContain('403');
    expect(broker.asks).toEqual([]);
  });

  it('that have gone before they are looked at are closed quietly, a thousand of them, and others are served', async () => {
    let gone = 1_000;
    const log = new CollectingLog();
    const peerCredentials = () => {
      gone -= 1;
      // As LOCAL_PEERPID of macOS fails once the peer has closed.
      if (gone >= 0) throw Object.assign(new Error('LOCAL_PEERPID: ENOTCONN'), { code: 'ENOTCONN' });
      return { pid: 1, uid: UID };
    };
    await start({ log, peers: { identify: () => NOBODY, peerCredentials } });
    for (let round = 0; round < 10; round += 1) {
      const peers = await Promise.all(Array.from({ length: 100 }, () => server.connect()));
      await Promise.all(peers.map(({ closed }) => closed));
      expect(peers.map(({ received }) => received).join('')).toBe('');
    }
    expect((await server.get(KEY_PATH)).body).toBe(KEY);
    expect(log.lines).toEqual([]);
  });

  it('cost their own connection when looking at them fails, and the log says so', async () => {
    const failing = [() => Object.assign(new Error('EBADF'), { code: 'EBADF' }), () => undefined];
    const log = new CollectingLog();
    const peerCredentials = () => {
      const error = failing.shift()?.();
      if (error !== undefined) throw error;
      return { pid: 1, uid: UID };
    };
    await start({ log, peers: { identify: () => NOBODY, peerCredentials } });
    const first = await server.connect();
    await first.closed;
    expect(log.lines.map(({ level, message }) => [level, message])).toEqual([
      ['error', 'a connection was closed because of an error'],
    ]);
    expect((await server.get(KEY_PATH)).body).toBe(KEY);
  });

  it.each([
    [
      'the helper',
      `GET ${KEY_PATH} HTTP/1.1\r\nHost: broker\r\nAccept: text/plain\r\nConnection: close\r\nUser-Agent: broker-key/1\r\nBroker-Client-Interval-Ms: 1\r\n\r\n`,
    ],
    ['HTTP', `GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`],
  ])('have their answer, and nobody else feels it, when what follows the answer fails (%s)', async (_, request) => {
    const { broker } = await start();
    broker.script = async (ask) => ({
      ...broker.give(ask, { value: KEY }),
      delivered: () => {
        throw new Error('no space left');
      },
    });
    const peer = await server.connect();
    peer.send(request);
    await peer.closed;
    expect(peer.received).toContain(KEY);
    expect((await server.get('/v1/health')).status).toBe(200);
  });

  it.each(['onRequest', 'now'] as const)('cost their own connection when a listener throws (%s)', async (what) => {
    const clock = new FakeClock(START_MS);
    await start({ clock });
    let fails = true;
    const fail = () => {
      if (fails) throw new Error('broken');
    };
    if (what === 'onRequest') server.server.onRequest(fail);
    else {
      const now = clock.now.bind(clock);
      clock.now = () => {
        fail();
        return now();
      };
    }
    const peer = await server.connect();
    peer.send(`GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await peer.closed;
    fails = false;
    // It is not counted for ever.
    while (server.server.connections > 0) await new Promise(setImmediate);
    expect((await server.get(KEY_PATH)).body).toBe(KEY);
  });

  it('are looked up by a descriptor that is theirs', async () => {
    const fds: number[] = [];
    await start({
      peers: {
        identify: () => NOBODY,
        peerCredentials: (fd) => {
          fds.push(fd);
          return { pid: 1, uid: UID };
        },
      },
    });
    await server.get('/v1/health');
    expect(fds).toEqual([expect.any(Number)]);
  });
});

describe('closing', () => {
  it('finishes answers under way, closes who is idle, and takes nobody new', async () => {
    const { broker } = await start();
    const idle = await server.connect();
    const busy = await server.connect();
    let release = () => {};
    broker.script = (ask) =>
      new Promise((resolve) => {
        release = () => resolve(broker.give(ask, { value: KEY }));
      });
    busy.send(`GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\n\r\n`);
    while (broker.asks.length === 0) await new Promise(setImmediate);
    const closed = server.server.close(5000);
    await idle.closed;
    await expect(server.connect()).rejects.toThrow(/ECONNREFUSED/);
    release();
    await closed;
    await busy.closed;
    expect(busy.received).toContain(KEY);
  });

  it('cuts off what is not finished when the grace is over', async () => {
    const clock = new FakeClock(START_MS);
    const { broker } = await start({ clock });
    broker.script = () => new Promise(() => {});
    const busy = await server.connect();
    busy.send(`GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\n\r\n`);
    while (broker.asks.length === 0) await new Promise(setImmediate);
    const closed = server.server.close(3000);
    await clock.advance(3000);
    await Promise.all([closed, busy.closed]);
    expect(busy.received).toBe('');
  });
});

it('arms no timer while nobody is connected', async () => {
  const clock = new FakeClock(START_MS);
  await start({ clock });
  await server.get('/v1/health');
  await clock.advance(5_000);
  expect(clock.armed).toEqual([]);
});
