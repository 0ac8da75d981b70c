import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Impossible } from './impossible.ts';

interface ClientPackage {
  readonly name: string;
  /** What was observed in the report on this client holds for these; widen it after reading that report again. */
  readonly range: string;
  readonly folder: string;
  /** The program, in the package that comes as an optional dependency for this platform. */
  readonly program: string;
}

const CACHE = join(import.meta.dirname, '..', '..', '.cache');

const CLAUDE: ClientPackage = {
  name: '@anthropic-ai/claude-code',
  range: '~2.1.330',
  folder: join(CACHE, 'claude-code'),
  program: '@anthropic-ai/claude-code-*/claude',
};

const CODEX: ClientPackage = {
  name: '@openai/codex',
  range: '~0.171.0',
  folder: join(CACHE, 'codex'),
  program: '@openai/codex-*/vendor/*/bin/codex',
};

export interface InstalledClient {
  /** The native program; its package comes as an optional dependency for this platform. */
  readonly program: string;
  readonly version: string;
}

/** Installs the newest client from npm, once per range, into a folder of its own. @throws Impossible. */
export function installClient(): InstalledClient {
  return installed(CLAUDE);
}

/** The same for Codex: 404 MB. @throws Impossible. */
export function installCodexClient(): InstalledClient {
  return installed(CODEX);
}

/** The version that was published before this one. @throws Impossible. */
export function installClientBefore({ version }: InstalledClient): InstalledClient {
  const versions = JSON.parse(npm(CLAUDE, 'view', CLAUDE.name, 'versions', '--json')) as readonly string[];
  const before = versions[versions.indexOf(version) - 1];
  if (before === undefined) throw new Impossible(`npm knows no ${CLAUDE.name} before ${version}`);
  return installed({ ...CLAUDE, range: before, folder: `${CLAUDE.folder}-before` });
}

function installed(wanted: ClientPackage): InstalledClient {
  const { name, range, folder } = wanted;
  const stamp = join(folder, 'range.txt');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== range) install(wanted);
  const [program] = globSync(join(folder, 'node_modules', wanted.program));
  if (program === undefined) throw new Impossible(`${name} has no program for ${process.platform}-${process.arch}`);
  const manifest = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8');
  return { program, version: (JSON.parse(manifest) as { version: string }).version };
}

function install(wanted: ClientPackage): void {
  const { name, range, folder } = wanted;
  console.log(`installing ${name}@${range} into ${relative(process.cwd(), folder)} …`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const flags = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  npm(wanted, 'install', '--prefix', folder, ...flags, `${name}@${range}`);
  writeFileSync(join(folder, 'range.txt'), range);
}

function npm({ name }: ClientPackage, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('npm', args, { encoding: 'utf8', timeout: 300_000 });
  if (status === 0) return stdout;
  const lines = (stderr ?? error?.message ?? '').split('\n').filter((text) => !/^(npm error code|$)/.test(text));
  const [line = 'it was not found or did not end'] = lines;
  throw new Impossible(`npm ${args[0]} ${name} failed: ${line}`);
}
