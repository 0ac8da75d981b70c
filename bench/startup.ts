/**
 * What a start costs, from spawn to "broker is ready", with as good as no provider (one command: a configuration without
 * any is refused) and with one of every type: what is configured but not asked for must cost nothing. Both as every start but
 * the first one after an installation is: the program is there compiled. Needs a build.
 *
 * Judged is the processor time of the whole process, all its threads: other programs make a start late, but they hardly
 * make it compute more. The two starts of a round are neighbours in time, and what is judged is the median of the
 * rounds' ratios; rounds are added until that median is known to lie on one side of the limit.
 *
 *     node bench/startup.ts [ROUNDS]    at most so many, default 150; exits with 1 if the ratio is over 1.10, with 2 if
 *                                       that many rounds could not tell
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { BrokerHome } from '../test/fakes/daemon-process.ts';
import { everyProvider } from '../test/fakes/every-provider.ts';
import { median, medianWithin } from './statistics.ts';

const LIMIT = 1.1;
const FEWEST_ROUNDS = 20;
const LEAST = `default = "from-tool"
[providers.tool]
type = "exec"
command = ["/bin/echo", "sk-from-tool"]
[credentials.from-tool]
provider = "tool"
`;
const mostRounds = Number(process.argv[2] ?? 150);

interface Start {
  readonly ms: number;
  readonly cpuMs: number;
  /** Resident once it is ready. */
  readonly megabytes: number;
}

async function startOnce(home: BrokerHome): Promise<Start> {
  const spawnedAt = performance.now();
  const daemon = await home.start();
  const ms = performance.now() - spawnedAt;
  const start = { ms, cpuMs: await computedMs(daemon.pid), megabytes: await residentMegabytes(daemon.pid) };
  await daemon.end('SIGTERM');
  return start;
}

/** The program is kept compiled once the first daemon has had its first request. */
async function warmUp(home: BrokerHome): Promise<void> {
  const daemon = await home.start();
  await home.status();
  while (!home.stateFiles().includes('compiled')) await pause(50);
  await daemon.end('SIGTERM');
}

/** Nanoseconds that each thread has run (proc_pid_schedstat(5)); `stat` counts in hundredths of a second, which is too coarse. */
async function computedMs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const ran = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')));
  return ran.reduce((sum, line) => sum + Number(line.split(' ')[0]), 0) / 1e6;
}

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}

if (!existsSync('/proc/self/schedstat')) throw new Error('what a process computed is known on Linux only');

const homes = { least: new BrokerHome(LEAST), every: new BrokerHome(everyProvider()) };
const starts = { least: [] as Start[], every: [] as Start[] };
const ratiosOf = (measure: keyof Start) =>
  starts.every.map((start, round) => start[measure] / (starts.least[round]?.[measure] ?? Number.NaN));

/** Undefined while it may be either. */
function verdict(): 'within' | 'over' | undefined {
  if (starts.every.length < FEWEST_ROUNDS) return undefined;
  const [low, high] = medianWithin(ratiosOf('cpuMs'));
  return high <= LIMIT ? 'within' : low > LIMIT ? 'over' : undefined;
}

// The first round warms the file cache and is not counted; then each goes first in every other one.
for (const home of Object.values(homes)) await warmUp(home);
for (let round = 0; round <= mostRounds && verdict() === undefined; round += 1) {
  const order = round % 2 === 0 ? (['least', 'every'] as const) : (['every', 'least'] as const);
  for (const which of order) {
    const start = await startOnce(homes[which]);
    if (round > 0) starts[which].push(start);
  }
}

for (const home of Object.values(homes)) await home.close();
for (const [what, which] of [
  ['one command', 'least'],
  ['every type', 'every'],
] as const) {
  const [cpuMs, ms, megabytes] = (['cpuMs', 'ms', 'megabytes'] as const).map((measure) =>
    median(starts[which].map((start) => start[measure])).toFixed(1),
  );
  console.log(`${what.padEnd(12)} ${cpuMs} ms computed, ${ms} ms passed, ${megabytes} MB resident (medians)`);
}
const [low, high] = medianWithin(ratiosOf('cpuMs'));
const range = `${low.toFixed(3)} to ${high.toFixed(3)} with 99 % confidence`;
console.log(`ratio        ${median(ratiosOf('cpuMs')).toFixed(3)} of what was computed: ${range}, at most ${LIMIT}`);
console.log(`             ${median(ratiosOf('ms')).toFixed(3)} of the time that passed (not judged)`);
const settled = verdict();
console.log(`verdict      ${settled ?? 'unsettled'} after ${starts.every.length} rounds`);
process.exitCode = settled === 'within' ? 0 : settled === 'over' ? 1 : 2;
