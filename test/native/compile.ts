import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { canCompile } from '../../native/compilers.ts';

const NATIVE = path.resolve(import.meta.dirname, '..', '..', 'native');

export const HELPER_SOURCES = ['broker-key.c', 'start-daemon.c', 'text.c'].map((file) => path.join(NATIVE, file));
export const RUNNER_SOURCES = ['broker-run.c', 'text.c'].map((file) => path.join(NATIVE, file));
export const ADDON_SOURCES = ['addon.c', 'addon-processes.c', 'addon-values.c'].map((file) => path.join(NATIVE, file));

export interface Compilation extends Disposable {
  readonly file: string;
  /** What the compiler had to say; empty if it is content. */
  readonly complaints: string;
}

/** Compiles files into a folder that goes with the result. */
export function compile(compiler: string, sources: readonly string[], flags: readonly string[]): Compilation {
  const folder = mkdtempSync(path.join(tmpdir(), 'broker-compile-'));
  const file = path.join(folder, 'out');
  const args = ['-std=c11', '-DBROKER_VERSION="0.0.0"', ...flags, ...sources, '-o', file];
  const { status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  return {
    file,
    complaints: status === 0 ? stderr : `exit ${status}: ${stderr}`,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Whether a compiler is here and makes programs with these flags, sanitizer runtimes included. */
export function compiles(compiler: string, flags: readonly string[] = []): boolean {
  const works = canCompile({ command: [compiler] }, flags);
  if (!works) console.warn(`skipped: ${[compiler, ...flags].join(' ')} makes no programs here`);
  return works;
}
