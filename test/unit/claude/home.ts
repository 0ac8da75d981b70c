import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A home folder of its own, removed with `dispose`. */
export class TemporaryHome {
  readonly root: string;
  readonly uid = process.getuid?.() ?? 0;

  constructor(prefix = 'broker-home-') {
    this.root = mkdtempSync(path.join(tmpdir(), prefix));
  }

  path(...names: string[]): string {
    return path.join(this.root, ...names);
  }

  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const file = this.path(name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, content);
    chmodSync(file, mode);
    return file;
  }

  /** Lets others into every folder of it but the broker's, as many systems do. */
  open(): void {
    for (const folder of ['.', ...readdirSync(this.root, { recursive: true, encoding: 'utf8' })]) {
      if (!folder.startsWith('state') && lstatSync(this.path(folder)).isDirectory())
        chmodSync(this.path(folder), 0o755);
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
