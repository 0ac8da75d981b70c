import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..', '..');

/** What a test of an upgrade gets told: through the environment, since it runs as another user. */
export interface TwoVersions {
  readonly BROKER_TEST_PREFIX: string;
  readonly BROKER_TEST_UPGRADE: string;
  readonly BROKER_TEST_OLDER: string;
  readonly BROKER_TEST_NPM_CACHE: string;
  readonly BROKER_TEST_REGISTRY: string;
}

/**
 * The package twice, as two versions of it, and the older one installed as people do. What npm fetched for that stays
 * in a cache, so that the upgrade itself needs no registry.
 */
export function prepareTwoVersions(folder: string): TwoVersions {
  const [prefix, cache] = [path.join(folder, 'prefix'), path.join(folder, 'npm-cache')];
  mkdirSync(prefix);
  const newer = path.join(folder, npm('pack', '--ignore-scripts', '--silent', '--pack-destination', folder).trim());
  const { older, tarball } = pretendOlder(folder, newer);
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  npm('install', '--global', `--prefix=${prefix}`, `--cache=${cache}`, ...quiet, tarball);
  return {
    BROKER_TEST_PREFIX: prefix,
    BROKER_TEST_UPGRADE: newer,
    BROKER_TEST_OLDER: older,
    BROKER_TEST_NPM_CACHE: cache,
    BROKER_TEST_REGISTRY: npm('config', 'get', 'registry').trim(),
  };
}

/** The same tree under an older number, which stands in package.json and, in as many characters, in the helper. */
function pretendOlder(folder: string, newer: string): { readonly older: string; readonly tarball: string } {
  execFileSync('tar', ['-xzf', newer, '-C', folder]);
  const tree = path.join(folder, 'package');
  const manifest = JSON.parse(readFileSync(path.join(tree, 'package.json'), 'utf8')) as { version: string };
  const { version } = manifest;
  const older = '0.0.'.padEnd(version.length, '9');
  writeFileSync(path.join(tree, 'package.json'), JSON.stringify({ ...manifest, version: older }));
  for (const machine of readdirSync(path.join(tree, 'prebuilds'))) {
    const file = path.join(tree, 'prebuilds', machine, 'broker-key');
    const text = readFileSync(file, 'latin1').replaceAll(`broker-key ${version}`, `broker-key ${older}`);
    writeFileSync(file, text, 'latin1');
  }
  const tarball = path.join(folder, 'older.tgz');
  execFileSync('tar', ['-czf', tarball, '-C', folder, 'package']);
  return { older, tarball };
}

/** npm as it is here, with the settings it has here: it has to reach the registry. */
function npm(...args: string[]): string {
  return execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
