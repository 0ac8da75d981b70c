import { execFileSync } from 'node:child_process';
import path from 'node:path';

/** Tests run the real helper and the real addon; building them again costs a tenth of a second when nothing changed. */
export function setup(): void {
  const build = path.resolve(import.meta.dirname, '..', 'native', 'build.ts');
  execFileSync(process.execPath, [build], { stdio: 'inherit' });
}
