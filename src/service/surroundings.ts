import { execFile } from 'node:child_process';
import type { PathInputs } from '../config/paths.ts';
import type { Clock } from '../platform/clock.ts';

/** What installing and steering a service needs to know of the process; the CLI's io is one. */
export interface Surroundings extends PathInputs {
  readonly clock: Clock;
}

export interface Outcome {
  /** 127 if the program could not be run at all. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A service manager that has not answered by then is not going to. */
const LIMIT_MS = 60_000;

/** Runs a program to its end, with nothing on stdin. Never rejects. */
export function run(command: readonly string[], env: Surroundings['env']): Promise<Outcome> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    const options = { env: { ...env }, encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 1 << 24 } as const;
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127;
      resolve({ code, stdout, stderr: stderr || (error !== null && code === 127 ? error.message : '') });
    });
    child.stdin?.end();
  });
}
