import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import SqliteDatabase from 'better-sqlite3';
import type { PlaceReport } from '../../../src/protocol/reports.ts';
import type { Dice } from '../../simulation/dice.ts';
import type { Experiment, Tally, Trial } from './experiment.ts';
import { settle } from './kills.ts';
import { type Rig, withRig } from './rig.ts';

const FILES = ['cache.db', 'cache.db-wal', 'kek'] as const;
const PAGE = 4096;

type Harm = (path: string, dice: Dice) => void;

/** In the bytes of a file that stays where it is. */
const IN_PLACE: readonly Harm[] = [
  function flip(path, dice) {
    const bytes = readFileSync(path);
    for (let left = 1 + Math.floor(dice.between(0, 8)); left > 0 && bytes.length > 0; left -= 1) {
      // Every other one in the header and the schema, where damage is worst.
      const at = Math.floor(dice.between(0, dice.chance(0.5) ? Math.min(PAGE, bytes.length) : bytes.length));
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(dice.between(0, 8)));
    }
    writeFileSync(path, bytes, { flag: 'r+' });
  },
  function cut(path, dice) {
    truncateSync(path, Math.floor(dice.between(0, statSync(path).size)));
  },
  function swap(path, dice) {
    const bytes = readFileSync(path);
    const size = bytes.length > 2 * PAGE ? PAGE : 8;
    const at = () => Math.floor(dice.between(0, bytes.length / size)) * size;
    const [one, other] = [at(), at()];
    const former = Buffer.from(bytes.subarray(one, one + size));
    bytes.copyWithin(one, other, other + size);
    bytes.set(former.subarray(0, bytes.length - other), other);
    writeFileSync(path, bytes, { flag: 'r+' });
  },
  function garbage(path, dice) {
    const bytes = readFileSync(path);
    const from = Math.floor(dice.between(0, bytes.length / PAGE)) * PAGE;
    for (let at = from; at < Math.min(from + PAGE, bytes.length); at += 1) bytes[at] = Math.floor(dice.between(0, 256));
    writeFileSync(path, bytes, { flag: 'r+' });
  },
];

/** Of the file as a whole. */
const WHOLE: readonly Harm[] = [
  function remove(path) {
    rmSync(path);
  },
  function empty(path) {
    truncateSync(path);
  },
  function replace(path) {
    writeFileSync(`${path}.new`, 'somebody else', { mode: 0o600 });
    renameSync(`${path}.new`, path);
  },
  function folder(path) {
    rmSync(path);
    mkdirSync(path, { mode: 0o700 });
  },
  function move(path) {
    renameSync(path, `${path}.moved`);
  },
];

export const damage: readonly Experiment[] = [
  {
    id: 'damage-at-start',
    fault:
      'bits flipped, cut, pages swapped, garbage in database, log, key file and a -shm beside them, between a kill -9 and the next start',
    expected:
      'right keys at once, at worst fetched again; what cannot be used is set aside or waits for rotate-key --discard',
    times: { short: 8, long: 600 },
    run: (trial) => damagedAtRest(trial, IN_PLACE),
  },
  {
    id: 'damage-while-running',
    fault: 'the same under the running daemon, then a request, then a kill -9 and the next start',
    expected: 'right keys at once from memory; right keys after the restart',
    times: { short: 6, long: 400 },
    run: (trial) => damagedUnderDaemon(trial, IN_PLACE),
  },
  {
    id: 'files-at-start',
    fault: 'database, log or key file deleted, emptied, replaced, moved, a folder in its place, before a start',
    expected: 'right keys at once; a person is told what is missing',
    times: { short: 3, long: 60 },
    run: (trial) => damagedAtRest(trial, WHOLE),
  },
  {
    id: 'files-while-running',
    fault: 'the same under the running daemon',
    expected: 'right keys all the time; put right from memory within seconds',
    times: { short: 3, long: 40 },
    run: takenAway,
  },
  {
    id: 'database-of-others',
    fault: 'a database of a newer version, an old database put back, one that another program has open at the start',
    expected: 'set aside; no wrong key; memory only until the other program has gone, then stored again',
    times: { short: 3, long: 30 },
    run: othersDatabase,
  },
];

async function damagedAtRest({ dice, times, tally }: Trial, harms: readonly Harm[]): Promise<void> {
  await withRig({}, async (rig) => {
    while (tally.inflicted < times) {
      if (rig.pid === undefined) await rig.askAll(tally);
      if (dice.chance(0.3)) rig.rotate(dice.pick(rig.fixed));
      await rig.end(dice.chance(0.7) ? 'SIGKILL' : 'SIGTERM');
      for (let left = 1 + Math.floor(dice.between(0, 3)); left > 0; left -= 1) harm(rig, dice, harms, tally);
      // Nobody has shared memory beside this database: whatever lies there is somebody else's.
      if (dice.chance(0.2)) {
        writeFileSync(rig.state('cache.db-shm'), 'x'.repeat(Math.floor(dice.between(0, 40_000))), { mode: 0o600 });
        tally.inflicted += 1;
      }
      const began = Date.now();
      await rig.ask(dice.pick(rig.names), tally);
      tally.recoveredMs.push(Date.now() - began);
      await rig.askAll(tally);
      await clearTheWay(rig);
      await settle(rig, tally);
      tidy(rig);
    }
  });
}

async function damagedUnderDaemon({ dice, times, tally }: Trial, harms: readonly Harm[]): Promise<void> {
  await withRig({}, async (rig) => {
    while (tally.inflicted < times) {
      await rig.askAll(tally);
      const { pid } = rig;
      for (let left = 1 + Math.floor(dice.between(0, 3)); left > 0; left -= 1) harm(rig, dice, harms, tally);
      if (dice.chance(0.5)) rig.rotate(dice.pick(rig.fixed));
      const began = Date.now();
      await rig.ask(dice.pick(rig.names), tally);
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(rig.pid === pid, `the daemon ended: ${rig.logged().slice(-300)}`);
      if (dice.chance(0.5)) {
        await rig.end(dice.chance(0.7) ? 'SIGKILL' : 'SIGTERM');
        await rig.askAll(tally);
        await settle(rig, tally);
      }
      tidy(rig);
    }
  });
}

async function takenAway({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      const { pid } = rig;
      const before = restoredAt((await rig.status())?.daemon.places ?? []);
      const done = harm(rig, dice, WHOLE, tally);
      const began = Date.now();
      // All may look well before the daemon has noticed.
      const isRight = async () => {
        const { cache, places = [] } = (await rig.status())?.daemon ?? {};
        const isWhole = FILES.every((name) => statSync(rig.state(name), { throwIfNoEntry: false })?.isFile());
        const isOver = places.every(({ state }) => state === 'restored') && cache?.persistent === true;
        return isWhole && isOver && restoredAt(places) > before;
      };
      let isOver = await isRight();
      while (!isOver && Date.now() - began < 30_000) {
        await rig.ask(dice.pick(rig.names), tally);
        isOver = await isRight();
      }
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(isOver, `${done}: not put right within 30 s: ${JSON.stringify(await look(rig))}`);
      tally.expect(rig.pid === pid, 'the daemon ended');
      tidy(rig);
    }
  });
}

async function othersDatabase({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      await rig.end('SIGTERM');
      const path = rig.state('cache.db');
      const kind = ['newer', 'old', 'open'][round % 3];
      const other = kind === 'old' ? undefined : new SqliteDatabase(path);
      if (kind === 'newer') other?.pragma('user_version = 99');
      if (kind === 'old') {
        copyFileSync(path, `${path}.old`);
        for (const name of rig.fixed) rig.rotate(name);
        for (const name of rig.names) await rig.home.broker('refresh', name);
        await rig.askAll(tally);
        await rig.end('SIGTERM');
        renameSync(`${path}.old`, path);
      }
      if (kind === 'open') other?.prepare('SELECT count(*) FROM records').get();
      else other?.close();
      tally.inflicted += 1;
      await rig.askAll(tally);
      if (kind === 'open') {
        tally.expect((await rig.status())?.daemon.cache.persistent === false, 'it says nothing of the other program');
        other?.close();
      }
      const began = Date.now();
      const isStored = async () => (await rig.status())?.daemon.cache.persistent === true;
      // Looked at again on a tick, at a change in the folder, or when a person asks.
      if (kind === 'open') await rig.home.broker('rotate-key');
      while (!(await isStored()) && Date.now() - began < 30_000) await rig.ask(dice.pick(rig.names), tally);
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(await isStored(), 'not stored again within 30 s');
    }
  });
}

/** @returns what was done, for the words of a fault. */
function harm(rig: Rig, dice: Dice, harms: readonly Harm[], tally: Tally): string {
  const there = FILES.filter((name) => (statSync(rig.state(name), { throwIfNoEntry: false })?.size ?? 0) > 0);
  const name = dice.pick(there.length > 0 ? there : ['cache.db']);
  if (!statSync(rig.state(name), { throwIfNoEntry: false })?.isFile()) return `no ${name}`;
  const chosen = dice.pick(harms);
  chosen(rig.state(name), dice);
  tally.inflicted += 1;
  return `${chosen.name} ${name}`;
}

/** A folder in the place of a file is told with its remedy: this is what a person does then. */
async function clearTheWay(rig: Rig): Promise<void> {
  for (const name of FILES) {
    if (!statSync(rig.state(name), { throwIfNoEntry: false })?.isDirectory()) continue;
    renameSync(rig.state(name), `${rig.state(name)}.moved`);
    await rig.end('SIGTERM');
    await rig.home.key(rig.fixed[0]);
  }
}

/** When anything was put right last. */
function restoredAt(places: readonly PlaceReport[]): string {
  return (
    places
      .map(({ at }) => at)
      .toSorted()
      .at(-1) ?? ''
  );
}

async function look(rig: Rig): Promise<unknown> {
  const { cache, places } = (await rig.status())?.daemon ?? {};
  const files = FILES.map((name) => [name, statSync(rig.state(name), { throwIfNoEntry: false })?.size]);
  return { cache, places, files };
}

/** What was set aside is of no more use. */
function tidy(rig: Rig): void {
  for (const name of FILES) rmSync(`${rig.state(name)}.moved`, { force: true, recursive: true });
}
