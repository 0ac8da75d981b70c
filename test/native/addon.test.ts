import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir, uptime } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { helperPath, loadNative, type NativeBindings } from '../../src/platform/native.ts';
import { compile, compiles } from './compile.ts';

const native = loadNative() as NativeBindings;
const prebuilds = path.dirname(helperPath() ?? '.');
if (native === undefined) console.warn('skipped: there is no addon here, because there is no C compiler');

/** A PID namespace of its own, where that is allowed. */
const UNSHARE = ['--user', '--map-root-user', '--pid', '--fork', '--kill-child'];
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0;
if (!canUnshare) console.warn('skipped: there are no PID namespaces for unprivileged users here');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'broker-addon-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(native === undefined)('the addon', () => {
  test.skipIf(process.platform !== 'linux')(
    'calls nothing of glibc that musl lacks: there it loads, and such a call ends the process',
    () => {
      const { stdout } = spawnSync('nm', ['-D', '--undefined-only', path.join(prebuilds, 'broker.node')], {
        encoding: 'utf8',
      });
      const needed = stdout
        .split('\n')
        .map((line) => /^\s+U (\w+)/.exec(line)?.[1] ?? '')
        .filter((name) => name !== '' && !/^(?:napi|uv)_/.test(name));
      expect(needed).toContain('getsockopt');
      // These are the names of glibc alone that compilers and headers put in; musl has the first two under the same names.
      const ofGlibc = needed.filter((name) => /^(?:__\w+|malloc_\w+|mallinfo\d?|gnu_\w+|backtrace\w*)$/.test(name));
      const inMusl = [
        '__errno_location',
        '__stack_chk_fail',
        '__stack_chk_guard',
        '__isoc99_sscanf',
        '__libc_current_sigrtmax',
        '__libc_current_sigrtmin',
      ];
      expect(ofGlibc.filter((name) => !inMusl.includes(name))).toEqual([]);
    },
  );

  test('knows who is at the other end of a socket', async () => {
    const socket = path.join(folder, 's');
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const script = `require('node:net').connect(${JSON.stringify(socket)}).resume()`;
    const peer = spawn(process.execPath, ['-e', script]);

    const [connection] = (await once(server, 'connection')) as [net.Socket & { _handle: { fd: number } }];

    const credentials = native.peerCredentials(connection._handle.fd);
    const { ppid, ...rest } = credentials;
    expect(rest).toEqual({ pid: peer.pid, uid: process.getuid?.(), gid: process.getgid?.() });
    // Where the kernel cannot say it there is nothing, and never another number.
    expect([process.pid, undefined]).toContain(ppid);
    connection.destroy();
    server.close();
    await once(peer, 'exit');
  });

  test('keeps hold of the process that connected, whoever has its pid later', async () => {
    const socket = path.join(folder, 'held');
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const script = `require('node:net').connect(${JSON.stringify(socket)}).resume()`;
    const peer = spawn(process.execPath, ['-e', script]);
    const [connection] = (await once(server, 'connection')) as [net.Socket & { _handle: { fd: number } }];
    const held = native.peerProcess(connection._handle.fd);
    // Linux before 6.5, macOS.
    if (held >= 0) {
      expect(native.hasExited(held)).toBe(false);
      peer.kill('SIGKILL');
      await once(peer, 'exit');
      expect(native.hasExited(held)).toBe(true);
      closeSync(held);
    }
    const file = openSync('/dev/null', 'r');
    expect(native.peerProcess(file)).toBe(-1);
    closeSync(file);
    peer.kill('SIGKILL');
    connection.destroy();
    server.close();
  });

  test.skipIf(!canUnshare)('tells the uid of a peer whose PID namespace is not ours, and 0 for its pid', async () => {
    const socket = path.join(folder, 'outside');
    const program = `
      const addon = { exports: {} };
      process.dlopen(addon, ${JSON.stringify(path.join(prebuilds, 'broker.node'))});
      require('node:net').createServer((connection) => {
        const into = new Int32Array(4);
        addon.exports.peerCredentials(connection._handle.fd, into);
        console.log(into[0], into[1] === process.getuid());
        process.exit();
      }).listen(${JSON.stringify(socket)}, () => console.log('listens'));`;
    const inside = spawn('unshare', [...UNSHARE, process.execPath, '-e', program]);
    const [listens] = await once(inside.stdout, 'data');
    expect(String(listens)).toBe('listens\n');
    const connection = net.connect(socket).on('error', () => {});
    expect(String((await once(inside.stdout, 'data'))[0])).toBe('0 true\n');
    connection.destroy();
  });

  test('has no credentials for what is not a connected socket', () => {
    const file = openSync(path.join(folder, 'f'), 'w');
    expect(() => native.peerCredentials(file)).toThrow(expect.objectContaining({ code: 'ENOTSOCK' }));
    closeSync(file);
    expect(() => native.peerCredentials(1_000_000)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  test('reads a process: parent, start, program, arguments', async () => {
    const sleep = ['/bin/sleep', '/usr/bin/sleep'].map((file) => realpathSync(file))[0] ?? '';
    const child = spawn('/bin/sleep', ['30'], { argv0: 'a name' });
    await once(child, 'spawn');
    const info = native.processInfo(child.pid ?? 0);

    expect(info).toMatchObject({ ppid: process.pid, executable: sleep, argv: ['a name', '30'] });
    expect(info?.startTime).toMatch(/^\d+(\.\d+)?$/);
    expect(native.processParent(child.pid ?? 0)).toEqual({
      ppid: process.pid,
      processGroup: info?.processGroup,
      startTime: info?.startTime,
    });

    expect(native.parentPid(child.pid ?? 0)).toBe(process.pid);
    expect(native.processGroup(child.pid ?? 0)).toBe(info?.processGroup);

    child.kill();
    await once(child, 'exit');
    expect(native.processInfo(child.pid ?? 0)).toBeUndefined();
    expect(native.processParent(child.pid ?? 0)).toBeUndefined();
    expect(native.parentPid(child.pid ?? 0)).toBe(0);
    expect(native.processGroup(child.pid ?? 0)).toBe(0);
  });

  test.skipIf(process.platform !== 'linux')('holds on to a process, and knows when it has exited', async () => {
    const child = spawn('/bin/sleep', ['30']);
    await once(child, 'spawn');
    const held = native.openProcess(child.pid ?? 0);
    expect(native.hasExited(held)).toBe(false);
    child.kill();
    await once(child, 'exit');
    expect(native.hasExited(held)).toBe(true);
    closeSync(held);
    expect(native.openProcess(child.pid ?? 0)).toBe(-1);
  });

  test.skipIf(process.platform !== 'linux')(
    'says when a process exits, and is silent once it was told to stop',
    async () => {
      const [one, two] = [spawn('/bin/sleep', ['30']), spawn('/bin/sleep', ['30'])];
      await Promise.all([once(one, 'spawn'), once(two, 'spawn')]);
      let told = 0;
      const stop = native.whenReadable(native.openProcess(two.pid ?? 0), () => (told += 10));
      const exited = new Promise<void>((resolve) => {
        native.whenReadable(native.openProcess(one.pid ?? 0), () => {
          told += 1;
          resolve();
        });
      });
      stop();
      stop();
      for (const child of [two, one]) child.kill();
      await exited;
      await once(one, 'close');
      expect(told).toBe(1);
      expect(() => native.whenReadable(-1, () => {})).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    },
  );

  test('takes and gives what a connection has room for, and never waits', () => {
    const ends = new Int32Array(2);
    native.socketPair(ends);
    const [one = -1, other = -1] = ends;
    const into = new Uint8Array(5);
    expect(native.receiveNow(one, into)).toBe(0);
    expect(native.sendNow(other, Buffer.from('a request'))).toBe(9);
    expect(native.receiveNow(one, into)).toBe(5);
    expect(Buffer.from(into).toString()).toBe('a req');
    expect(native.receiveNow(one, into)).toBe(4);
    const much = new Uint8Array(16_777_216);
    const taken = native.sendNow(one, much);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(much.length);
    expect(native.sendNow(one, much)).toBe(0);
    closeSync(other);
    expect(native.sendNow(one, into)).toBe(0);
    expect(native.receiveNow(one, into)).toBe(0);
    closeSync(one);
    expect(native.receiveNow(one, into)).toBe(0);
    for (const faulty of ['x', new Int32Array(4), undefined]) {
      expect(() => native.sendNow(0, faulty as unknown as Uint8Array)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    }
  });

  test('is not misled by a program whose name imitates the kernel’s line', async () => {
    const imitation = path.join(folder, 'x) S 1 (y');
    symlinkSync('/bin/sleep', imitation);
    const child = spawn(imitation, ['30']);
    await once(child, 'spawn');

    expect(native.processInfo(child.pid ?? 0)).toMatchObject({ name: 'x) S 1 (y', ppid: process.pid });
    child.kill();
    await once(child, 'exit');
  });

  test('shows no more of a command line than three words and 8 KiB', async () => {
    const child = spawn('/bin/sleep', ['30', '0', '0', '0'.repeat(20_000)], { argv0: 'y'.repeat(20_000) });
    await once(child, 'spawn');
    const argv = native.processInfo(child.pid ?? 0)?.argv ?? [];
    expect(argv).toEqual(['y'.repeat(8_191)]);
    child.kill();
    await once(child, 'exit');

    const other = spawn('/bin/sleep', ['30', '0', '0', '0']);
    await once(other, 'spawn');
    expect(native.processInfo(other.pid ?? 0)?.argv).toEqual(['/bin/sleep', '30', '0']);
    other.kill();
    await once(other, 'exit');
  });

  test('its clock is the one of os.uptime', () => {
    expect(native.bootTimeMs() / 1_000).toBeCloseTo(uptime(), 0);
    expect(native.bootTimeMs()).toBeLessThanOrEqual(native.bootTimeMs());
  });

  test.runIf(process.platform === 'linux')('makes its program not resident, which runs on', () => {
    const resident = () => Number(/RssFile:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
    const before = resident();
    expect(native.releaseProgram()).toBeGreaterThan(1_000_000);
    expect(resident()).toBeLessThan(before);
  });

  test('a lock has one holder, and goes when its file is closed', () => {
    const file = path.join(folder, 'lock');
    writeFileSync(file, '');
    const [first, second] = [openSync(file, 'r'), openSync(file, 'r')];
    expect(native.flock(first)).toBe(true);
    expect(native.flock(first)).toBe(true);
    expect(native.flock(second)).toBe(false);
    closeSync(first);
    expect(native.flock(second)).toBe(true);
    closeSync(second);
    expect(() => native.flock(second)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  test.skipIf(process.platform !== 'linux')(
    'closes memory and environment to processes of the same user',
    ({ skip }) => {
      const addon = path.join(folder, 'broker.node');
      copyFileSync(path.join(prebuilds, 'broker.node'), addon);
      const script = `
      const { readFileSync, statSync } = require('node:fs');
      const owner = () => statSync('/proc/self/environ').uid;
      const module = { exports: {} };
      process.dlopen(module, process.argv[1]);
      module.exports.setCoreLimitZero();
      const limits = /core file size +(\\S+) +(\\S+)/.exec(readFileSync('/proc/self/limits', 'utf8')).slice(1);
      console.log(JSON.stringify([limits, owner(), module.exports.setNonDumpable(), owner()]));`;
      // The kernel hands the files to root: as root nothing would be seen to change, so that another user is played.
      const uid = process.getuid?.() || 54_321;
      chmodSync(folder, 0o755);
      const result = spawnSync(process.execPath, ['-e', script, addon], { encoding: 'utf8', cwd: '/', uid });
      if (result.error !== undefined) skip(`another user cannot run this Node: ${result.error.message}`);
      expect(JSON.parse(result.stdout)).toEqual([['0', '0'], uid, true, 0]);
    },
  );

  test.skipIf(!compiles('cc')).each(['path', 'abstract'])('tells a service manager at a %s address', async (kind) => {
    using receiver = compile('cc', [path.join(import.meta.dirname, 'datagram-receiver.c')], []);
    expect(receiver.complaints).toBe('');
    const address = kind === 'path' ? path.join(folder, 'notify') : `@broker-test-${path.basename(folder)}`;
    const child = spawn(receiver.file, [address]);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    await once(child.stdout, 'data');

    native.sdNotify(address, 'READY=1\nSTATUS=größer');

    await once(child, 'close');
    expect(said).toBe('ready\nREADY=1\nSTATUS=größer');
  });

  test('says why no service manager could be told', () => {
    const nobody = path.join(folder, 'nobody');
    expect(() => native.sdNotify(nobody, 'READY=1')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => native.sdNotify('relative', 'READY=1')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  const NONSENSE = [
    undefined,
    null,
    -1,
    1.5,
    Number.NaN,
    2 ** 31,
    Number.POSITIVE_INFINITY,
    '1',
    {},
    [],
    () => 1,
    1n,
    Symbol(),
  ];

  const OF_ONE_NUMBER = [
    'processParent',
    'processInfo',
    'parentPid',
    'processGroup',
    'openProcess',
    'hasExited',
    'flock',
  ];

  test.each(OF_ONE_NUMBER as readonly (keyof NativeBindings)[])('%s refuses nonsense', (name) => {
    const call = native[name] as (...args: unknown[]) => unknown;
    for (const nonsense of NONSENSE) {
      expect(() => call(nonsense), String(nonsense)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    }
    expect(() => call()).toThrow(expect.objectContaining({ code: 'ERR_MISSING_ARGS' }));
  });

  test('peerCredentials refuses nonsense', () => {
    for (const nonsense of NONSENSE) {
      expect(() => native.peerCredentials(nonsense as number), String(nonsense)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    }
  });

  test('sdNotify refuses nonsense', () => {
    const call = native.sdNotify as (...args: unknown[]) => unknown;
    for (const nonsense of [...NONSENSE.filter((value) => value !== '1'), '', `/${'x'.repeat(200)}`]) {
      expect(() => call(nonsense, 'x'), String(nonsense)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    }
    expect(() => call('/x', 'x'.repeat(5_000))).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    expect(() => call('/x')).toThrow(expect.objectContaining({ code: 'ERR_MISSING_ARGS' }));
  });

  test('loads in worker threads and twice over', async () => {
    const { Worker } = await import('node:worker_threads');
    const code = `const m = { exports: {} }; process.dlopen(m, ${JSON.stringify(path.join(prebuilds, 'broker.node'))});
      require('node:worker_threads').parentPort.postMessage(m.exports.bootTimeMs() > 0);`;
    for (let i = 0; i < 2; i++) {
      const [answer] = await once(new Worker(code, { eval: true }), 'message');
      expect(answer).toBe(true);
    }
  });
});
