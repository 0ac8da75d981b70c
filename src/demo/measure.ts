import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '../platform/clock.ts';

export interface CommandRun {
  /** From the start of the process to the end of its output, as the client waits for it. */
  readonly ms: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface Timings {
  readonly p50: number;
  readonly p99: number;
  readonly runs: number;
}

/**
 * Runs a command as Claude Code runs its helper: `/bin/sh -c`, stdin an open socket that never says anything.
 * @param env default: everything that this process has, as the real client does it.
 * @param own is given the process, which leads a process group of its own then.
 */
export function runAsClient(
  clock: Clock,
  command: string,
  env?: Readonly<Record<string, string | undefined>>,
  own?: (child: ChildProcess) => void,
): Promise<CommandRun> {
  return new Promise((resolve, reject) => {
    const startedMs = clock.now();
    const child = spawn('/bin/sh', ['-c', command], {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(env === undefined ? {} : { env: { ...env } }),
      detached: own !== undefined,
    });
    own?.(child);
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    let ms = 0;
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stdout.on('end', () => {
      ms = clock.now() - startedMs;
    });
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (exitCode) => {
      const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString('utf8').trim();
      resolve({ ms, stdout: text(stdout), stderr: text(stderr), exitCode: exitCode ?? 1 });
    });
  });
}

/** One after another, as a user's sessions do it. @throws Error with the command's own words if any run fails. */
export async function timeRuns(runs: number, run: () => Promise<CommandRun>): Promise<Timings> {
  const times: number[] = [];
  for (let index = 0; index < runs; index += 1) {
    const { ms, exitCode, stderr } = await run();
    if (exitCode !== 0) throw new Error(stderr || `a timed command failed with exit code ${exitCode}`);
    times.push(ms);
  }
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), runs };
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
