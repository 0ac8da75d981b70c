/** What `npm run test:codex` runs in the namespace. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { planCodexInstall } from '../../src/clients/codex-install.ts';
import { FIRST, SECOND } from '../fakes/client-bench.ts';
import { CODEX_SAMPLES } from '../unit/clients/codex-samples.ts';
import { CodexBench, type CodexOutcome } from './real-codex.ts';

const RUNS = 3;
/** The client's own five retries. */
const LONGEST_ENDING_MS = 20_000;

interface Row {
  readonly what: string;
  readonly outcomes: readonly CodexOutcome[];
  /** Without a word: as promised. */
  readonly broken: readonly string[];
}

const rows: Row[] = [];
let refusedWords = '';
let keylessWords = '';

await several(
  'cold: the first `codex exec`',
  (bench) => bench.exec(),
  (turn) => [
    turn.ok || 'the turn fails',
    turn.refused === 0 || 'a request is refused',
    turn.helperCalls === 1 || 'the helper is not called once',
  ],
);
await several(
  'warm: another `codex exec`',
  async (bench) => {
    await bench.exec();
    return bench.exec();
  },
  (turn) => [turn.ok || 'the turn fails', turn.refused === 0 || 'a request is refused'],
);
await several(
  'its key is rotated, the old one stays valid for a while: the turn after the interval',
  (bench) =>
    bench.session(async (turn) => {
      await turn();
      bench.store(SECOND);
      bench.api.acceptedKeys.add(SECOND);
      await bench.broker('refresh');
      // Until the interval is over, it goes on with the key that it has.
      let seen = await turn();
      while (seen.ok && seen.helperCalls === 0) seen = await turn();
      return seen;
    }),
  (turn) => [
    turn.ok || 'the turn fails',
    turn.refused === 0 || 'a request is refused',
    turn.key === SECOND || 'the old key is used',
  ],
  // Short enough to see it end.
  ['--refresh', '1s'],
);
await several(
  'its key is revoked, a successor is in Vault',
  (bench) =>
    bench.session(async (turn) => {
      await turn();
      bench.store(SECOND);
      bench.api.acceptOnly(SECOND);
      return turn();
    }),
  (turn) => [turn.ok || 'the turn fails', turn.key === SECOND || 'the old key is used'],
);
await several(
  'its key is revoked, Vault has nothing newer',
  (bench) =>
    bench.session(async (turn) => {
      await turn();
      bench.api.acceptOnly();
      return turn();
    }),
  (turn) => {
    refusedWords = lastLine(turn.words);
    return [!turn.ok || 'the turn succeeds', turn.ms < LONGEST_ENDING_MS || 'the turn does not end'];
  },
);
await several(
  'the provider is down, and another `codex exec` starts',
  async (bench) => {
    await bench.exec();
    await bench.vault.stop();
    try {
      return await bench.exec();
    } finally {
      await bench.vault.comeUp();
    }
  },
  (turn) => [
    turn.ok || 'the turn fails',
    turn.refused === 0 || 'a request is refused',
    turn.key === FIRST || 'another key',
  ],
);
await several(
  'the provider is down from the start: there is no key',
  async (bench) => {
    await bench.vault.stop();
    try {
      return await bench.exec();
    } finally {
      await bench.vault.comeUp();
    }
  },
  (turn) => {
    keylessWords = lastLine(turn.words);
    return [!turn.ok || 'the turn succeeds', turn.helperCalls === 0 || 'it is served from nowhere'];
  },
);
await several(
  '`OPENAI_API_KEY`, `CODEX_API_KEY` and `OPENAI_BASE_URL` are set, and auth.json has a key',
  async (bench) => {
    const login = { auth_mode: 'apikey', OPENAI_API_KEY: 'sk-other' };
    writeFileSync(join(bench.folder, '.codex', 'auth.json'), JSON.stringify(login), { mode: 0o600 });
    return bench.exec({
      OPENAI_API_KEY: 'sk-other',
      CODEX_API_KEY: 'sk-other',
      OPENAI_BASE_URL: 'http://127.0.0.1:1/v1',
    });
  },
  (turn) => [turn.ok || 'the turn fails', turn.key === FIRST || 'another key is used'],
);

const taken = samplesTaken();
const page = report();
writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'codex-report.md'), page);
console.log(page);
process.exitCode = rows.every(({ broken }) => broken.length === 0) && taken.lost.length === 0 ? 0 : 1;

/** One after another, so that they do not slow each other down. */
async function several(
  what: string,
  scenario: (bench: CodexBench) => Promise<CodexOutcome>,
  promises: (outcome: CodexOutcome) => readonly (true | string)[],
  flags: readonly string[] = [],
): Promise<void> {
  const outcomes: CodexOutcome[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const bench = await CodexBench.start(...flags);
    try {
      outcomes.push(await scenario(bench));
    } finally {
      await bench.close();
    }
  }
  const broken = outcomes.flatMap(promises).filter((promise) => promise !== true);
  console.log(`${what}: ${broken.join(', ') || 'as promised'}`);
  rows.push({ what, outcomes, broken });
}

/** Codex itself reads each of the shapes before and after `broker codex install`. */
function samplesTaken(): { readonly before: number; readonly lost: readonly string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'broker-codex-'));
  const isTaken = (text: string) => {
    writeFileSync(join(folder, 'config.toml'), text);
    const env = { HOME: folder, CODEX_HOME: folder, PATH: '/usr/bin:/bin' };
    return spawnSync(process.env['BROKER_TEST_CODEX'] ?? '', ['features', 'list'], { env }).status === 0;
  };
  const wish = { baseUrl: undefined, displayName: undefined, select: true, command: '/opt/broker-key', args: [] };
  const lost: string[] = [];
  let before = 0;
  for (const { name, text, provider, force = false } of CODEX_SAMPLES) {
    if (!isTaken(text)) continue;
    before += 1;
    const plan = planCodexInstall(
      Buffer.from(text),
      undefined,
      { ...wish, provider, force, timeoutMs: 10_000, refreshMs: 300_000 },
      'config.toml',
    );
    if (!isTaken(plan.content?.toString() ?? '')) lost.push(name);
  }
  rmSync(folder, { recursive: true });
  return { before, lost };
}

function report(): string {
  const [load = 0] = loadavg();
  const table = rows.map(({ what, outcomes, broken }) => {
    const turn = outcomes.every(({ ok }) => ok) ? 'succeeds' : outcomes.some(({ ok }) => ok) ? 'differs' : 'fails';
    const refused = Math.max(...outcomes.map(({ refused }) => refused));
    const after = refused === 0 ? '' : seconds(outcomes.map(({ afterRefusalMs = 0 }) => afterRefusalMs));
    const calls = Math.max(...outcomes.map(({ helperCalls }) => helperCalls));
    const cells = [
      what,
      turn,
      seconds(outcomes.map(({ ms }) => ms)),
      refused,
      after,
      calls,
      broken.join(', ') || 'yes',
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return `# With the real Codex, measured

Codex ${process.env['BROKER_TEST_CODEX_VERSION']}, ${new Date().toISOString().slice(0, 10)}, ${process.platform} ${process.arch}, ${availableParallelism()} cores under a load of ${load.toFixed(1)}, Node ${process.versions.node}.

Written by \`npm run test:codex\`: the real client as npm has it, configured by \`broker codex install\`; the real daemon and helper, a
development Vault and a mock of the Responses API, together in a network namespace with only loopback. Sessions are those of
\`codex app-server\`, which the editor extension uses. Seconds are the median of ${RUNS} runs, numbers the largest of them; "after" is
from the first refused request to the first good answer, or to the end of the turn if there was none.

| Situation | the turn | takes | refused requests | after | keys served | as promised |
|---|---|---|---|---|---|---|
${table.join('\n')}

What the user sees at the end of a turn with a refused key:

> ${refusedWords}

and without any key:

> ${keylessWords}

Codex took ${taken.before} of the ${CODEX_SAMPLES.length} shapes of config.toml in \`test/unit/clients/codex-samples.ts\` as they are, and ${taken.before - taken.lost.length} of these with the lines of
\`broker codex install\`${taken.lost.length === 0 ? '' : `; not: ${taken.lost.join(', ')}`}. The others it refuses with and without them.
`;
}

/** Without what differs from run to run. */
function lastLine(words: string): string {
  const line = words.trim().split('\n').at(-1) ?? '';
  return line.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1').replaceAll(/\/\S*\/broker-test-\w+/g, '~');
}

function seconds(ms: readonly number[]): string {
  const median = ms.toSorted((a, b) => a - b)[Math.floor(ms.length / 2)] ?? 0;
  return `${(median / 1_000).toFixed(median < 1_000 ? 2 : 1)} s`;
}
