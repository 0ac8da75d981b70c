/**
 * `npm run test:codex`: installs the real Codex from npm under .cache/ (404 MB), starts it with daemon, helper, a development Vault
 * and a mock of the Responses API in a network namespace with only loopback, and writes what was seen into docs/codex-report.md.
 * Fails if one of the promises there does not hold. Where it cannot be it says so in one line and succeeds.
 */
import { join } from 'node:path';
import { installCodexClient } from '../claude/client-package.ts';
import { Impossible } from '../claude/impossible.ts';
import { LoopbackOnly } from '../claude/loopback.ts';

try {
  const loopback = LoopbackOnly.find();
  const { program, version } = installCodexClient();
  console.log(`Codex ${version}, on loopback only`);
  const env = { BROKER_TEST_CODEX: program, BROKER_TEST_CODEX_VERSION: version };
  process.exitCode = await loopback.run([process.execPath, join(import.meta.dirname, 'scenarios.ts')], env);
} catch (error) {
  if (!(error instanceof Impossible)) throw error;
  console.log(`SKIPPED, nothing was tested with the real client: ${error.message}`);
}
