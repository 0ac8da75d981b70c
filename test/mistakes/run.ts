/**
 * `npm run mistakes`: what newcomers do wrong, done with the built program in a fresh home each, and what they are told. The
 * report goes to docs/mistakes.md. A word as argument chooses mistakes by what they are and what is typed, and then nothing is
 * written.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { DevVault } from '../fakes/dev-vault/dev-vault.ts';
import { enrolLaptop, laptopConfig } from '../fakes/laptop.ts';
import { freePort } from '../fakes/loopback.ts';
import { SetupHome } from '../fakes/setup-home.ts';
import { MISTAKES, type Mistake, type Place } from './mistakes.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PATH = [join(ROOT, 'bin'), dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter);
const LIMIT_MS = 60_000;
const KEY = 'sk-ant-api03-0123456789';

interface Answer {
  readonly text: string;
  readonly exit: number | null;
  readonly isGood: boolean;
}

async function make(mistake: Mistake, vault: DevVault, nobody: string): Promise<Answer> {
  await using home = new SetupHome();
  const place: Place = { home, vault: vault.address, nobody };
  enrolLaptop(vault, home.folder);
  Object.assign(home.env, { BROKER_CONFIG: home.config, PATH, VAULT: vault.address }, mistake.env?.(place));
  const good = laptopConfig(place.vault);
  const { config = good } = mistake;
  if (config !== null) {
    home.folderFor('.config', 'broker');
    writeFileSync(home.config, typeof config === 'function' ? config(place, good) : config, { mode: 0o600 });
  }
  if (mistake.daemon) await home.start();
  await mistake.before?.(place);
  const { exit, said } = await type(mistake.typed, home);
  const isGood = mistake.says.test(said) && (mistake.exit === undefined ? exit !== 0 : exit === mistake.exit);
  return { text: anywhere(said, home, place).trim(), exit, isGood };
}

/** What both streams say, as a terminal shows it. */
async function type(line: string, { folder, env }: SetupHome): Promise<{ exit: number | null; said: string }> {
  const child = spawn('/bin/sh', ['-c', `{ ${line}\n} 2>&1`], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LIMIT_MS,
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const said = await textOf(child.stdout);
  return { exit: await ended, said };
}

/** Without what differs from machine to machine and from run to run. */
function anywhere(said: string, home: SetupHome, { vault, nobody }: Place): string {
  return said
    .replaceAll(`${home.folder}/`, '~/')
    .replaceAll(home.folder, '/home/ada')
    .replaceAll(PATH, '/usr/bin:/bin')
    .replaceAll(vault, 'https://vault.example.com')
    .replaceAll(nobody, 'http://127.0.0.1:9')
    .replaceAll(hostname(), 'laptop')
    .replaceAll(/\b(pid|kill) \d+/g, '$1 4711')
    .replaceAll(/\b(up|in) \d+ m?s\b/g, '$1 2 s');
}

/** Longer answers are shown where they speak of the mistake. */
const LONGEST = 8;

function excerpt(text: string, says: RegExp): string {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => says.test(line));
  const shown = lines.length <= LONGEST || at === -1 ? lines : ['…', ...lines.slice(at, at + 2), '…'];
  return shown.map((line) => line.trim()).join(' ⏎ ');
}

const cell = (text: string) => text.replaceAll(/[|<*]/g, '\\$&');

function row({ what, typed, says }: Mistake, { text, exit }: Answer): string {
  return `| ${[what, typed, `${exit}`, excerpt(text, says)].map(cell).join(' | ')} |\n`;
}

const [word] = process.argv.slice(2);
const vault = await DevVault.start({ nowMs: () => Date.now() });
vault.policies.write('claude', ['secret/data/claude', 'secret/data/two']);
vault.kv.writeV2('secret/claude', { api_key: KEY, note: 'for us' });
vault.kv.writeV2('secret/two', { api_key: KEY, other: 'x' });
vault.logins.user('userpass', 'ada', 'correct', { policies: ['claude'], ttlMs: 3_600_000 });
const nobody = `http://127.0.0.1:${await freePort()}`;
let [made, good] = [0, 0];
let tables = '';
try {
  for (const [chapter, mistakes] of Object.entries(MISTAKES)) {
    tables += `\n## ${chapter}\n\n| mistake | typed | exit code | answer |\n|---|---|---|---|\n`;
    for (const mistake of mistakes) {
      if (word !== undefined && !`${mistake.what} ${mistake.typed}`.includes(word)) continue;
      const answer = await make(mistake, vault, nobody);
      made += 1;
      if (answer.isGood) good += 1;
      else console.log(`NOT AS PROMISED (${mistake.says}, exit code ${mistake.exit ?? 'not 0'}):`);
      console.log(`${mistake.what}\n$ ${mistake.typed}\n${answer.text}\n[exit code ${answer.exit}]\n`);
      tables += row(mistake, answer);
    }
  }
} finally {
  await vault.stop();
}
console.log(`${good} of ${made} answered as promised`);
if (good < made) process.exitCode = 1;
if (word === undefined) {
  const head = `# What newcomers do wrong, and what they are told

Written by \`npm run mistakes\`: ${good} of ${made} are told what is wrong, and what to do, as promised. Each was made with the real program in a
home of its own, with a Vault on loopback. ⏎ is the end of a line; of long answers it is the part that speaks of the mistake. Mistakes in the
questions of \`broker setup\` are in [setup.md](setup.md#a-mistake-at-every-question).
`;
  writeFileSync(join(ROOT, 'docs', 'mistakes.md'), head + tables);
}
