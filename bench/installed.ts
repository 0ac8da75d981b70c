import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** The absolute path of a program on PATH that really runs: shims of version managers may lead nowhere. */
export function findInstalled(program: string): string | undefined {
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    const file = path.join(folder, program);
    if (!isExecutable(file)) continue;
    const real = file.includes('/shims/') ? behindShim(program) : file;
    if (real !== undefined && spawnSync(real, ['--version']).status === 0) return real;
  }
  return undefined;
}

/** A shim takes a good part of a second to find what it stands for; that would be held against the wrong program. */
function behindShim(program: string): string | undefined {
  const { status, stdout } = spawnSync('pyenv', ['which', program], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
