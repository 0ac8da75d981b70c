import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Impossible } from './impossible.ts';

/** What was observed in docs/claude-client.md holds for these; widen it after reading that report again. */
const PACKAGE = '@anthropic-ai/claude-code';
const RANGE = '~2.1.330';
const FOLDER = join(import.meta.dirname, '..', '..', '.cache', 'claude-code');
const STAMP = join(FOLDER, 'range.txt');

export interface InstalledClient {
  /** The native program; its package comes as an optional dependency for this platform. */
  readonly program: string;
  readonly version: string;
}

/** Installs the client from npm, once per range, into a folder of its own. @throws Impossible. */
export function installClient(): InstalledClient {
  if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== RANGE) install();
  const [program] = globSync(join(FOLDER, 'node_modules', `${PACKAGE}-*`, 'claude'));
  if (program === undefined) throw new Impossible(`${PACKAGE} has no program for ${process.platform}-${process.arch}`);
  const manifest = JSON.parse(readFileSync(join(dirname(program), 'package.json'), 'utf8')) as { version: string };
  return { program, version: manifest.version };
}

function install(): void {
  console.log(`installing ${PACKAGE}@${RANGE} into .cache/claude-code …`);
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const flags = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = spawnSync('npm', ['install', '--prefix', FOLDER, ...flags, `${PACKAGE}@${RANGE}`], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  if (npm.status !== 0) {
    const lines = (npm.stderr ?? npm.error?.message ?? '')
      .split('\n')
      .filter((text) => !/^(npm error code|$)/.test(text));
    const [line = 'it was not found or did not end'] = lines;
    throw new Impossible(`npm could not install ${PACKAGE}@${RANGE}: ${line}`);
  }
  writeFileSync(STAMP, RANGE);
}
