import { chmodSync, chownSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeDaemon, GOOD_REPLY, KEY, sends } from './fake-daemon.ts';
import { expectFailure, expectKey, helper, runHelper } from './run-helper.ts';

let home: string;

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), 'broker-key-places-'));
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

async function daemonIn(folder: string): Promise<FakeDaemon> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return await FakeDaemon.startIn(folder, sends(GOOD_REPLY));
}

/** A socket file without a server, as a killed daemon leaves it. */
async function leaveStaleSocket(file: string): Promise<void> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(`${file}.live`, resolve));
  renameSync(`${file}.live`, file);
  chmodSync(file, 0o600);
  await new Promise((resolve) => server.close(resolve));
}

describe.skipIf(helper === undefined)('where broker-key looks', () => {
  test('BROKER_SOCKET and nothing else if it is set', async () => {
    await using runtime = await daemonIn(path.join(home, 'broker'));
    const absent = path.join(home, 'absent', 'broker.sock');

    const outcome = await runHelper([], { BROKER_SOCKET: absent, XDG_RUNTIME_DIR: home });

    expectFailure(outcome, 69, `nothing answers at ${absent}; start it with \`broker daemon\``);
    expect(runtime.requests).toEqual([]);
  });

  test('without a configuration the remedy is `broker setup`, wherever the configuration is to be', async () => {
    const words =
      /is not set up: nothing answers at .*\/x\.sock and there is no configuration; run `broker setup`, or start the daemon that BROKER_SOCKET leads to/;
    const socket = { BROKER_SOCKET: path.join(home, 'x.sock') };
    const there = path.join(home, 'there');
    const file = path.join(there, 'broker', 'config.toml');
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, '');
    for (const env of [{ HOME: home }, { XDG_CONFIG_HOME: home }, { BROKER_CONFIG: `${home}/none` }]) {
      expectFailure(await runHelper([], { ...socket, ...env }), 69, words);
    }
    for (const env of [{ XDG_CONFIG_HOME: there }, { BROKER_CONFIG: file, HOME: home }]) {
      expectFailure(await runHelper([], { ...socket, ...env }), 69, /broker is not running/);
    }
    expectFailure(
      await runHelper([], { ...socket, BROKER_CONFIG: '~/c.toml' }),
      78,
      /BROKER_CONFIG must be an absolute/,
    );
  });

  test('an empty BROKER_SOCKET counts as unset', async () => {
    await using _ = await daemonIn(path.join(home, 'broker'));
    expectKey(await runHelper([], { BROKER_SOCKET: '', XDG_RUNTIME_DIR: home }), KEY);
  });

  test('XDG_RUNTIME_DIR first, where BROKER_SOCKET is not set', async () => {
    await using _ = await daemonIn(path.join(home, 'broker'));
    expectKey(await runHelper([], { XDG_RUNTIME_DIR: home }), KEY);
  });

  test('a socket without a server is 69', async () => {
    const file = path.join(home, 'broker.sock');
    await leaveStaleSocket(file);
    expectFailure(await runHelper([], { BROKER_SOCKET: file }), 69, /broker is not running/);
  });

  test('the longest path that fits is used, one byte more is 78 and named', async () => {
    const limit = process.platform === 'linux' ? 107 : 103;
    const folder = path.join(home, 'f'.repeat(limit - home.length - '//broker.sock'.length));
    await using _ = await daemonIn(folder);
    const longest = path.join(folder, 'broker.sock');
    expect(longest).toHaveLength(limit);

    expectKey(await runHelper([], { BROKER_SOCKET: longest }), KEY);
    expectFailure(await runHelper([], { BROKER_SOCKET: `${longest}x` }), 78, `${longest}x`);
    expectFailure(await runHelper([], { XDG_RUNTIME_DIR: folder }), 78, folder);
    expectFailure(await runHelper([], { BROKER_SOCKET: `/${'x'.repeat(100_000)}` }), 78, /BROKER_SOCKET/);
  });

  test.each(['broker.sock', './broker.sock', '~/broker.sock'])('BROKER_SOCKET=%s is not absolute: 78', async (file) => {
    expectFailure(await runHelper([], { BROKER_SOCKET: file }, { cwd: home }), 78, /absolute/);
  });
});

describe.skipIf(helper === undefined)('what broker-key does not trust', () => {
  test.each([0o710, 0o701, 0o755, 0o770, 0o720])('a folder with mode %o', async (mode) => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));
    chmodSync(daemon.folder, mode);

    const outcome = await runHelper([], { BROKER_SOCKET: daemon.socket });

    expectFailure(outcome, 77, `run \`chmod 700 '${daemon.folder}'\``);
    expect(daemon.requests).toEqual([]);
  });

  test.each([0o660, 0o606, 0o777, 0o604])('a socket with mode %o', async (mode) => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));
    chmodSync(daemon.socket, mode);

    expectFailure(await runHelper([], { BROKER_SOCKET: daemon.socket }), 77, `chmod 600 '${daemon.socket}'`);
    expect(daemon.requests).toEqual([]);
  });

  test('no folder of everybody’s and no file of yours is to be changed or removed', async () => {
    const file = path.join(home, 'notes.txt');
    writeFileSync(file, 'mine', { mode: 0o600 });
    for (const given of ['/tmp/broker.sock', file, path.join(file, 'broker.sock')]) {
      const outcome = await runHelper([], { BROKER_SOCKET: given });
      expectFailure(outcome, 77, /set BROKER_SOCKET to a path in a folder of your own$/m);
      expect(outcome.stderr).not.toMatch(/chmod|rm |chown/);
    }
  });

  test('a folder or a socket that is a link', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));
    const folder = path.join(home, 'folder');
    const socket = path.join(home, 'link.sock');
    symlinkSync(daemon.folder, folder);
    symlinkSync(daemon.socket, socket);

    for (const file of [`${folder}/broker.sock`, `${folder}//broker.sock`, socket]) {
      expectFailure(await runHelper([], { BROKER_SOCKET: file }), 77, /symbolic link/);
    }
    expect(daemon.requests).toEqual([]);
  });

  test('a file, a folder or a datagram socket in the socket’s place', async () => {
    const file = path.join(home, 'file');
    writeFileSync(file, '', { mode: 0o600 });
    const folder = path.join(home, 'folder');
    mkdirSync(folder, { mode: 0o700 });

    expectFailure(await runHelper([], { BROKER_SOCKET: file }), 77, /is not a socket/);
    expectFailure(await runHelper([], { BROKER_SOCKET: folder }), 77, /is not a socket/);
    expectFailure(await runHelper([], { BROKER_SOCKET: path.join(file, 'broker.sock') }), 77, /is not a folder/);
  });

  test.each(['x', '-1', '4294967295', '1 2', '99999999999'])('BROKER_SERVER_UID=%s is 78', async (uid) => {
    const env = { BROKER_SOCKET: path.join(home, 'broker.sock'), BROKER_SERVER_UID: uid };
    expectFailure(await runHelper([], env), 78, /BROKER_SERVER_UID/);
  });

  test('BROKER_SERVER_UID without BROKER_SOCKET is 78', async () => {
    expectFailure(await runHelper([], { XDG_RUNTIME_DIR: home, BROKER_SERVER_UID: '0' }), 78, /together with/);
  });

  test.skipIf(process.getuid?.() !== 0)('a folder, then a socket, of another user', async () => {
    await using daemon = await FakeDaemon.start(sends(GOOD_REPLY));

    chownSync(daemon.socket, 54_321, 0);
    expectFailure(await runHelper([], { BROKER_SOCKET: daemon.socket }), 77, /another user/);
    chownSync(daemon.folder, 54_321, 0);
    expectFailure(
      await runHelper([], { BROKER_SOCKET: daemon.socket }),
      77,
      `${daemon.folder} belongs to another user`,
    );
    expect(daemon.requests).toEqual([]);
  });
});
