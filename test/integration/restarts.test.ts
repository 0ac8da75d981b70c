import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readLockHolder } from '../../src/platform/state-lock.ts';
import { BrokerHome, PROGRAM } from '../fakes/daemon-process.ts';
import { isRunning, until } from '../fakes/processes.ts';

const CONFIG = `
default = "a"
[providers.x]
type = "exec"
[credentials.a]
provider = "x"
command = ["/bin/sh", "-c", "echo sk-restarts-0123456789"]
`;

/** Asks again and again until told to stop. @returns every answer that was not the key. */
async function loop(home: BrokerHome, isOver: () => boolean): Promise<string[]> {
  const lost: string[] = [];
  while (!isOver()) {
    const { code, stdout, stderr } = await home.key();
    if (code !== 0 || stdout !== 'sk-restarts-0123456789\n') lost.push(`${code} ${stderr.trim()}`);
  }
  return lost;
}

// The next daemon binds at the path itself, where the dead socket lies. It may be stopped before the helper that started it has
// been answered: that one has to start another and not tell everybody that the daemon ended at once.
it.each(['SIGTERM', 'SIGKILL'] as const)('restarts under looping helpers lose no answer (%s)', async (signal) => {
  const home = new BrokerHome(CONFIG);
  const holder = () => readLockHolder(join(home.stateDir, 'lock'));
  let over = false;
  try {
    const first = await home.start();
    const launch = ['broker-launch 1', `run ${process.execPath}`, `run ${PROGRAM}`, 'run daemon'];
    for (const name of ['HOME', 'BROKER_CONFIG', 'BROKER_SOCKET']) launch.push(`env ${name}=${home.env[name]}`);
    writeFileSync(join(home.stateDir, 'launch'), `${launch.join('\n')}\n`, { mode: 0o600 });
    const loops = Array.from({ length: 4 }, () => loop(home, () => over));
    let pid = first.pid;
    for (let round = 0; round < 4; round += 1) {
      const before = pid;
      process.kill(before, signal);
      await until(() => {
        const next = holder();
        if (isRunning(before) || next?.socket !== home.socket || next.pid === before) return false;
        pid = next.pid;
        return true;
      });
    }
    over = true;
    expect((await Promise.all(loops)).flat()).toEqual([]);
  } finally {
    over = true;
    const pid = holder()?.pid;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await home.close();
  }
});

it('a start removes what a daemon left that was killed while it kept the compiled program', async () => {
  await using home = new BrokerHome(CONFIG);
  const first = await home.start();
  await first.end('SIGKILL');
  writeFileSync(join(home.stateDir, '.compiled.4242.broker-tmp'), 'a part of it', { mode: 0o600 });
  await home.start();
  expect(home.stateFiles().filter((name) => name.endsWith('.broker-tmp'))).toEqual([]);
});
