import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Surroundings } from '../../src/service/manager.ts';
import { Unmanaged, writeLaunchRecord } from '../../src/service/unmanaged.ts';
import { realClock } from '../fakes/real-clock.ts';

let state: string;

beforeEach(() => {
  state = mkdtempSync(path.join(tmpdir(), 'broker-unmanaged-'));
});

afterEach(() => rmSync(state, { recursive: true }));

test('that a helper started a daemon a moment before is no failure of the one that then found the lock taken', async () => {
  const lock = path.join(state, 'lock');
  writeFileSync(lock, '', { mode: 0o600 });
  // What holds the lock, as a helper does before its daemon has a name to write there, goes on; what was started ends like a daemon that finds it held.
  const script = `exec 9<>'${lock}'; flock 9; sleep 600 & echo $! > '${state}/holder'; echo $$ > '${state}/started'; exit 69`;
  writeLaunchRecord(state, { run: ['/bin/sh', '-c', script], env: {}, service: undefined, autostart: true });
  const env = { ...process.env, BROKER_STATE_DIR: state };
  const surroundings = { env, clock: realClock, uid: process.getuid?.() ?? 0 } as unknown as Surroundings;
  const manager = new Unmanaged(surroundings, state);
  await manager.start();
  await expect.poll(() => existsSync(path.join(state, 'started')) && hasEnded()).toBe(true);
  const whileHeld = await manager.failure();
  process.kill(Number(readFileSync(path.join(state, 'holder'), 'utf8')), 'SIGKILL');
  expect(whileHeld).toBeUndefined();
  await expect.poll(() => manager.failure()).toMatchObject({ reason: expect.stringContaining('69') });
});

/** Reaped, so that Node has told of its end. */
function hasEnded(): boolean {
  try {
    process.kill(Number(readFileSync(path.join(state, 'started'), 'utf8')), 0);
    return false;
  } catch {
    return true;
  }
}
