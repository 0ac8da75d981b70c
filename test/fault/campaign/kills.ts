import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Failpoint } from '../../../src/platform/failpoints.ts';
import { isRunning, until } from '../../fakes/processes.ts';
import type { Experiment, Trial } from './experiment.ts';
import { load, type Rig, withRig } from './rig.ts';

const HOOKS = fileURLToPath(new URL('../../fixtures/failpoints.mjs', import.meta.url));

/** What makes the daemon come by each of its failpoints. */
const TRIGGERS: Readonly<Record<Failpoint, (rig: Rig) => unknown>> = {
  'database.written': (rig) => rig.home.post(`/v1/credentials/${rig.fixed[0]}/refresh`),
  'database.committed': (rig) => rig.home.post('/v1/rotate-key'),
  'database.gone': (rig) => rmSync(rig.state('cache.db')),
  'database.half-aside': (rig) => {
    writeFileSync(rig.state('other'), 'somebody else', { mode: 0o600 });
    renameSync(rig.state('other'), rig.state('cache.db'));
  },
  'file.written': (rig) => rig.home.post('/v1/rotate-key'),
  'file.renamed': (rig) => rig.home.post('/v1/rotate-key'),
  'socket.gone': (rig) => rmSync(rig.home.socket),
  'socket.bound': (rig) => rmSync(rig.home.socket),
};
/** What leads there takes the database away. */
const DESTRUCTIVE: ReadonlySet<Failpoint> = new Set(['database.gone', 'database.half-aside']);
const POINTS = Object.keys(TRIGGERS) as readonly Failpoint[];

export const kills: readonly Experiment[] = [
  {
    id: 'kill-at-writes',
    fault: `kill -9 at each of the ${POINTS.length} write points, in turn, with rotate-key or the damage that leads there`,
    expected:
      'the next daemon serves right keys; no temporary file stays; a lease is lost only with the database or the key that it was written with',
    times: { short: 8, long: 120 },
    run: killAtWrites,
  },
  {
    id: 'kill-at-random',
    fault: 'kill -9 at random under the load of 6 helpers, with rotations, leases and rotate-key in flight',
    expected: 'every helper gets its key; each live lease is in the journal; no temporary file stays',
    times: { short: 12, long: 380 },
    run: killAtRandom,
  },
];

async function killAtWrites({ dice, times, tally }: Trial): Promise<void> {
  await withRig({ nodeArgs: ['--import', HOOKS] }, async (rig) => {
    const armed = join(rig.home.folder, 'armed');
    let destroyedAtMs = 0;
    for (let round = 0; round < times; round += 1) {
      const point = POINTS[round % POINTS.length] ?? 'database.written';
      rig.launchWith({ FAILPOINT: `${point}=kill@${armed}` });
      await rig.askAll(tally);
      rig.rotate(dice.pick(rig.fixed));
      const { pid } = rig;
      if (pid === undefined) {
        tally.fault(`no daemon before ${point}`);
        continue;
      }
      writeFileSync(armed, '');
      const triggered = Promise.resolve(TRIGGERS[point](rig)).catch(() => undefined);
      const began = Date.now();
      await until(() => !isRunning(pid) || Date.now() - began > 15_000);
      rmSync(armed);
      await triggered;
      if (isRunning(pid)) {
        tally.fault(`${point} was not reached`);
        await rig.end();
      }
      rig.noteEnd();
      tally.inflicted += 1;
      const killed = Date.now();
      if (DESTRUCTIVE.has(point)) destroyedAtMs = killed;
      await rig.ask(dice.pick(rig.names), tally);
      tally.recoveredMs.push(Date.now() - killed);
      await rig.askAll(tally);
      if (await settle(rig, tally)) destroyedAtMs = Date.now();
      await tidied(rig, tally);
      await rig.end('SIGTERM');
    }
    judgeWhatStays(rig, tally, destroyedAtMs);
  });
}

/** A key file that went with the process that knew the key is a person's case: it is given up. */
export async function settle(rig: Rig, tally: Trial['tally']): Promise<boolean> {
  const status = await rig.status();
  if (status?.daemon.cache.persistent !== false) return false;
  const { code, stderr } = await rig.home.broker('rotate-key', '--discard');
  tally.expect(code === 0, `rotate-key --discard: ${stderr}`);
  return true;
}

/** A key that a killed rotation left behind goes with the first look of the next daemon. */
async function tidied(rig: Rig, tally: Trial['tally']): Promise<void> {
  const began = Date.now();
  const size = () => statSync(rig.state('kek'), { throwIfNoEntry: false })?.size;
  await until(() => size() === 32 || Date.now() - began > 5_000);
  tally.expect(size() === 32, `the key file has ${size()} bytes`);
}

async function killAtRandom({ dice, times, tally }: Trial): Promise<void> {
  await withRig({ leaseMs: 600_000 }, async (rig) => {
    await rig.askAll(tally);
    const asking = load(rig, tally, 6);
    for (let round = 0; round < times; round += 1) {
      await pause(dice.between(0, 250));
      if (dice.chance(0.5)) rig.rotate(dice.pick(rig.fixed));
      if (dice.chance(0.3))
        void rig.home.post(`/v1/credentials/${dice.pick(rig.names)}/refresh`).catch(() => undefined);
      if (dice.chance(0.3)) {
        void rig.home.post('/v1/rotate-key').catch(() => undefined);
        await pause(dice.between(0, 15));
      }
      await rig.end();
      const killed = Date.now();
      tally.inflicted += 1;
      await rig.ask(dice.pick(rig.names), tally);
      tally.recoveredMs.push(Date.now() - killed);
    }
    await asking.stop();
    await rig.askAll(tally);
    await tidied(rig, tally);
    await rig.end('SIGTERM');
    const aside = readdirSync(rig.home.stateDir).filter((name) => /corrupt|replaced/.test(name));
    tally.expect(aside.length === 0, `set aside as damaged or somebody else's: ${aside.join(', ')}`);
    judgeWhatStays(rig, tally);
  });
}

function judgeWhatStays(rig: Rig, tally: Trial['tally'], destroyedAtMs = 0): void {
  const left = rig.leftOvers();
  tally.expect(left.length === 0, `left behind: ${left.join(', ')}`);
  const { forgotten, inFlight } = rig.forgottenLeases(destroyedAtMs);
  if (forgotten.length > 0) {
    tally.fault(`leases that nobody knows any more: ${forgotten.join(', ')}; see ${rig.keepEvidence()}`);
  }
  if (inFlight > 0) tally.notes.push(`${inFlight} leases whose grant was under way at a kill lapse by themselves`);
}
