/**
 * Runs the tests with the real Claude Code: installs it from npm under .cache/ and starts everything (mock API,
 * development Vault, daemon, client) in a network namespace with only loopback. Where that cannot be it says so in one
 * line and succeeds. `--bench` measures instead and writes docs/claude-client.md,
 * `--types` asks which settings the client takes; other arguments go to vitest.
 */
import { join } from 'node:path';
import { installClient } from './client-package.ts';
import { Impossible } from './impossible.ts';
import { LoopbackOnly } from './loopback.ts';

const ROOT = join(import.meta.dirname, '..', '..');

await main(process.argv.slice(2));

async function main(words: readonly string[]): Promise<void> {
  try {
    const loopback = LoopbackOnly.find();
    const { program, version } = installClient();
    const env = { BROKER_TEST_CLAUDE: program, BROKER_TEST_CLAUDE_VERSION: version };
    console.log(`Claude Code ${version}, on loopback only`);
    const tests = [
      join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--project',
      'claude',
      '--reporter',
      'verbose',
    ];
    const [first, ...rest] = words;
    const script = { '--bench': 'bench.ts', '--types': 'settings-types.ts' }[first ?? ''];
    const command = script === undefined ? [...tests, ...words] : [join(import.meta.dirname, script), ...rest];
    process.exitCode = await loopback.run([process.execPath, ...command], env);
  } catch (error) {
    if (!(error instanceof Impossible)) throw error;
    console.log(`SKIPPED, nothing was tested with the real client: ${error.message}`);
  }
}
