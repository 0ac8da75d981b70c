import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../fakes/fake-clock.ts';
import { CREDENTIAL, KEY, START_MS, STATUS } from '../fakes/scripted-broker.ts';
import { type RawConnection, TestServer } from '../fakes/test-server.ts';

// The clock stands still unless a test moves it: whatever is answered here was not waiting for any time limit.
let clock: FakeClock;
let server: TestServer;
beforeEach(async () => {
  clock = new FakeClock(START_MS);
  server = await TestServer.start({ clock });
});
afterEach(() => server.stop());

const KEY_PATH = '/v1/credentials/anthropic/key';
const REQUEST = `GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\n\r\n`;

async function expectGoodAnswers(count = 20): Promise<void> {
  const replies = await Promise.all(Array.from({ length: count }, () => server.get(KEY_PATH)));
  expect(replies.map(({ status, body }) => `${status} ${body}`)).toEqual(Array(count).fill(`200 ${KEY}`));
}

function connectMany(count: number): Promise<RawConnection[]> {
  return Promise.all(Array.from({ length: count }, () => server.connect()));
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

/** Follows the connections that were closed, without waiting for any. */
function watch(connections: readonly RawConnection[]): { readonly open: () => number } {
  let open = connections.length;
  for (const { closed } of connections) void closed.then(() => open--);
  return { open: () => open };
}

describe('garbage', () => {
  it.each([
    ['noise', '\x00\xff\x16\x03\x01\x02'],
    ['another protocol', 'get key anthropic\r\n\r\n'],
    ['a broken header', `GET ${KEY_PATH} HTTP/1.1\r\nhost x\r\n\r\n`],
    [
      'a smuggled length',
      `POST /v1/refresh HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`,
    ],
    ['HTTP of tomorrow', `GET ${KEY_PATH} HTTP/9.9\r\nhost: x\r\n\r\n`],
  ])('(%s) gets 400 and is shown out', async (_, text) => {
    const connection = await server.connect();
    connection.send(text);
    await connection.closed;
    expect(connection.received).toMatch(
      /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*broker-exit-code: 64\r\n[\s\S]*"ERR_USAGE"/,
    );
    await expectGoodAnswers();
  });

  it('after a good request does not cost that one its answer', async () => {
    let release = () => {};
    server.broker.script = (ask) =>
      new Promise((resolve) => {
        release = () => resolve(server.broker.give(ask, { value: KEY }));
      });
    const connection = await server.connect();
    connection.send(`${REQUEST}\x00\x01garbage\r\n\r\n`);
    while (server.broker.asks.length === 0) await turns(1);
    await turns(5);
    release();
    await connection.closed;
    expect(connection.received).toMatch(new RegExp(`^HTTP/1.1 200 OK[\\s\\S]*${KEY}HTTP/1.1 400 Bad Request`));
  });
});

describe('headers', () => {
  it('of a megabyte get 431', async () => {
    const connection = await server.connect();
    connection.send(`GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(1_000_000)}\r\n\r\n`);
    await connection.closed;
    expect(connection.received).toMatch(/^HTTP\/1\.1 431 /);
    await expectGoodAnswers();
  });

  it('without an end are cut off, however little comes at a time', async () => {
    const connection = await server.connect();
    connection.send(`GET ${KEY_PATH} HTTP/1.1\r\nhost: x\r\n`);
    const done = watch([connection]);
    while (done.open() > 0) {
      connection.send('x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n');
      await turns(1);
    }
    expect(server.broker.asks).toEqual([]);
    await expectGoodAnswers();
  });
});

describe('half a request', () => {
  it('delays nobody and is closed after five seconds, however often a byte is added', async () => {
    const connections = await connectMany(50);
    for (const connection of connections) connection.send(`GET ${KEY_PATH} HTT`);
    await expectGoodAnswers();
    const watched = watch(connections);
    await clock.advance(2_500);
    for (const connection of connections) connection.send('P/1.1\r\nhost: ');
    await turns(5);
    await clock.advance(2_499);
    expect(watched.open()).toBe(50);
    await clock.advance(1);
    await Promise.all(connections.map(({ closed }) => closed));
    expect(server.broker.asks).toHaveLength(20);
  });

  it('of a body is answered and not waited for', async () => {
    const connection = await server.connect();
    connection.send('POST /v1/refresh HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc');
    await connection.closed;
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close/i);
  });
});

describe('silent connections', () => {
  it('(200 of them) delay nobody and are closed after five seconds', async () => {
    const silent = await connectMany(200);
    await expectGoodAnswers();
    const watched = watch(silent);
    await clock.advance(4_999);
    expect(watched.open()).toBe(200);
    await clock.advance(1);
    await Promise.all(silent.map(({ closed }) => closed));
    expect(server.server.connections).toBe(0);
  });

  it('(1,000 of them) make room, the oldest first, and delay nobody', async () => {
    const first = await connectMany(500);
    const firstWatched = watch(first);
    const asking = expectGoodAnswers(50);
    const last = await connectMany(500);
    const lastWatched = watch(last);
    await asking;
    await expectGoodAnswers(50);
    while (server.server.connections > 512) await turns(1);
    while (firstWatched.open() + lastWatched.open() > 512) await turns(1);
    expect(lastWatched.open()).toBe(500);
    await expectGoodAnswers(50);
  });

  it('never push out somebody who has an answer coming', async () => {
    const waiting: (() => void)[] = [];
    server.broker.script = (ask) =>
      new Promise((resolve) => waiting.push(() => resolve(server.broker.give(ask, { value: KEY }))));
    const asking = Array.from({ length: 100 }, () => server.get(KEY_PATH));
    while (waiting.length < 100) await turns(1);
    const watched = watch(await connectMany(1_000));
    while (watched.open() > 512) await turns(1);
    for (const release of waiting) release();
    const replies = await Promise.all(asking);
    expect(replies.every(({ body }) => body === KEY)).toBe(true);
  });

  it('that come in one go with a request among them leave it its answer', async () => {
    const crowd = [connectMany(900)];
    const good = server.get(KEY_PATH);
    crowd.push(connectMany(900));
    expect((await good).body).toBe(KEY);
    await Promise.all(crowd);
  });

  it('are refused at once where there is no end of them', async () => {
    await server.stop();
    server = await TestServer.start({ clock, limits: { connections: 20, connectionsAtMost: 20 } });
    server.broker.script = () => new Promise(() => {});
    const busy = await connectMany(20);
    for (const connection of busy) connection.send(REQUEST);
    while (server.broker.asks.length < 20) await turns(1);
    const another = await server.connect();
    await another.closed;
    expect(watch(busy).open()).toBe(20);
  });
});

describe('asks that wait for a provider', () => {
  const SLOW = REQUEST.replace('anthropic', 'slow');

  beforeEach(async () => {
    await server.stop();
    server = await TestServer.start({ clock, limits: { connections: 8, connectionsAtMost: 100, waiting: 10 } });
    server.broker.script = (ask) =>
      ask.credential === 'slow'
        ? new Promise((_, reject) => ask.signal.addEventListener('abort', () => reject(ask.signal.reason as Error)))
        : Promise.resolve(server.broker.give(ask, { value: KEY }));
  });

  it('are told at once to come back beyond a limit, and take no connection from one that can be answered', async () => {
    const crowd = await connectMany(50);
    for (const connection of crowd) connection.send(SLOW);
    const refused = () => crowd.filter(({ received }) => received.includes('ERR_OVERLOADED'));
    while (refused().length < 40) await turns(1);
    await expectGoodAnswers(20);
    // Those that came first go on waiting.
    expect(refused()).toEqual(crowd.slice(10));
    expect(refused()[0]?.received).toMatch(/^HTTP\/1\.1 503 [\s\S]*10 asks wait for their providers already/);
  });

  it('may ask again on the connection on which they were refused', async () => {
    const crowd = await connectMany(11);
    for (const connection of crowd) connection.send(SLOW);
    const last = crowd.at(-1);
    while (last?.received.includes('ERR_OVERLOADED') !== true) await turns(1);
    last.send(REQUEST);
    await last.until((text) => text.endsWith(KEY));
  });

  it('in any number leave time to send a request to one that has just connected', async () => {
    const crowd = await connectMany(10);
    for (const connection of crowd) connection.send(SLOW);
    while (server.broker.asks.length < 10) await turns(1);
    const late = await server.connect();
    await turns(20);
    late.send(REQUEST);
    await late.until((text) => text.endsWith(KEY));
  });
});

describe('slow readers', () => {
  it('of a large answer delay nobody and are cut off after ten seconds', async () => {
    const credentials = Array.from({ length: 5_000 }, (_, i) => ({ ...CREDENTIAL, name: `c${i}` }));
    server.broker.report = { ...STATUS, credentials };
    const reader = await server.connect();
    reader.socket.pause();
    reader.send('GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n');
    await expectGoodAnswers();
    expect(server.server.connections).toBe(1);
    await clock.advance(9_999);
    expect(server.server.connections).toBe(1);
    await clock.advance(1);
    while (server.server.connections > 0) await turns(1);
  });

  it('of the events hold up neither the events nor other readers, and are cut off', async () => {
    const reader = await server.connect();
    reader.socket.pause();
    reader.send('GET /v1/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n');
    while (server.broker.followers === 0) await turns(1);
    const detail = { padding: 'x'.repeat(1_000) };
    for (let i = 0; i < 2_000; i++) server.broker.happen('served', 'anthropic', detail);
    await expectGoodAnswers();
    expect((await server.get('/v1/events?limit=5')).status).toBe(200);
    await clock.advance(10_000);
    while (server.broker.followers > 0) await turns(1);
  });
});

describe('pipelining', () => {
  it('answers every request in its order, one at a time', async () => {
    let running = 0;
    let most = 0;
    server.broker.script = async (ask) => {
      most = Math.max(most, ++running);
      await turns(2);
      running--;
      return server.broker.give(ask, { value: `key-of-${ask.credential}` });
    };
    const names = Array.from({ length: 300 }, (_, i) => `c${i}`);
    const connection = await server.connect();
    connection.send(names.map((name) => `GET /v1/credentials/${name}/key HTTP/1.1\r\nhost: x\r\n\r\n`).join(''));
    await connection.until((text) => text.includes('key-of-c299'));
    expect([...connection.received.matchAll(/key-of-(c\d+)/g)].map(([, name]) => name)).toEqual(names);
    expect(most).toBe(1);
  });

  it('of no end asks the broker no more than one thing at a time', async () => {
    server.broker.script = () => new Promise(() => {});
    const connection = await server.connect();
    connection.send(REQUEST.repeat(20_000));
    while (server.broker.asks.length === 0) await turns(1);
    await turns(20);
    expect(server.broker.asks).toHaveLength(1);
    connection.socket.destroy();
    while (server.server.connections > 0) await turns(1);
  });
});

describe('early hang-up', () => {
  it('of the sending half alone ends a wait as well, but not an answer that is there', async () => {
    const quick = await server.connect();
    quick.socket.end(REQUEST);
    await quick.closed;
    expect(quick.received).toContain(KEY);

    const aborted = new Promise<void>((resolve) => {
      server.broker.script = (ask) => {
        ask.signal.addEventListener('abort', () => resolve());
        return new Promise(() => {});
      };
    });
    const waiting = await server.connect();
    waiting.socket.end(REQUEST);
    await aborted;
    await waiting.closed;
  });

  it('before, in and after a request harms nobody, a hundred at a time', async () => {
    const connections = await connectMany(100);
    connections.forEach((connection, i) => {
      if (i % 3 === 1) connection.send(REQUEST);
      if (i % 3 === 2) connection.send(REQUEST.slice(0, 20));
      if (i % 2 === 0) connection.socket.destroy();
      else connection.socket.destroySoon();
    });
    await expectGoodAnswers();
    while (server.server.connections > 0) await turns(1);
    for (const { secrets } of server.broker.answers) {
      expect(() => secrets.get('value')?.bytes).toThrow('wiped');
    }
  });
});

it('keeps a connection for the next request and closes it when none comes', async () => {
  const connection = await server.connect();
  for (let i = 1; i <= 3; i++) {
    connection.send(REQUEST);
    await connection.until((text) => text.split(KEY).length === i + 1);
    await clock.advance(4_000);
  }
  const watched = watch([connection]);
  await clock.advance(999);
  expect(watched.open()).toBe(1);
  await clock.advance(1);
  await connection.closed;
});
