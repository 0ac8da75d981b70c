import { chmodSync, closeSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BrokerClient, connect } from '../../../src/client/broker-client.ts';
import { SystemClock } from '../../../src/platform/clock.ts';
import { loadNative } from '../../../src/platform/native.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { KEY, START_MS } from '../../fakes/scripted-broker.ts';
import { TestServer, UID } from '../../fakes/test-server.ts';

let server: TestServer;
let clock: FakeClock;
let rogue: net.Server | undefined;
beforeEach(async () => {
  server = await TestServer.start();
  clock = new FakeClock(START_MS);
});
afterEach(async () => {
  await closeRogue();
  await server.stop();
});

const visitors = new Set<net.Socket>();
async function closeRogue(): Promise<void> {
  for (const socket of visitors) socket.destroy();
  visitors.clear();
  if (rogue !== undefined) await new Promise((done) => rogue?.close(done));
  rogue = undefined;
}

const client = (paths: readonly string[] = [server.path], uid = UID) =>
  new BrokerClient({ places: paths.map((path) => ({ path, folder: dirname(path) })), uid, clock });

/** A second socket beside the server's, with a behaviour of its own. */
async function misbehave(onConnection: (socket: net.Socket, count: number) => void): Promise<string> {
  let count = 0;
  const path = join(server.folder, 'other.sock');
  rogue = net.createServer((socket) => {
    visitors.add(socket.on('error', () => {}));
    onConnection(socket, ++count);
  });
  await new Promise<void>((done) => rogue?.listen(path, done));
  chmodSync(path, 0o600);
  return path;
}

it('takes the first socket that answers', async () => {
  const stale = join(server.folder, 'stale.sock');
  const { body, version, state, ageSeconds } = await client([join(server.folder, 'none'), stale, server.path]).key({
    credential: undefined,
  });
  expect([body.toString(), version, state, ageSeconds]).toEqual([KEY, '7', 'fresh', 42]);
});

it('tries a refused connect again as long as a full queue may be the reason', async () => {
  const path = join(server.folder, 'stale.sock');
  const listening = loadNative()?.listenOn(path, 1) ?? -1;
  // Nothing listens on it any more.
  closeSync(listening);
  chmodSync(path, 0o600);
  const places = [{ path, folder: server.folder }];
  let pauses = 0;
  const waiting = new SystemClock();
  const after = waiting.after.bind(waiting);
  waiting.after = (delayMs, callback) => {
    if (delayMs < 100 && ++pauses === 5) renameSync(server.path, path);
    return after(delayMs, callback);
  };
  await new BrokerClient({ places, uid: UID, clock: waiting, refusedTries: 40 }).status();
  expect(pauses).toBe(5);
});

it('says where it looked when no daemon answers', async () => {
  await expect(client(['/nowhere/a.sock', '/nowhere/b.sock']).status()).rejects.toMatchObject({
    code: 'ERR_DAEMON_UNREACHABLE',
    message: 'no daemon answers at /nowhere/a.sock or /nowhere/b.sock',
    remedy: expect.stringContaining('broker daemon') as string,
  });
});

it('talks to no socket that others could have put there', async () => {
  chmodSync(server.folder, 0o755);
  await expect(client().status()).rejects.toMatchObject({ code: 'ERR_UNSAFE_FILE' });
  chmodSync(server.folder, 0o700);
  await expect(client(undefined, UID + 1).status()).rejects.toMatchObject({ code: 'ERR_UNSAFE_FILE' });
  chmodSync(server.path, 0o666);
  await expect(client().status()).rejects.toMatchObject({ code: 'ERR_UNSAFE_FILE' });
  rmSync(server.path);
  await expect(client().status()).rejects.toMatchObject({ code: 'ERR_DAEMON_UNREACHABLE' });
});

it('passes over the runtime folder of another user, as the daemon and the helper do', async () => {
  // `su` leaves the variable as it was.
  const places = [{ path: server.path, folder: server.folder, kind: 'runtime' }];
  const asked = new BrokerClient({ places, uid: UID + 1, clock }).status();
  await expect(asked).rejects.toMatchObject({ code: 'ERR_DAEMON_UNREACHABLE' });
});

it('asks again when the connection is cut before an answer', async () => {
  const path = await misbehave((socket, count) => {
    socket.once('data', () => {
      if (count < 3) socket.destroy();
      else socket.end('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsk-1');
    });
  });
  const asked = client([path]).key({ credential: 'a' });
  for (let i = 0; i < 2; i++) {
    // One timer is the time limit, the other one the pause.
    await clock.whenArmed(2);
    await clock.advance(20);
  }
  expect((await asked).body.toString()).toBe('sk-1');
});

it('never asks again for what changes something', async () => {
  let connections = 0;
  const path = await misbehave((socket, count) => {
    connections = count;
    socket.once('data', () => socket.destroy());
  });
  await expect(client([path]).invalidate('a')).rejects.toMatchObject({ code: 'ERR_IO' });
  expect(connections).toBe(1);
});

it('gives up after nine and a half seconds', async () => {
  const path = await misbehave(() => {});
  const asked = client([path]).key({ credential: 'a' });
  const outcome = expect(asked).rejects.toMatchObject({ code: 'ERR_REFRESH_PENDING', exitCode: 75 });
  await clock.advance(9_500);
  await outcome;
});

it('says so when what listens is not a broker', async () => {
  const path = await misbehave((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n<html>')));
  await expect(client([path]).status()).rejects.toMatchObject({ code: 'ERR_IO' });
});

it('gets health from a daemon that is ill', async () => {
  server.broker.healthReport = { ok: false, problem: 'x', remedy: null };
  expect(await client().health()).toEqual({ ok: false, problem: 'x', remedy: null });
});

it.each([
  { BROKER_SERVER_UID: '1000' },
  { BROKER_SERVER_UID: 'abc', BROKER_SOCKET: '/s' },
  { BROKER_SERVER_UID: '-1', BROKER_SOCKET: '/s' },
  { BROKER_SERVER_UID: '4294967295', BROKER_SOCKET: '/s' },
])('refuses %j, as broker-key does', (env) => {
  const caller = { env, homeDir: '/home/ada', uid: UID, platform: 'linux' as const, clock, userTempFolder: undefined };
  expect(() => connect(caller)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
});
