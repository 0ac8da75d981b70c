import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** So many files of a folder are looked at; the caches of command-line logins hold a handful. */
const MAX_ENTRIES = 64;

/** Changes whenever one of these files, or a file in one of these folders, does. Never throws; costs a stat each. */
export function fingerprintFiles(paths: readonly string[]): string {
  return paths.map(fingerprint).join('\n');
}

function fingerprint(path: string): string {
  try {
    const stats = statSync(path);
    const self = `${path} ${stats.dev}:${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
    if (!stats.isDirectory()) return self;
    const entries = readdirSync(path).sort().slice(0, MAX_ENTRIES);
    return [self, ...entries.map((entry) => fingerprintFile(join(path, entry)))].join('\n');
  } catch (error) {
    return `${path} ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`;
  }
}

function fingerprintFile(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${path} ${ino} ${size} ${mtimeMs}`;
  } catch {
    return path;
  }
}
