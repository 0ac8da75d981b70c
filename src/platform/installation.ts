import { statSync } from 'node:fs';
import path from 'node:path';
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
