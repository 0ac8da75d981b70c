import path from 'node:path';
import type { PathInputs } from '../config/paths.ts';

/**
 * What of this shell's environment an installed daemon keeps: where it finds its configuration and the programs that
 * providers run. Everything else that a provider needs stands in the configuration.
 */
export function recordedEnvironment({ env }: Pick<PathInputs, 'env'>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = { PATH: lastingPath(env['PATH'] ?? '') };
  for (const name of ['BROKER_CONFIG', 'XDG_CONFIG_HOME']) {
    const value = env[name];
    if (value !== undefined && path.isAbsolute(value)) kept[name] = value;
  }
  return kept;
}

const SYSTEM_PATH = ['/usr/local/bin', '/usr/bin', '/bin'];
/** A project's own programs, and folders that go with a shell. */
const PASSING = /\/node_modules\/|\/\.venv\/|\/_npx\/|\/fnm_multishells\/|^\/tmp\/|^\/proc\//;
const MOST_FOLDERS = 64;

function lastingPath(value: string): string {
  const folders = value.split(':').filter((folder) => path.isAbsolute(folder) && !PASSING.test(`${folder}/`));
  return [...new Set([...folders.slice(0, MOST_FOLDERS), ...SYSTEM_PATH])].join(':');
}
