/**
 * How long the daemon takes from spawn to "broker is ready", with as good as no provider (one command: a configuration
 * without any is refused) and with one of every type: what is configured but not asked for must cost nothing. Needs a build.
 *
 *     node bench/startup.ts [ROUNDS]    default 25; exits with 1 if the ratio is over 1.10
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { BrokerHome } from '../test/fakes/daemon-process.ts';
import { everyProvider } from '../test/fakes/every-provider.ts';

const MOST = 1.1;
const LEAST = `default = "from-tool"
[providers.tool]
type = "exec"
command = ["/bin/echo", "sk-from-tool"]
[credentials.from-tool]
provider = "tool"
`;
const rounds = Number(process.argv[2] ?? 25);

interface Start {
  readonly ms: number;
  /** What the main thread computed meanwhile, which other programs disturb less; 0 where the system does not say. */
  readonly cpuMs: number;
  /** Resident once it is ready; 0 where the system does not say. */
  readonly megabytes: number;
}

async function startOnce(config: string): Promise<Start> {
  const home = new BrokerHome(config);
  try {
    const spawnedAt = performance.now();
    const daemon = await home.start();
    const ms = performance.now() - spawnedAt;
    return { ms, cpuMs: await computedMs(daemon.pid), megabytes: await residentMegabytes(daemon.pid) };
  } finally {
    await home.close();
  }
}

async function computedMs(pid: number): Promise<number> {
  const file = `/proc/${pid}/schedstat`;
  return existsSync(file) ? Number((await readFile(file, 'utf8')).split(' ')[0]) / 1e6 : 0;
}

async function residentMegabytes(pid: number): Promise<number> {
  const file = `/proc/${pid}/status`;
  if (!existsSync(file)) return 0;
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(file, 'utf8'))?.[1] ?? 0) / 1024;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? 0) + (sorted[Math.ceil((sorted.length - 1) / 2)] ?? 0)) / 2;
}

const configs = { least: LEAST, every: everyProvider() };
const starts = { least: [] as Start[], every: [] as Start[] };
// The first start of each warms the file cache and is not counted; then they alternate, so that a busy machine is busy for both.
for (let round = 0; round <= rounds; round += 1) {
  const order = round % 2 === 0 ? (['least', 'every'] as const) : (['every', 'least'] as const);
  for (const which of order) {
    const start = await startOnce(configs[which]);
    if (round > 0) starts[which].push(start);
  }
}

for (const [what, which] of [
  ['one command', 'least'],
  ['every type', 'every'],
] as const) {
  const ms = starts[which].map((start) => start.ms);
  const cpuMs = median(starts[which].map((start) => start.cpuMs)).toFixed(1);
  const megabytes = median(starts[which].map((start) => start.megabytes));
  const [p50, fastest, slowest] = [median(ms), Math.min(...ms), Math.max(...ms)].map((value) => value.toFixed(1));
  console.log(
    `${what.padEnd(12)} median ${p50} ms (${fastest} to ${slowest}, ${ms.length} starts), ${cpuMs} ms computed, ${megabytes.toFixed(1)} MB resident`,
  );
}
// The two starts of a round are neighbours in time: their ratio stays when the machine's load drifts.
const ratioOf = (measure: 'ms' | 'cpuMs') =>
  median(starts.every.map((start, round) => start[measure] / (starts.least[round]?.[measure] ?? 0)));
const ratio = ratioOf('ms');
console.log(`ratio        ${ratio.toFixed(3)}, the median over the rounds (at most ${MOST})`);
console.log(`ratio        ${ratioOf('cpuMs').toFixed(3)} of what was computed`);
process.exitCode = ratio <= MOST ? 0 : 1;
