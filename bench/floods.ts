/**
 * `npm run bench:floods`: what a crowd costs those who behave. Writes bench/floods.md. A good client asks fifty times a second, from
 * a process of its own; its p99 among 500 silent connections and a hundred pieces of garbage a second for a minute is compared with
 * its p99 when it is quiet. Then 3,000 asks wait for a provider that does not answer, and one that can be answered is asked for.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { BrokerHome } from '../test/fakes/daemon-process.ts';
import type { Bench } from './lab.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { compilePrograms } from './programs.ts';

const PACE_MICROS = 20_000;
const GOOD_CLIENTS = 50;
const CONFIG = `default = "quick"
[providers.quick]
type = "exec"
command = ["/bin/echo", "sk-quick-0123456789"]
[credentials.quick]
provider = "quick"
[providers.slow]
type = "exec"
command = ["/bin/sh", "-c", "sleep 60"]
timeout = "60s"
[credentials.slow]
provider = "slow"
`;

const folder = mkdtempSync(path.join(tmpdir(), 'broker-floods-'));
const home = new BrokerHome(CONFIG);
const crowd: ChildProcess[] = [];
try {
  const bench = { programs: compilePrograms(folder) } as Bench;
  await home.start();
  const good = (milliseconds: number, clients = GOOD_CLIENTS) =>
    applyLoad(bench, home.socket, {
      connections: clients,
      clients,
      keepAlive: false,
      milliseconds,
      paceMicros: PACE_MICROS,
      path: '/v1/credentials/quick/key',
      // A client that asks within its interval is looked at more closely.
      intervalMs: 1_000,
    });
  await good(2_000);
  const quiet = await good(20_000);
  await flood('silent', '500');
  await flood('garbage', '100');
  const flooded = await good(60_000);
  disperse();
  const alone = await good(5_000, 1);
  await flood('waiting', '3000', 'slow');
  const beside = await good(20_000, 1);
  writeFileSync(path.join(import.meta.dirname, 'floods.md'), report({ quiet, flooded, alone, beside }));
} finally {
  disperse();
  await home.close();
  rmSync(folder, { recursive: true, force: true });
}

async function flood(...args: string[]): Promise<void> {
  const program = path.join(import.meta.dirname, 'programs', 'flooder.mjs');
  const child = spawn(process.execPath, [program, home.socket, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  crowd.push(child);
  await once(child.stdout, 'data');
}

function disperse(): void {
  for (const child of crowd.splice(0)) child.kill();
}

function report(results: Readonly<Record<'quiet' | 'flooded' | 'alone' | 'beside', LoadResult>>): string {
  const row = (name: string, { p50, p99, p999 }: LoadResult) =>
    `| ${name} | ${[p50, p99, p999].map((micros) => `${(micros / 1000).toFixed(2)} ms`).join(' | ')} |`;
  const { quiet, flooded, alone, beside } = results;
  const times = (flooded.p99 / quiet.p99).toFixed(1);
  return `# Floods

\`npm run bench:floods\` on a machine with ${availableParallelism()} cores, which the crowd and the clients share with the daemon. Each good client
asks fifty times a second, each time on a new connection; every one of its asks was answered with the key. The machine had a load
of ${(loadavg()[2] ?? 0).toFixed(1)} over the last quarter of an hour, other work included.

| | p50 | p99 | p99.9 |
|---|---|---|---|
${row(`${GOOD_CLIENTS} clients, quiet`, quiet)}
${row(`${GOOD_CLIENTS} clients among 500 silent connections and 100 pieces of garbage a second, for a minute`, flooded)}
${row('one client, quiet', alone)}
${row('one client beside 3,000 asks that wait for a provider that does not answer', beside)}

The p99 in the crowd is ${times} times the quiet one.
`;
}
