import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { GOOD_REPLY, KEY } from './fake-daemon.ts';
import { expectKey, helper, runHelper } from './run-helper.ts';

/** A server that lets one connection wait in line. */
const SERVER = `
  const [socket, reply] = process.argv.slice(1);
  const server = require('node:net').createServer((connection) => {
    connection.on('error', () => {});
    connection.once('data', () => connection.end(reply));
  });
  process.umask(0o177);
  server.listen({ path: socket, backlog: 1 }, () => console.log('ready'));`;

/** Fills the line until no more fit: connecting then fails with EAGAIN. */
async function fillQueue(socket: string): Promise<net.Socket[]> {
  const waiting: net.Socket[] = [];
  for (;;) {
    const connection = net.connect(socket);
    const [error] = await Promise.race([once(connection, 'connect'), once(connection, 'error')]).catch((e) => [e]);
    if (error !== undefined) {
      expect(error).toMatchObject({ code: 'EAGAIN' });
      return waiting;
    }
    waiting.push(connection);
  }
}

describe.skipIf(helper === undefined || process.platform !== 'linux')('a daemon whose queue is full', () => {
  test('is asked as soon as there is room', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'broker-key-busy-'));
    const socket = path.join(folder, 'broker.sock');
    const server = spawn(process.execPath, ['-e', SERVER, socket, GOOD_REPLY]);
    await once(server.stdout, 'data');
    server.kill('SIGSTOP');
    const waiting = await fillQueue(socket);

    const asked = runHelper([], { BROKER_SOCKET: socket });
    const early = await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 100, 'still waiting'))]);
    expect(early).toBe('still waiting');
    server.kill('SIGCONT');

    expectKey(await asked, KEY);
    for (const connection of waiting) connection.destroy();
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(folder, { recursive: true });
  });
});
