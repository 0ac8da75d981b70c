import { type SpawnOptions, spawn } from 'node:child_process';
import { expect } from 'vitest';
import { helperPath, runnerPath } from '../../src/platform/native.ts';

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** undefined where there is no C compiler: then there is nothing to test here. */
export const helper = helperPath();
export const runner = runnerPath();

if (helper === undefined) console.warn('skipped: there is no native helper here, because there is no C compiler');

/** Runs a program with nothing in its environment but `env`; its stdin is a socket that never says anything. */
export async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
  options: SpawnOptions = {},
): Promise<Outcome> {
  const child = spawn(program, args, { env, stdio: 'pipe', ...options });
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('latin1').on('data', (text) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding('latin1').on('data', (text) => {
    output.stderr += text;
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...end) => resolve(end));
  });
  return { code, signal, ...output };
}

export async function runHelper(
  args: readonly string[],
  env: Record<string, string>,
  options?: SpawnOptions,
): Promise<Outcome> {
  return await run(helper ?? '', args, env, options);
}

/** A failure as the contract has it: nothing on stdout, one line on stderr, an exit code and no signal. */
export function expectFailure(outcome: Outcome, code: number, words: RegExp | string = ''): void {
  expect(outcome).toMatchObject({ code, signal: null, stdout: '' });
  expect(outcome.stderr).toMatch(/^broker-key: [ -~]+\n$/);
  expect(outcome.stderr.length).toBeLessThanOrEqual(400);
  expect(outcome.stderr).toMatch(words);
}

export function expectKey(outcome: Outcome, key: string): void {
  expect(outcome).toEqual({ code: 0, signal: null, stdout: `${key}\n`, stderr: '' });
}
