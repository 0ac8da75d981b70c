import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { codeOf } from '../../../src/errors.ts';
import { until } from '../../fakes/processes.ts';
import type { Experiment, Trial } from './experiment.ts';
import { daemonsOf } from './processes.ts';
import { atTheEnd, Rig, withRig } from './rig.ts';

const succeeds = (command: string, ...args: readonly string[]) => spawnSync(command, args).status === 0;

export const surroundings: readonly Experiment[] = [
  {
    id: 'disk-full',
    fault:
      'the state folder is a disk of 1.5 MB (tmpfs), full to the last byte while it runs, half the times over a kill -9 and a start',
    expected:
      'right keys all the time; stored again within seconds of there being room; no more on the disk than belongs there',
    times: { short: 1, long: 16 },
    missing: canMount() ? undefined : 'no right to mount a tmpfs',
    run: fullDisk,
  },
  {
    id: 'time-namespaces',
    fault:
      'each start in a time namespace of its own (unshare -T), whose boot clock is up to two days on, or back again',
    expected: 'right keys at once: what may be too old by that clock is fetched again, nothing becomes younger',
    times: { short: 2, long: 24 },
    missing: succeeds('unshare', '-T', '--fork', '--boottime', '1', 'true')
      ? undefined
      : 'no right to make a time namespace',
    run: otherBootClocks,
  },
  {
    id: 'home-gone',
    fault:
      'the home with configuration, login files, state and socket in it is moved away for up to 3 s, and comes back',
    expected:
      'no wrong key; helpers get their keys within seconds of its return, from one daemon: that one, or one that a helper started when lock and socket were those of before; nothing is left behind',
    times: { short: 1, long: 20 },
    run: homeGone,
  },
];

async function fullDisk({ dice, times, tally }: Trial): Promise<void> {
  const rig = await Rig.start();
  const { stateDir } = rig.home;
  const unmount = () => spawnSync('umount', ['--lazy', stateDir]);
  if (!succeeds('mount', '-t', 'tmpfs', '-o', 'size=1536k,mode=0700', 'tmpfs', stateDir)) throw new Error('mount');
  const forget = atTheEnd(unmount);
  rig.launchWith({});
  try {
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      const ballast = join(stateDir, 'ballast');
      fill(ballast);
      tally.inflicted += 1;
      for (let turn = 0; turn < 3; turn += 1) {
        rig.rotate(dice.pick(rig.fixed));
        await rig.home.post(`/v1/credentials/${dice.pick(rig.names)}/refresh`).catch(() => undefined);
        await rig.askAll(tally);
      }
      if (dice.chance(0.5)) {
        await rig.end();
        await rig.askAll(tally);
      }
      rmSync(ballast);
      const began = Date.now();
      const isStored = async () => (await rig.status())?.daemon.cache.persistent === true;
      while (!(await isStored()) && Date.now() - began < 30_000) {
        rig.rotate(dice.pick(rig.fixed));
        await rig.home.post(`/v1/credentials/${dice.pick(rig.fixed)}/refresh`).catch(() => undefined);
        await pause(250);
      }
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(await isStored(), 'not stored again within 30 s');
      await rig.end();
      await rig.askAll(tally);
    }
    const left = rig.leftOvers();
    tally.expect(left.length === 0, `left behind: ${left.join(', ')}`);
  } finally {
    await rig.end();
    unmount();
    forget();
    await rig.close();
  }
}

/** To the last byte. */
function fill(file: string): void {
  for (let size = statfsSync(join(file, '..')).bfree * 4_096; size >= 1; size = Math.floor(size / 2)) {
    try {
      writeFileSync(file, Buffer.alloc(size, 1), { flag: 'a' });
    } catch (error) {
      if (codeOf(error) !== 'ENOSPC') throw error;
    }
  }
}

async function otherBootClocks({ dice, times, tally }: Trial): Promise<void> {
  await withRig({ leaseMs: 600_000 }, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      const seconds = String(Math.round(dice.between(0, 2 * 86_400)));
      const clocks = ['--boottime', seconds, '--monotonic', seconds];
      // Every other one as the machine itself has it, which is back by up to two days.
      rig.launchWith({}, round % 2 === 0 ? ['unshare', '-T', '--fork', '--kill-child', ...clocks] : []);
      if (dice.chance(0.5)) rig.rotate(dice.pick(rig.fixed));
      await rig.end(dice.chance(0.7) ? 'SIGKILL' : 'SIGTERM');
      tally.inflicted += 1;
      const began = Date.now();
      await rig.ask(dice.pick(rig.names), tally);
      tally.recoveredMs.push(Date.now() - began);
      await rig.askAll(tally);
      await rig.askAll(tally);
    }
  });
}

async function homeGone({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    const { folder } = rig.home;
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      renameSync(folder, `${folder}.away`);
      tally.inflicted += 1;
      const gone = pause(dice.between(100, 3_000));
      await rig.ask(dice.pick(rig.names), tally, ({ code }) => code !== 0);
      await gone;
      // The daemon may have made folders of its own there.
      while (existsSync(folder)) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
      renameSync(`${folder}.away`, folder);
      const began = Date.now();
      let code: number | null = 1;
      while (code !== 0 && Date.now() - began < 30_000) {
        ({ code } = await rig.ask(dice.pick(rig.names), tally, (outcome) => outcome.code !== 0));
      }
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(code === 0, 'no key within 30 s');
      await until(() => daemonsOf(rig).length === 1 || Date.now() - began > 30_000);
      const daemons = daemonsOf(rig);
      tally.expect(daemons.length === 1 && daemons[0] === rig.pid, `daemons ${daemons}; the lock names ${rig.pid}`);
    }
    const left = rig.leftOvers();
    tally.expect(left.length === 0, `left behind: ${left.join(', ')}`);
  });
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'broker-mount-'));
  const can = process.platform === 'linux' && succeeds('mount', '-t', 'tmpfs', 'tmpfs', folder);
  if (can) spawnSync('umount', [folder]);
  rmSync(folder, { recursive: true });
  return can;
}
