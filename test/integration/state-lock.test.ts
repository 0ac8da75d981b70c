import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readLockHolder, StateLock } from '../../src/platform/state-lock.ts';

const HOLDER = fileURLToPath(new URL('../fixtures/lock-holder.ts', import.meta.url));
let folder: string;
let children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'broker-lock-'));
});
afterEach(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) await kill(child);
  children = [];
  rmSync(folder, { recursive: true });
});

async function start(): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [HOLDER, folder, '/run/x.sock'], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [said] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, said: said.toString() };
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

const here = () => StateLock.acquire({ folder, pid: process.pid, host: 'here' });

it('lets one process in, tells the next who holds it, and is free as soon as the holder is killed', async () => {
  const { child, said } = await start();
  expect(said).toBe('locked\n');
  expect(statSync(join(folder, 'lock')).mode & 0o777).toBe(0o600);
  expect(readLockHolder(join(folder, 'lock'))).toEqual({
    pid: child.pid,
    host: 'testhost',
    socket: '/run/x.sock',
    startedByHelper: false,
  });

  const second = await start();
  expect(JSON.parse(second.said)).toMatchObject({
    code: 'ERR_ALREADY_RUNNING',
    message: expect.stringContaining(`pid ${child.pid} on testhost`) as string,
    remedy: expect.stringContaining(`kill ${child.pid}`) as string,
  });
  expect(JSON.parse(second.said).message).toContain('/run/x.sock');
  expect(here).toThrow(expect.objectContaining({ code: 'ERR_ALREADY_RUNNING' }));

  await kill(child);
  const lock = here();
  expect(readLockHolder(lock.path)).toEqual({ pid: process.pid, host: 'here', socket: null, startedByHelper: false });
  lock.release();
});

it('of ten that start at once admits exactly one', async () => {
  const started = await Promise.all(Array.from({ length: 10 }, start));
  expect(started.filter(({ said }) => said === 'locked\n')).toHaveLength(1);
});

it('accepts a descriptor that was locked before us, and no other', () => {
  const first = here();
  const again = StateLock.acquire({ folder, pid: 1, host: 'here', inheritedFd: first.fd });
  expect(again.fd).toBe(first.fd);

  const stranger = openSync('/dev/null', 'r');
  expect(() => StateLock.acquire({ folder, pid: 1, host: 'here', inheritedFd: stranger })).toThrow(
    expect.objectContaining({ code: 'ERR_ALREADY_RUNNING' }),
  );
  closeSync(stranger);
  again.release();
});

it('uses the native call where there is one', () => {
  const asked: number[] = [];
  const flock = (fd: number) => {
    asked.push(fd);
    return false;
  };
  expect(() => StateLock.acquire({ folder, pid: 1, host: 'here', flock })).toThrow(
    expect.objectContaining({ code: 'ERR_ALREADY_RUNNING' }),
  );
  expect(asked).toHaveLength(1);
});

it('does not follow a link', () => {
  symlinkSync('/dev/null', join(folder, 'lock'));
  expect(here).toThrow(expect.objectContaining({ code: 'ERR_UNSAFE_FILE' }));
});
