import type { Programs } from './programs.ts';
import { output } from './programs.ts';

/** A command to be timed from before its fork to the end of its output. */
export interface Candidate {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  /** A file for its stdin; default: an open socket that never says anything. */
  readonly input?: string;
  /** What it has to print, which is looked at once before the clock runs. Default: anything. */
  readonly prints?: string;
}

export interface Timed {
  readonly name: string;
  /** One per round, in microseconds. */
  readonly micros: readonly number[];
  readonly residentKb: number;
}

/**
 * Times every candidate once per round, each round in another order.
 * @throws Error if one of them ever fails, or does not print what it has to.
 */
export async function timeCommands(
  { stopwatch }: Programs,
  rounds: number,
  candidates: readonly Candidate[],
  env: Readonly<Record<string, string>>,
): Promise<readonly Timed[]> {
  for (const candidate of candidates) await checkOutput(candidate, env);
  const commands = candidates.flatMap(({ argv, input }) => ['--', ...(input ? [`<${input}`] : []), ...argv]);
  const lines = (await output(stopwatch, [String(rounds), ...commands], env)).trimEnd().split('\n');
  const runs = lines.map((line) => line.split(' ').map(Number));
  return candidates.map(({ name }, index) => {
    const own = runs.filter((run) => run[0] === index);
    const failed = own.find(([, , , status]) => status !== 0);
    if (failed !== undefined) throw new Error(`${name} ended with status ${failed[3]}`);
    return {
      name,
      micros: own.map(([, nanos = 0]) => nanos / 1000),
      residentKb: Math.max(...own.map(([, , kb = 0]) => kb)),
    };
  });
}

/** A pipe of programs may end well and print nothing: that would be no answer, and fast. */
async function checkOutput(
  { name, argv, input = '/dev/null', prints }: Candidate,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  if (prints === undefined) return;
  const printed = (await output('/bin/sh', ['-c', 'exec "$@" <"$0"', input, ...argv], env)).trimEnd();
  if (printed !== prints) throw new Error(`${name} printed something else than the key: ${printed.length} characters`);
}
