import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** As package.json says; from src/platform and dist/platform alike. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
