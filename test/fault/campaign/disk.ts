import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Experiment, Trial } from './experiment.ts';
import { Rig } from './rig.ts';

const SOURCE = fileURLToPath(new URL('fault-disk.c', import.meta.url));

/** In the folder of the state, as the shim calls them. */
const FAULTS = {
  enospc: 'no space',
  eio: 'EIO at every write and sync',
  'eio-read': 'EIO at every read',
  slow: 'each call 5 ms slower',
} as const;

const hasCompiler = spawnSync('cc', ['--version']).status === 0;

export const disk: readonly Experiment[] = Object.entries(FAULTS).map(([fault, words]) => ({
  id: `disk-${fault}`,
  fault: `disk under the state folder (LD_PRELOAD): ${words}, while it runs and over a kill -9 and a start`,
  expected:
    'right keys all the time; persistence lost and told, and made up for within seconds of the end of the fault',
  times: { short: 1, long: 12 },
  missing: process.platform === 'linux' && hasCompiler ? undefined : 'no C compiler for Linux',
  run: (trial: Trial) => badDisk(trial, fault),
}));

async function badDisk({ dice, times, tally }: Trial, fault: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'broker-disk-'));
  const shim = join(folder, 'fault-disk.so');
  const switches = join(folder, 'switches');
  mkdirSync(switches);
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, SOURCE, '-ldl']);
  const rig = await Rig.start();
  rig.launchWith({ LD_PRELOAD: shim, FAULT_DISK: switches, FAULT_UNDER: rig.home.stateDir });
  try {
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      writeFileSync(join(switches, fault), '');
      tally.inflicted += 1;
      for (let turn = 0; turn < 3; turn += 1) {
        rig.rotate(dice.pick(rig.fixed));
        await rig.home.post(`/v1/credentials/${dice.pick(rig.names)}/refresh`).catch(() => undefined);
        await rig.askAll(tally);
      }
      if (fault === 'enospc' || fault === 'eio') {
        const status = await rig.status();
        tally.expect(status?.daemon.cache.persistent === false, 'it does not say that nothing is stored');
      }
      // A daemon that starts on such a disk serves as well. One that cannot write its lock cannot start at all.
      if (fault === 'slow') {
        await rig.end();
        await rig.askAll(tally);
      }
      rmSync(join(switches, fault));
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
  } finally {
    await rig.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
