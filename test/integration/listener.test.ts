import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadNative } from '../../src/platform/native.ts';
import { bindSocket, takeInheritedSocket } from '../../src/server/listener.ts';
import { KEY } from '../fakes/scripted-broker.ts';

const SERVER = fileURLToPath(new URL('../fixtures/socket-server.ts', import.meta.url));
const uid = process.getuid?.() ?? 0;
let base: string;
let folder: string;
let path: string;
let children: ChildProcess[] = [];
let servers: net.Server[] = [];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'broker-listen-'));
  folder = join(base, 'run');
  path = join(folder, 'broker.sock');
});
afterEach(async () => {
  for (const child of children) await stop(child, 'SIGKILL');
  for (const server of servers) await new Promise((done) => server.close(done));
  children = [];
  servers = [];
  rmSync(base, { recursive: true });
});

async function startServer(fd?: number): Promise<ChildProcess> {
  const env = { ...process.env, ...(fd === undefined ? {} : { LISTEN_FDS: '1' }) };
  const stdio = ['ignore', 'pipe', 'inherit', ...(fd === undefined ? [] : [fd])] as const;
  const child = spawn(process.execPath, [SERVER, path], { stdio: [...stdio], env });
  children.push(child);
  await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`exit ${code}`))),
  ]);
  return child;
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

function ask(): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath: path, path: '/v1/credentials/_default/key', agent: false }, (response) => {
      response.setEncoding('utf8').once('data', resolve);
    });
    request.on('error', reject);
  });
}

function plainServer(): net.Server {
  const server = net.createServer();
  servers.push(server);
  return server;
}

describe.each([
  ['with the addon', loadNative()],
  ['without it', undefined],
])('bindSocket %s', (_name, native) => {
  it('makes folder and socket for us alone and leaves no temporary name', async () => {
    await bindSocket(plainServer(), { path, folder, uid }, native);
    expect(lstatSync(folder).mode & 0o777).toBe(0o700);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['broker.sock']);
    expect(process.umask()).not.toBe(0o177);
  });

  it('takes the place of a socket whose daemon was killed', async () => {
    await stop(await startServer(), 'SIGKILL');
    expect(existsSync(path)).toBe(true);
    await startServer();
    expect(await ask()).toBe(KEY);
  });

  it('stops without taking a successor’s socket along', async () => {
    const first = await startServer();
    // What a successor would do that came to hold the lock while the first was still going down.
    rmSync(path);
    await startServer();
    await stop(first, 'SIGTERM');
    expect(first.exitCode).toBe(0);
    expect(await ask()).toBe(KEY);
  });

  it('removes its own socket when it stops', async () => {
    const child = await startServer();
    await stop(child, 'SIGTERM');
    expect(child.exitCode).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is refused where another daemon answers', async () => {
    await startServer();
    await expect(bindSocket(plainServer(), { path, folder, uid }, native)).rejects.toMatchObject({
      code: 'ERR_ALREADY_RUNNING',
    });
    expect(await ask()).toBe(KEY);
    expect(readdirSync(folder)).toEqual(['broker.sock']);
  });

  it.each([
    ['a file', () => writeFileSync(path, '')],
    ['a folder', () => mkdirSync(path)],
    ['a link', () => symlinkSync('/nowhere', path)],
  ])('is refused where %s is in the way', async (_, make) => {
    mkdirSync(folder, { mode: 0o700 });
    make();
    await expect(bindSocket(plainServer(), { path, folder, uid }, native)).rejects.toMatchObject({
      code: 'ERR_UNSAFE_FILE',
    });
    expect(lstatSync(path)).toBeDefined();
  });

  it('is refused in a folder that others can reach', async () => {
    mkdirSync(folder);
    chmodSync(folder, 0o755);
    await expect(bindSocket(plainServer(), { path, folder, uid }, native)).rejects.toMatchObject({
      code: 'ERR_UNSAFE_FILE',
      remedy: expect.stringContaining(`chmod 700 ${folder}`) as string,
    });
  });

  it('says where it could not listen', async () => {
    const place = { path: join('/proc', 'x', 'broker.sock'), folder: '/proc/x', uid };
    await expect(bindSocket(plainServer(), place, native)).rejects.toMatchObject({
      code: 'ERR_IO',
      message: expect.stringContaining('/proc/x/broker.sock') as string,
    });
  });
});

const kernelKnows = (name: string) =>
  readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some((line) => line.endsWith(` ${name}`));

describe.skipIf(process.platform !== 'linux' || loadNative() === undefined)('a socket bound with the addon', () => {
  // systemd-tmpfiles takes a socket for dead whose path is not in /proc/net/unix, and removes it after its time.
  it('is known to the kernel by the path at which it is found', async () => {
    await bindSocket(plainServer(), { path, folder, uid }, loadNative());
    expect(kernelKnows(path)).toBe(true);
  });

  it('goes on to another socket when its path is gone, and keeps the connections it has', async () => {
    const server = plainServer();
    server.on('connection', (socket) => socket.pipe(socket));
    const first = await bindSocket(server, { path, folder, uid }, loadNative());
    const client = net.connect(path);
    await once(client, 'connect');
    rmSync(path);
    expect(first.isThere()).toBe(false);
    const second = await bindSocket(server, { path, folder, uid }, loadNative());
    expect(second.isThere()).toBe(true);
    for (const socket of [client, net.connect(path)]) {
      socket.write('still here');
      expect(String(await once(socket, 'data'))).toBe('still here');
      socket.destroy();
    }
    expect(kernelKnows(path)).toBe(true);
  });
});

describe('socket activation', () => {
  it('serves on the socket handed down and leaves it alone on its way out: the next one answers there', async () => {
    mkdirSync(folder, { mode: 0o700 });
    const holder = plainServer();
    const temporary = join(folder, 'holder.sock');
    await new Promise<void>((done) => holder.listen(temporary, done));
    renameSync(temporary, path);
    const fd = (holder as unknown as { _handle: { fd: number } })._handle.fd;
    const [first] = await Promise.all([startServer(fd), startServer(fd)]);
    await new Promise((done) => holder.close(done));

    await stop(first, 'SIGTERM');
    expect(first.exitCode).toBe(0);
    expect(await ask()).toBe(KEY);
  });

  it('takes only what was meant for this process, and hides it from children', () => {
    const others = { LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_FDNAMES: 'x', PATH: '/bin' };
    expect(takeInheritedSocket(others, 2)).toBeUndefined();
    expect(others).toEqual({ PATH: '/bin' });
    expect(takeInheritedSocket({ LISTEN_PID: '2', LISTEN_FDS: '0' }, 2)).toBeUndefined();
    expect(takeInheritedSocket({}, 2)).toBeUndefined();
  });
});
