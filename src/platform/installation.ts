import { existsSync, readFileSync, statSync } from 'node:fs';
import path, { join } from 'node:path';
import { PACKAGE_ROOT } from './native.ts';

/** The package as it was on the disk when this process was started. */
export class Installation {
  readonly #manifest: string;
  readonly #before: string;

  constructor(folder = PACKAGE_ROOT) {
    this.#manifest = path.join(folder, 'package.json');
    this.#before = this.#look();
  }

  /** Whether it was upgraded, moved or removed since: modules that are not loaded yet may be missing or of another version. */
  get wasReplaced(): boolean {
    return this.#look() !== this.#before;
  }

  #look(): string {
    const stats = statSync(this.#manifest, { throwIfNoEntry: false, bigint: true });
    return stats === undefined ? 'gone' : `${stats.dev}:${stats.ino}:${stats.mtimeNs}:${stats.size}`;
  }
}

/** As in package.json, which is found from src/platform and from dist/platform. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

/** Where the .deb puts the program. */
export const DEBIAN_ROOT = '/usr/lib/apikey-broker';

/** How this program is put here once more, and how it is taken away, by what put it here. */
export function packageCommands(packageRoot = PACKAGE_ROOT): { readonly install: string; readonly remove: string } {
  if (packageRoot === DEBIAN_ROOT) {
    return { install: 'apt install --reinstall ./apikey-broker_….deb', remove: 'apt remove apikey-broker' };
  }
  const script = path.join(packageRoot, 'install.sh');
  if (existsSync(script)) {
    const prefix = path.resolve(packageRoot, '..', '..', '..');
    return { install: `sh install.sh --prefix ${prefix}`, remove: `${script} --uninstall --prefix ${prefix}` };
  }
  return { install: 'npm install -g apikey-broker', remove: 'npm uninstall -g apikey-broker' };
}

/** The label of the launchd agent: in its file, and in the variables that launchd gives the daemon. */
export const LAUNCH_AGENT = 'dev.apikey-broker';

/** Where the daemon writes its log, if no journal takes it. */
export function logFileOf(stateDir: string): string {
  return path.join(stateDir, 'broker.log');
}

/** Where launchd puts what the agent prints, and the agent its log. */
export function launchAgentLog(homeDir: string): string {
  return path.join(homeDir, 'Library', 'Logs', `${LAUNCH_AGENT}.log`);
}
