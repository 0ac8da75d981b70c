import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');
const BUNDLE = path.join(ROOT, 'dist', 'LICENCES.txt');

/** Tests run the real helper, the real addon and the real program: whatever is older than its source is built here. */
export function setup(): void {
  run('native/build.ts');
  if (lastChange(BUNDLE) < Math.max(...['src', 'build', 'package-lock.json'].map(newest))) run('build/bundle.ts');
}

function run(script: string): void {
  execFileSync(process.execPath, [path.join(ROOT, script)], { stdio: 'inherit' });
}

function newest(name: string): number {
  const entry = path.join(ROOT, name);
  if (!statSync(entry).isDirectory()) return lastChange(entry);
  const files = readdirSync(entry, { recursive: true, encoding: 'utf8' });
  // Folders as well: what was deleted shows there alone.
  return Math.max(...files.map((file) => lastChange(path.join(entry, file))));
}

function lastChange(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
