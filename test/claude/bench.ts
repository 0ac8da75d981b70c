/**
 * What `npm run bench:claude` runs: every scenario five times, and beside it once what a plain TTL cache does to the
 * same client. Takes about eight minutes: the plain cache's, and ten edits spread over five. Writes docs/claude-client.md.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { ClientBench, SECOND } from '../fakes/client-bench.ts';
import * as others from './other-helpers.ts';
import { type Measurements, report } from './report.ts';
import * as scenarios from './scenarios.ts';

const RUNS = 5;
/** Ten of them take five minutes. */
const EDITS_APART_MS = 30_000;

type Outcome = scenarios.Outcome;
type Scenario = (bench: ClientBench) => Promise<Outcome>;

await main();

async function main(): Promise<void> {
  // These wait for the client's own pauses, hardly ever for the processor.
  const long = Promise.all([
    once((bench) => scenarios.revokedWithSuccessor(bench, scenarios.plainCache(bench))),
    once((bench) => scenarios.forbiddenModel(bench, scenarios.plainCache(bench))),
    once(scenarios.revokedWithDeadSuccessor),
    once(scenarios.revokedAndProviderDown),
    once(async (bench) => (await scenarios.settingsEdited(bench, EDITS_APART_MS)).reduce(worse)),
    once((bench) => scenarios.revokedUnderSubagents(bench, SECOND)),
    once((bench) => scenarios.revokedUnderSubagents(bench)),
    Promise.all([
      once((bench) => others.telemetry(bench, 'at the provider')),
      once((bench) => others.mcpHeaders(bench, 'at the provider', { everyMs: 5_000 })),
      once((bench) => others.bedrock(bench, 'at the provider')),
      // Suspicions of its start are a minute old by then.
      once((bench) => others.proxy(bench, 'at the provider', { quietMs: 61_000 })),
    ]),
  ]);
  const short = {
    oneTurn: await several(scenarios.oneTurn),
    rotated: await several(async (bench) => (await scenarios.rotated(bench)).reduce(worse)),
    withSuccessor: await several(scenarios.revokedWithSuccessor),
    withoutSuccessor: await several(scenarios.revokedWithoutSuccessor),
    forbiddenModel: await several(scenarios.forbiddenModel),
    providerDown: await several(scenarios.providerDown),
    restarted: await several(scenarios.daemonRestarted),
    withoutEnvironment: await several((bench) =>
      scenarios.revokedWithoutSuccessor(bench, scenarios.withoutEnvironment(bench)),
    ),
    revokedInARestart: await several(scenarios.revokedInARestart),
    rolledBack: await several(async (bench) => (await scenarios.rolledBackWithEdits(bench)).reduce(worse)),
  };
  console.log('waiting for the plain TTL cache: the client gives up after about 250 s …');
  const [plainRevoked, plainForbidden, deadSuccessor, downAndRevoked, edited, subagents, deadSubagents, helpers] =
    await long;
  const single = { plainRevoked, plainForbidden, deadSuccessor, downAndRevoked, edited, subagents, deadSubagents };
  const [telemetry, mcp, bedrock, proxy] = helpers;
  const measured: Measurements = { ...short, ...single, helpers: { telemetry, mcp, bedrock, proxy } };
  const client = process.env['BROKER_TEST_CLAUDE_VERSION'] ?? 'of an unknown version';
  const [, load = 0] = loadavg();
  const cores = `${availableParallelism()} cores under a load of ${load.toFixed(1)}`;
  const machine = `${process.platform} ${process.arch}, ${cores}, Node ${process.versions.node}`;
  const page = report(measured, { client, machine, date: new Date().toISOString().slice(0, 10), runs: RUNS });
  writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'claude-client.md'), page);
  console.log(page);
}

async function once<Result>(scenario: (bench: ClientBench) => Promise<Result>): Promise<Result> {
  const bench = await ClientBench.start();
  try {
    return await scenario(bench);
  } finally {
    await bench.close();
  }
}

/** One after another, so that they do not slow each other down. */
async function several(scenario: Scenario): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let run = 0; run < RUNS; run += 1) outcomes.push(await once(scenario));
  return outcomes;
}

function worse(one: Outcome, other: Outcome): Outcome {
  return !other.ok || other.refused > one.refused ? other : one;
}
