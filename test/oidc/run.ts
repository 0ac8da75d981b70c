/**
 * `npm run test:oidc`: oauth2 against Keycloak, with its own rotation of refresh tokens and token exchange. Downloads it to
 * .cache/ (Java 17 and Maven have to be there), starts it, runs `test/oidc/*.oidc.test.ts` and writes what was seen to
 * docs/oidc-report.md. Arguments go to vitest, and with any there is no report.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install, KEYCLOAK, Keycloak } from './keycloak.ts';

interface VitestReport {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly duration?: number;
    }[];
  }[];
}

const ROOT = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'broker-oidc-report-'));
const output = join(folder, 'report.json');
install();
const keycloak = await Keycloak.start();
process.once('SIGINT', () => void keycloak.stop());
console.error(`Keycloak ${KEYCLOAK} is ready after ${Math.round(keycloak.startedInMs / 1000)} s`);
try {
  const own = process.argv.slice(2);
  const args = [
    'vitest',
    'run',
    '--project',
    'oidc',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${output}`,
    ...own,
  ];
  const env = { ...process.env, BROKER_TEST_KEYCLOAK: JSON.stringify(keycloak.facts) };
  const [code] = await once(spawn('npx', args, { cwd: ROOT, stdio: 'inherit', env }), 'exit');
  process.exitCode = Number(code ?? 1);
  if (own.length === 0)
    writeFileSync(join(ROOT, 'docs', 'oidc-report.md'), pageOf(JSON.parse(readFileSync(output, 'utf8'))));
} finally {
  await keycloak.stop();
  rmSync(folder, { recursive: true, force: true });
}

function pageOf({ testResults }: VitestReport): string {
  const rows = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .map(({ ancestorTitles, title, status, duration }) => {
      const name = [...ancestorTitles.filter((each) => each !== ''), title].join(': ');
      return `| ${name} | ${status} | ${duration === undefined ? '' : `${Math.round(duration)} ms`} |`;
    });
  return `# oauth2 against Keycloak

What \`npm run test:oidc\` saw last: Keycloak ${KEYCLOAK} on Node ${process.versions.node} (${process.platform}), in a realm that replaces refresh tokens at
every use and ends a login whose token is used again, with PKCE demanded of both clients for people. The times are of one run on a
busy machine, and waiting for the device login's poll is in them. The same against oidc-provider, which is certified, is part of
\`npm test\` (\`test/conformance/oauth2/\`).

| what | result | time |
|---|---|---|
${rows.join('\n')}
`;
}
