import { readFileSync, statSync } from 'node:fs';
import path, { join } from 'node:path';
import { PACKAGE_ROOT } from './native.ts';

/** The package as it lay on the disk when this process was started. */
export class Installation {
  readonly #manifest: string;
  readonly #before: string;

  constructor(folder = PACKAGE_ROOT) {
    this.#manifest = path.join(folder, 'package.json');
    this.#before = this.#look();
  }

  /** It was upgraded, moved or removed under this process: what has not been loaded yet may be missing or not fit. */
  get wasReplaced(): boolean {
    return this.#look() !== this.#before;
  }

  #look(): string {
    const stats = statSync(this.#manifest, { throwIfNoEntry: false, bigint: true });
    return stats === undefined ? 'gone' : `${stats.dev}:${stats.ino}:${stats.mtimeNs}:${stats.size}`;
  }
}

/** As package.json says; from src/platform and dist/platform alike. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
