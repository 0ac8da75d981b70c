import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Impossible } from './impossible.ts';

/** What was observed in docs/claude-client.md holds for these; widen it after reading that report again. */
const PACKAGE = '@anthropic-ai/claude-code';
const RANGE = '~2.1.330';
const FOLDER = join(import.meta.dirname, '..', '..', '.cache', 'claude-code');

export interface InstalledClient {
  /** The native program; its package comes as an optional dependency for this platform. */
  readonly program: string;
  readonly version: string;
}

/** Installs the newest client from npm, once per range, into a folder of its own. @throws Impossible. */
export function installClient(): InstalledClient {
  return installed(RANGE, FOLDER);
}

/** The version that was published before this one. @throws Impossible. */
export function installClientBefore({ version }: InstalledClient): InstalledClient {
  const versions = JSON.parse(npm('view', PACKAGE, 'versions', '--json')) as readonly string[];
  const before = versions[versions.indexOf(version) - 1];
  if (before === undefined) throw new Impossible(`npm knows no ${PACKAGE} before ${version}`);
  return installed(before, `${FOLDER}-before`);
}

function installed(range: string, folder: string): InstalledClient {
  const stamp = join(folder, 'range.txt');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== range) install(range, folder);
  const [program] = globSync(join(folder, 'node_modules', `${PACKAGE}-*`, 'claude'));
  if (program === undefined) throw new Impossible(`${PACKAGE} has no program for ${process.platform}-${process.arch}`);
  const manifest = JSON.parse(readFileSync(join(dirname(program), 'package.json'), 'utf8')) as { version: string };
  return { program, version: manifest.version };
}

function install(range: string, folder: string): void {
  console.log(`installing ${PACKAGE}@${range} into ${relative(process.cwd(), folder)} …`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const flags = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  npm('install', '--prefix', folder, ...flags, `${PACKAGE}@${range}`);
  writeFileSync(join(folder, 'range.txt'), range);
}

function npm(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('npm', args, { encoding: 'utf8', timeout: 300_000 });
  if (status === 0) return stdout;
  const lines = (stderr ?? error?.message ?? '').split('\n').filter((text) => !/^(npm error code|$)/.test(text));
  const [line = 'it was not found or did not end'] = lines;
  throw new Impossible(`npm ${args[0]} ${PACKAGE} failed: ${line}`);
}
