import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BrokerHome } from './daemon-process.ts';

/** A test is not to install anything into a systemd or launchd that is there. */
export function hasServiceManager(): boolean {
  return (
    process.platform === 'darwin' ||
    lstatSync(`/run/user/${process.getuid?.()}/systemd/private`, { throwIfNoEntry: false }) !== undefined
  );
}

/** A home in which nothing is set up yet, with everything in the places that a user has it. */
export class SetupHome extends BrokerHome {
  constructor() {
    super('');
    this.remove('config.toml');
    this.env['BROKER_CONFIG'] = '';
  }

  get config(): string {
    return join(this.folder, '.config', 'broker', 'config.toml');
  }

  get settings(): string {
    return join(this.folder, '.claude', 'settings.json');
  }

  /** Every file below the home but sockets and what programs of no concern leave there: path → mode and content. */
  snapshot(folder = this.folder): Record<string, string> {
    const files: Record<string, string> = {};
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) Object.assign(files, { [path]: 'folder' }, this.snapshot(path));
      else if (entry.isFile()) files[path] = `${statSync(path).mode.toString(8)} ${readFileSync(path, 'latin1')}`;
    }
    return files;
  }

  folderFor(...names: string[]): string {
    const path = join(this.folder, ...names);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  override async close(): Promise<void> {
    // A daemon that setup started is not a child of this process.
    await this.broker('service', 'stop');
    await super.close();
  }
}
