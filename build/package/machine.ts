import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '..', '..');

export const {
  version: VERSION,
  description: DESCRIPTION,
  homepage: HOMEPAGE,
} = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  readonly [key in 'version' | 'description' | 'homepage']: string;
};

/** A kind of machine that there are packages for: glibc's Linux. */
export interface Machine {
  /** As `prebuilds/` names it. */
  readonly name: 'linux-x64' | 'linux-arm64';
  readonly cpu: 'x64' | 'arm64';
  /** As Debian names it. */
  readonly debian: 'amd64' | 'arm64';
  /** `uname -m`. */
  readonly uname: 'x86_64' | 'aarch64';
}

export const MACHINES: readonly Machine[] = [
  { name: 'linux-x64', cpu: 'x64', debian: 'amd64', uname: 'x86_64' },
  { name: 'linux-arm64', cpu: 'arm64', debian: 'arm64', uname: 'aarch64' },
];

/** The Node in the packages: npm has its builds, one package for each machine. */
export const NODE_VERSION = '24.21.0';

const INTEGRITY: Readonly<Record<Machine['name'], string>> = {
  'linux-x64': 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  'linux-arm64': 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
};

/** Fetched once, into .cache/. @returns the folder with `bin/node` and `LICENSE`. @throws Error if it is not what was pinned. */
export function nodeFor({ name }: Machine): string {
  const cache = path.join(ROOT, '.cache');
  const folder = path.join(cache, `node-${NODE_VERSION}-${name}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const scratch = mkdtempSync(path.join(cache, 'node-'));
  try {
    const wanted = `node-${name}@${NODE_VERSION}`;
    console.log(`fetching ${wanted} with npm: 50 MB …`);
    const packed = must('npm', ['pack', wanted, '--silent', '--ignore-scripts', '--pack-destination', scratch]);
    const tarball = path.join(scratch, packed.trim().split('\n').at(-1) ?? '');
    const integrity = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`;
    if (integrity !== INTEGRITY[name])
      throw new Error(
        `what npm fetched as ${wanted} is not what was pinned: ${integrity}\nhint: do not use it; find out why`,
      );
    must('tar', ['-xzf', tarball, '-C', scratch, '--strip-components=1', 'package/bin/node', 'package/LICENSE']);
    rmSync(tarball);
    renameSync(scratch, folder);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return folder;
}

/** Runs a program to its end. @returns what it printed. @throws Error with its words. */
export function must(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>>; readonly hint?: string } = {},
): string {
  const { cwd = ROOT, env = {}, hint } = options;
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status === 0) return stdout;
  const why = error?.message ?? (stderr.trim() || `it exited with ${status}`);
  throw new Error(`${[program, ...args].join(' ')} failed: ${why}${hint === undefined ? '' : `\nhint: ${hint}`}`);
}
