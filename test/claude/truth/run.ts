/**
 * `npm run doctor:truth`: every home of the matrix, with the newest client and with the version before, against the doctor's
 * account of the same home; the report goes to docs/doctor-truth.md. What a version did in a home is kept under .cache, and
 * `--fresh` asks it again. A word as argument chooses homes by their names, and then nothing is written.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type InstalledClient, installClient, installClientBefore } from '../client-package.ts';
import { Impossible } from '../impossible.ts';
import { LoopbackOnly } from '../loopback.ts';
import { type Run, writeReport } from './report.ts';

const words = process.argv.slice(2);
const fresh = words.includes('--fresh');
const [pattern] = words.filter((word) => word !== '--fresh');

try {
  const loopback = LoopbackOnly.find();
  const newest = installClient();
  const runs = [];
  // Of two versions that follow each other every second home is enough.
  const clients = [
    { ...newest, every: '1' },
    { ...installClientBefore(newest), every: '2' },
  ];
  for (const client of clients) {
    console.log(`Claude Code ${client.version}, on loopback only`);
    runs.push({ version: client.version, ...(await verdictsOf(loopback, client)) });
  }
  if (pattern === undefined) writeReport(runs);
  const isSame = runs.every(
    ({ verdicts, followed }) =>
      verdicts.every(({ differences }) => differences.length === 0) &&
      followed.every(({ faults }) => faults.length === 0),
  );
  process.exitCode = isSame ? 0 : 1;
} catch (error) {
  if (!(error instanceof Impossible)) throw error;
  console.log(`SKIPPED, nothing was tested with the real client: ${error.message}`);
}

async function verdictsOf(
  loopback: LoopbackOnly,
  { program, version, every }: InstalledClient & { readonly every: string },
): Promise<Omit<Run, 'version'>> {
  const folder = mkdtempSync(join(tmpdir(), 'broker-truth-run-'));
  try {
    const out = join(folder, 'verdicts.json');
    const script = join(import.meta.dirname, 'judge-all.ts');
    const env = { BROKER_TEST_CLAUDE: program, BROKER_TEST_CLAUDE_VERSION: version };
    await loopback.run([process.execPath, script, out, pattern ?? '', fresh ? 'fresh' : '', every], env);
    return JSON.parse(readFileSync(out, 'utf8')) as Omit<Run, 'version'>;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
