import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { helperPath } from '../../../src/platform/native.ts';
import { isRunning, until } from '../../fakes/processes.ts';
import { runHelper } from '../../native/run-helper.ts';
import type { Experiment, Trial } from './experiment.ts';
import { type Rig, withRig } from './rig.ts';

const hasProgram = (name: string) => spawnSync('/bin/sh', ['-c', `command -v ${name}`]).status === 0;
const without = (...programs: readonly string[]) => {
  const missing = programs.filter((name) => !hasProgram(name));
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
};
const FAKETIME = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
].find(existsSync);

export const processes: readonly Experiment[] = [
  {
    id: 'descriptors',
    fault: 'a daemon with 64 descriptors, and more silent connections than it can hold',
    expected: 'helpers still get right keys; it says that its limit is low',
    times: { short: 1, long: 6 },
    missing: without('prlimit'),
    run: fewDescriptors,
  },
  {
    id: 'memory',
    fault: 'a daemon whose heap may not grow over 40 MB, 200 requests at once',
    expected: 'right keys, no end',
    times: { short: 1, long: 6 },
    run: littleMemory,
  },
  {
    id: 'stopped',
    fault: 'SIGSTOP for 0.3 to 4 s while helpers ask, then SIGCONT',
    expected: 'the helpers wait and get their keys',
    times: { short: 2, long: 25 },
    run: stopped,
  },
  {
    id: 'stray-signals',
    fault: 'each signal that ends nothing by right, during the start and while it runs',
    expected: 'the same process goes on; no inspector listens',
    times: { short: 10, long: 120 },
    run: straySignals,
  },
  {
    id: 'clocks',
    fault: 'the wall clock jumps by up to a day, forward and back (libfaketime, monotonic time left alone)',
    expected: 'no dead key is served, no good one is refused',
    times: { short: 2, long: 24 },
    missing: FAKETIME === undefined ? 'not installed: faketime' : undefined,
    run: clockJumps,
  },
  {
    id: 'places-gone',
    fault: 'home, runtime folder or socket removed, moved or swept by a tidy-up program while it runs',
    expected: 'helpers get their keys again within seconds',
    times: { short: 2, long: 30 },
    run: placesGone,
  },
  {
    id: 'configuration-torn',
    fault: 'the configuration cut at a random byte, emptied, or overwritten with garbage under the daemon',
    expected: 'right keys by the configuration from before; the whole one is taken again',
    times: { short: 4, long: 60 },
    run: tornConfiguration,
  },
  {
    id: 'helpers-at-once',
    fault: '300 helpers at once where no daemon runs, a quarter of them killed at random',
    expected: 'one daemon; every other helper gets its key',
    times: { short: 1, long: 8 },
    run: manyHelpers,
  },
  {
    id: 'helper-syscalls',
    fault: 'the helper killed at each of its system calls in turn, half of them while it starts a daemon',
    expected: 'the next helper gets its key; no second daemon; nothing left behind',
    times: { short: 20, long: 200 },
    missing: without('strace'),
    run: killedHelpers,
  },
];

async function fewDescriptors({ times, tally }: Trial): Promise<void> {
  await withRig({ within: ['prlimit', '--nofile=64:64'] }, async (rig) => {
    // It lets few asks wait for a provider at the same time.
    for (const name of rig.names) await rig.ask(name, tally);
    for (let round = 0; round < times; round += 1) {
      const silent: Socket[] = [];
      for (let count = 0; count < 100; count += 1) silent.push(connect(rig.home.socket).on('error', () => undefined));
      tally.inflicted += 1;
      const began = Date.now();
      for (const name of rig.names) await rig.ask(name, tally);
      tally.recoveredMs.push(Date.now() - began);
      for (const socket of silent) socket.destroy();
      const { problem } = (await rig.status())?.daemon.limits ?? {};
      tally.expect(problem != null, 'it does not say that its limit is low');
    }
  });
}

async function littleMemory({ times, tally }: Trial): Promise<void> {
  await withRig({ nodeArgs: ['--max-old-space-size=40'] }, async (rig) => {
    await rig.askAll(tally);
    const { pid } = rig;
    for (let round = 0; round < times; round += 1) {
      tally.inflicted += 1;
      await Promise.all(Array.from({ length: 200 }, (_, index) => rig.ask(rig.names[index % 5] ?? '', tally)));
    }
    tally.expect(rig.pid === pid, `the daemon ended: ${rig.logged().slice(-300)}`);
  });
}

async function stopped({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      const { pid = 0 } = rig;
      process.kill(pid, 'SIGSTOP');
      tally.inflicted += 1;
      const asked = rig.askAll(tally);
      await pause(dice.between(300, 4_000));
      process.kill(pid, 'SIGCONT');
      const began = Date.now();
      await asked;
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(rig.pid === pid, 'another daemon took its place');
    }
  });
}

const HARMLESS = Object.keys(constants.signals).filter(
  (name) => !['SIGKILL', 'SIGSTOP', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'].includes(name),
);
/** Sent by the processor, not by people: whoever sends these means a crash. */
const CRASHES = new Set([
  'SIGSEGV',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGABRT',
  'SIGIOT',
  'SIGTRAP',
  'SIGSYS',
  'SIGQUIT',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGPROF',
  'SIGVTALRM',
  'SIGSTKFLT',
  'SIGUNUSED',
]);

async function straySignals({ dice, times, tally }: Trial): Promise<void> {
  const signals = HARMLESS.filter((name) => !CRASHES.has(name)) as NodeJS.Signals[];
  await withRig({}, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      const signal = signals[round % signals.length] ?? 'SIGUSR1';
      const atStart = dice.chance(0.3);
      if (atStart) await rig.end();
      const asking = rig.ask(dice.pick(rig.names), tally);
      if (atStart) await until(() => rig.pid !== undefined);
      else await asking;
      const { pid = 0 } = rig;
      if (atStart) await pause(dice.between(0, 150));
      process.kill(pid, signal);
      tally.inflicted += 1;
      await asking;
      await rig.ask(dice.pick(rig.names), tally);
      // During the first moments of a process nobody can handle a signal yet; then a helper has started another.
      if (!atStart) tally.expect(rig.pid === pid, `${signal} ended the daemon`);
      tally.expect(listening(rig.pid ?? 0) === 0, `${signal} opened a port`);
    }
  });
}

/** Sockets of TCP that a process listens on. */
function listening(pid: number): number {
  try {
    const inodes = readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /socket:\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      } catch {
        return undefined;
      }
    });
    const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n').slice(1));
    return lines.filter((line) => {
      const fields = line.trim().split(/\s+/);
      return fields[3] === '0A' && inodes.includes(fields[9]);
    }).length;
  } catch {
    return 0;
  }
}

async function clockJumps({ dice, times, tally }: Trial): Promise<void> {
  await withRig({ leaseMs: 600_000 }, async (rig) => {
    const file = join(rig.home.folder, 'faketime');
    const set = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}`);
    set(0);
    rig.launchWith({
      LD_PRELOAD: FAKETIME ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
    });
    await rig.askAll(tally);
    for (let round = 0; round < times; round += 1) {
      set(Math.round(dice.between(-86_400, 86_400)));
      tally.inflicted += 1;
      if (dice.chance(0.3)) rig.rotate(dice.pick(rig.fixed));
      const began = Date.now();
      await rig.askAll(tally);
      tally.recoveredMs.push(Date.now() - began);
      if (dice.chance(0.3)) await rig.end(dice.chance(0.5) ? 'SIGKILL' : 'SIGTERM');
      await rig.askAll(tally);
    }
  });
}

async function placesGone({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    const run = dirname(rig.home.socket);
    const harms: readonly (() => void)[] = [
      () => rmSync(rig.home.socket, { force: true }),
      () => rmSync(run, { recursive: true, force: true }),
      () => renameSync(run, `${run}.${Math.floor(dice.between(0, 1e9))}`),
      () => rmSync(rig.home.stateDir, { recursive: true, force: true, maxRetries: 5 }),
      // What systemd-tmpfiles and tmpreaper do: every file older than so much, sockets and folders as well.
      () => spawnSync('find', [run, '-depth', '-mindepth', '1', '-delete']),
    ];
    for (let round = 0; round < times; round += 1) {
      await rig.askAll(tally);
      // Of the state folder the launch record is a person's: whoever removes it has turned the autostart off.
      const { pid = 0 } = rig;
      dice.pick(harms)();
      tally.inflicted += 1;
      const began = Date.now();
      let code: number | null = 1;
      while (code !== 0 && Date.now() - began < 30_000) {
        ({ code } = await rig.ask(dice.pick(rig.names), tally, (outcome) => outcome.code === 69));
      }
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(code === 0, 'no key within 30 s');
      tally.expect(isRunning(pid), 'the daemon ended');
      // A helper that finds neither socket nor lock would rightly start another daemon, which this one would leave its folder to.
      await until(() => existsSync(rig.state('lock')) || Date.now() - began > 30_000);
      rig.launchWith({});
    }
  });
}

async function tornConfiguration({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    await rig.askAll(tally);
    const { pid } = rig;
    const whole = rig.config();
    for (let round = 0; round < times; round += 1) {
      const text = dice.pick([
        whole.slice(0, Math.floor(dice.between(0, whole.length))),
        '',
        'x'.repeat(500),
        '\0\0\0',
      ]);
      writeFileSync(rig.home.configFile, text, { mode: 0o600 });
      tally.inflicted += 1;
      const said = rig.logged().length;
      // A configuration that was cut between two tables is whole, and has fewer credentials.
      await rig.ask(dice.pick(rig.names), tally, (outcome) => outcome.code === 78 || outcome.code === 64);
      if (dice.chance(0.5)) process.kill(rig.pid ?? 0, 'SIGHUP');
      await rig.ask(dice.pick(rig.names), tally, (outcome) => outcome.code === 78 || outcome.code === 64);
      rig.home.configure(whole);
      const began = Date.now();
      let code: number | null = 1;
      const name = rig.names.at(-1) ?? '';
      while (code !== 0 && Date.now() - began < 15_000) ({ code } = await rig.ask(name, tally, () => true));
      tally.recoveredMs.push(Date.now() - began);
      tally.expect(code === 0, 'the whole configuration is not taken again');
      if (tally.lost > 0) console.log(JSON.stringify(text.slice(-80)), rig.logged().slice(said));
    }
    tally.expect(rig.pid === pid, 'the daemon ended');
  });
}

async function manyHelpers({ dice, times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      await rig.end();
      const began = Date.now();
      await Promise.all(
        Array.from({ length: 300 }, async (_, index) => {
          const name = rig.names[index % rig.names.length] ?? '';
          const asked = Date.now();
          if (!dice.chance(0.25)) return void (await rig.ask(name, tally));
          const aborter = new AbortController();
          setTimeout(() => aborter.abort(), dice.between(0, 1_500));
          const options = { signal: aborter.signal, killSignal: 'SIGKILL' } as const;
          const outcome = await runHelper([name], { ...rig.env }, options).catch(() => undefined);
          tally.inflicted += 1;
          if (outcome?.code === 0) rig.judge(name, outcome, asked, tally);
        }),
      );
      tally.recoveredMs.push(Date.now() - began);
      const daemons = daemonsOf(rig);
      tally.expect(daemons.length === 1, `${daemons.length} daemons`);
    }
  });
}

async function killedHelpers({ times, tally }: Trial): Promise<void> {
  await withRig({}, async (rig) => {
    for (let round = 0; round < times; round += 1) {
      // A helper makes about 30 calls where a daemon answers, and about 60 more where it starts one.
      const starts = round % 2 === 1;
      const call = 1 + (Math.floor(round / 2) % (starts ? 100 : 40));
      if (starts) await rig.end();
      else await rig.ask(rig.fixed[0] ?? '', tally);
      const inject = ['-o', '/dev/null', '-e', `inject=all:signal=SIGKILL:when=${call}`];
      const traced: ChildProcess = spawn('strace', [...inject, helperPath() ?? '', rig.fixed[0] ?? ''], {
        env: { ...rig.env },
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      await new Promise((resolve) => traced.once('close', resolve));
      tally.inflicted += 1;
      const began = Date.now();
      await rig.ask(rig.fixed[0] ?? '', tally);
      tally.recoveredMs.push(Date.now() - began);
      const daemons = daemonsOf(rig);
      tally.expect(daemons.length <= 1, `${daemons.length} daemons after call ${call}`);
    }
    const left = rig.leftOvers();
    tally.expect(left.length === 0, `left behind: ${left.join(', ')}`);
  });
}

/** Processes that run the daemon's program with this rig's state folder. */
export function daemonsOf(rig: Rig): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const isDaemon = /broker\.mjs\0daemon/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
        return isDaemon && isRunning(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(rig.home.stateDir);
      } catch {
        return false;
      }
    });
}
