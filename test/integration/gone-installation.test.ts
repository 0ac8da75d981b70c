import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { PROGRAM } from '../fakes/daemon-process.ts';
import { TemporaryHome } from '../fakes/temporary-home.ts';
import { run } from '../native/run-helper.ts';

function broker(user: TemporaryHome, ...args: string[]) {
  return run(process.execPath, [PROGRAM, ...args], { ...user.env, PATH: '/usr/bin:/bin' });
}

const findings = async (user: TemporaryHome): Promise<string[]> => {
  const { stdout } = await broker(user, 'doctor', '--no-client', '--no-run-helper', '--json');
  return JSON.parse(stdout).findings.map(({ id }: { id: string }) => id);
};

/** As a version manager does: the recorded Node goes with its version. */
function removeNode(user: TemporaryHome): string {
  const file = path.join(user.state, 'launch');
  const gone = path.join(user.path, '.nvm', 'versions', 'node', 'v24.0.0', 'bin', 'node');
  writeFileSync(file, readFileSync(file, 'utf8').replace(`run ${process.execPath}\n`, `run ${gone}\n`));
  return gone;
}

test('a Node that went with its version: status and doctor say what to do, before the daemon ends and after', async () => {
  await using user = new TemporaryHome();
  for (const words of [
    ['claude', 'install'],
    ['service', 'install'],
  ]) {
    expect(await broker(user, ...words)).toMatchObject({ code: 0 });
  }
  expect((await broker(user, 'status')).stdout).not.toContain('is gone');
  expect(await findings(user)).not.toContain('launch-gone');

  const gone = removeNode(user);
  const { code, stdout } = await broker(user, 'status');
  expect([code, stdout]).toEqual([
    0,
    expect.stringContaining(
      `\n! ${gone}, with which the daemon was installed, is gone: no other daemon starts\n  hint: run: broker service install\n`,
    ),
  ]);
  expect(await findings(user)).toContain('launch-gone');

  await user.stopDaemon();
  const ended = await broker(user, 'status');
  expect([ended.code, ended.stderr]).toEqual([
    69,
    expect.stringMatching(/: \S+, with which the daemon was installed, is gone\nhint: run: broker service install\n$/),
  ]);
  expect(JSON.parse((await broker(user, 'status', '--json')).stdout).error).toMatchObject({
    code: 'ERR_DAEMON_UNREACHABLE',
    remedy: 'run: broker service install',
  });

  expect(await broker(user, 'service', 'install')).toMatchObject({ code: 0 });
  expect(await findings(user)).not.toContain('launch-gone');
});

test('a helper that was removed: doctor says what to do, and doing it keeps the credential', async () => {
  await using user = new TemporaryHome();
  expect(await broker(user, 'claude', 'install', '--credential', 'key')).toMatchObject({ code: 0 });
  rmSync(path.join(user.state, 'bin'), { recursive: true });
  const { stdout } = await broker(user, 'doctor', '--no-client', '--json');
  const found = JSON.parse(stdout).findings.find(({ id }: { id: string }) => id === 'helper-missing');
  expect(found.remedy).toContain('broker claude install --credential key');
  const words = /broker (claude install --credential key)/.exec(found.remedy)?.[1]?.split(' ') ?? [];
  expect(await broker(user, ...words)).toMatchObject({ code: 0 });
  expect(await findings(user)).not.toContain('helper-missing');
  expect(readFileSync(path.join(user.path, '.claude', 'settings.json'), 'utf8')).toMatch(/bin\/broker-key key"/);
});
