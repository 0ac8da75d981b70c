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
async function loop(home: BrokerHome, isOver: () => boolean, onAnswer: () => void): Promise<string[]> {
  const lost: string[] = [];
  while (!isOver()) {
    const { code, stdout, stderr } = await home.key();
    onAnswer();
    if (code !== 0 || stdout !== 'sk-restarts-0123456789\n') lost.push(`${code} ${stderr.trim()}`);
  }
  return lost;
}

// The next daemon binds at the path itself, where the dead socket lies.
it.each(['SIGTERM', 'SIGKILL'] as const)('restarts under looping helpers lose no answer (%s)', async (signal) => {
  const home = new BrokerHome(CONFIG);
  const holder = () => readLockHolder(join(home.stateDir, 'lock'));
  let over = false;
  try {
    const first = await home.start();
    const launch = ['broker-launch 1', `run ${process.execPath}`, `run ${PROGRAM}`, 'run daemon'];
    for (const name of ['HOME', 'BROKER_CONFIG', 'BROKER_SOCKET']) launch.push(`env ${name}=${home.env[name]}`);
    writeFileSync(join(home.stateDir, 'launch'), `${launch.join('\n')}\n`, { mode: 0o600 });
    const answers = [0, 0, 0, 0];
    const loops = answers.map((_, at) =>
      loop(
        home,
        () => over,
        () => answers.splice(at, 1, (answers[at] ?? 0) + 1),
      ),
    );
    for (let round = 0, pid = first.pid; round < 4; round += 1) {
      process.kill(pid, signal);
      await until(() => !isRunning(pid) && holder()?.socket === home.socket && holder()?.pid !== pid);
      pid = holder()?.pid ?? 0;
      // The helper that started it has been answered, too.
      const before = [...answers];
      await until(() => answers.every((count, at) => count >= (before[at] ?? 0) + 2));
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
