/**
 * `npm run doctor:situations`: every public situation with the real client before and after the remedy, on loopback only; the
 * report goes to docs/doctor-situations.md. A word as argument chooses situations by their names, and then nothing is written.
 */
import { join } from 'node:path';
import { installClient } from '../client-package.ts';
import { Impossible } from '../impossible.ts';
import { LoopbackOnly } from '../loopback.ts';

try {
  const loopback = LoopbackOnly.find();
  const { program, version } = installClient();
  console.log(`Claude Code ${version}, on loopback only`);
  const env = { BROKER_TEST_CLAUDE: program, BROKER_TEST_CLAUDE_VERSION: version };
  const script = join(import.meta.dirname, 'solve-all.ts');
  process.exitCode = await loopback.run([process.execPath, script, ...process.argv.slice(2)], env);
} catch (error) {
  if (!(error instanceof Impossible)) throw error;
  console.log(`SKIPPED, nothing was tested with the real client: ${error.message}`);
}
