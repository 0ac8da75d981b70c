import { type ChildProcess, spawn } from 'node:child_process';
import { decodeJwt } from '../credential/jwt.ts';
import type { Clock } from '../platform/clock.ts';
import type { HelperRun } from './facts.ts';
import { keyKind, refusalOf } from './key-kind.ts';
import { fingerprint } from './masking.ts';

/** The client warns at 10 s; nobody wants to wait longer for a diagnosis. */
export const RUN_LIMIT_MS = 12_000;

/** The client refuses more than 16,384 characters; nothing behind that is of interest. */
const MAX_OUTPUT_BYTES = 64 * 1024;

export interface RunOptions {
  readonly command: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Its stderr holds no secret and may be shown. */
  readonly ours: boolean;
  readonly limitMs?: number;
}

/**
 * Runs a helper as the client does: `/bin/sh -c`, the whole environment, a standard input that stays open and silent,
 * done at the end of its output and not of the process. The key is judged and forgotten.
 */
export async function runHelper(options: RunOptions): Promise<HelperRun> {
  const { clock } = options;
  const started = clock.now();
  const child = spawn('/bin/sh', ['-c', options.command], {
    cwd: options.cwd,
    env: options.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    // A group of its own, so that what a hanging helper left behind can be ended with it.
    detached: true,
  });
  child.stdin.on('error', () => {});
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  const outcome = await ending(child, clock, options.limitMs ?? RUN_LIMIT_MS);
  const ms = Math.round(clock.now() - started);
  child.stdin.destroy();
  const output = out().trim();
  const refusal = refusalOf(output);
  const expiry = decodeJwt(Buffer.from(output))?.expiresAtMs;
  const told = err().trim().split('\n')[0] ?? '';
  return {
    ms,
    outcome: outcome.kind,
    exitCode: outcome.exitCode,
    refusal,
    shown: refusal === undefined ? fingerprint(output) : undefined,
    kind: refusal === undefined ? keyKind(output) : undefined,
    expiresInMs: expiry === undefined ? undefined : expiry - clock.wall(),
    message:
      told === '' ? undefined : options.ours ? told.slice(0, 400) : 'it wrote to stderr; run it yourself to read that',
  };
}

type Ending = { readonly kind: HelperRun['outcome']; readonly exitCode: number | undefined };

function ending(child: ChildProcess, clock: Clock, limitMs: number): Promise<Ending> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, () => {
      endGroup(child);
      resolve({ kind: 'hung', exitCode: undefined });
    });
    child.once('error', () => {
      timer.cancel();
      resolve({ kind: 'not started', exitCode: undefined });
    });
    child.once('close', (code, signal) => {
      timer.cancel();
      resolve({ kind: 'ended', exitCode: code ?? (signal === null ? 0 : 128) });
    });
  });
}

function endGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {}
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    if (size < MAX_OUTPUT_BYTES) chunks.push(chunk);
    size += chunk.length;
  });
  stream.on('error', () => {});
  return () => Buffer.concat(chunks).subarray(0, MAX_OUTPUT_BYTES).toString('utf8');
}
