import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

/** Resolves when it is so. What never comes to be runs into the limit of the test, not into one of its own. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(10);
}

/** A zombie is not: when its parent is gone, PID 1 may take seconds to reap it, or in a container never do. */
export function isRunning(pid: number): boolean {
  try {
    return !/^[ZX]/.test(stateOf(pid));
  } catch {
    return false;
  }
}

function stateOf(pid: number): string {
  if (process.platform === 'linux') return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '');
  return execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim();
}

/** As /bin/sh reads it: the clone may lie in any folder. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
