import { request } from 'node:http';
import type { Clock } from '../platform/clock.ts';
import type { HeldKey } from './held-key.ts';

export interface TurnReport {
  readonly ok: boolean;
  /** Requests that the API answered with 401 or 403. */
  readonly rejected: number;
  readonly helperCalls: number;
  /** From the first of them to the first good answer after it, in milliseconds. */
  readonly recoveredAfterMs: number | undefined;
  /** From the start of the turn to its end, in milliseconds. */
  readonly ms: number;
  /** What the helper said when it failed. */
  readonly words: string;
}

/** The pauses after a 401 or 403, in milliseconds, as they were measured; the last one again and again. */
const PAUSES_MS = [1_000, 1_000, 2_400, 4_500, 9_000, 18_000, 34_000, 36_000, 36_000, 36_000, 36_000, 36_000];
/** From a cold start the helper is tried this often; and so many failures end a turn. */
const HELPER_FAILURES = 3;
const COLD_PAUSE_MS = 1_000;

/** A turn as Claude Code takes it; `send` resolves with the status that the API answered a key with. */
interface TurnParts {
  readonly clock: Clock;
  readonly key: HeldKey;
  /** One for each request that is under way at the same time: the turn of an agent with several subagents. */
  readonly sends: readonly ((apiKey: string) => Promise<number>)[];
}

export async function takeTurn({ clock, key, sends }: TurnParts): Promise<TurnReport> {
  const startedMs = clock.now();
  const callsBefore = key.calls;
  const seen: { firstRejectionMs?: number; recoveredMs?: number; rejected: number } = { rejected: 0 };
  const converse = async (send: (apiKey: string) => Promise<number>): Promise<boolean> => {
    let failures = 0;
    for (const pauseMs of [...PAUSES_MS, undefined]) {
      if ((await send(await key.take())) === 200) {
        if (seen.firstRejectionMs !== undefined) seen.recoveredMs ??= clock.now();
        return true;
      }
      seen.rejected += 1;
      seen.firstRejectionMs ??= clock.now();
      if (pauseMs === undefined || failures >= HELPER_FAILURES) return false;
      await pause(clock, pauseMs);
      if (!(await key.fetch())) failures += 1;
    }
    return false;
  };
  const isReady = key.value !== undefined || (await startUp(clock, key));
  const ends = isReady ? await Promise.all(sends.map(converse)) : [false];
  const { firstRejectionMs, recoveredMs, rejected } = seen;
  return {
    ok: ends.every((isGood) => isGood),
    rejected,
    helperCalls: key.calls - callsBefore,
    recoveredAfterMs:
      firstRejectionMs === undefined || recoveredMs === undefined ? undefined : recoveredMs - firstRejectionMs,
    ms: clock.now() - startedMs,
    words: key.words,
  };
}

async function startUp(clock: Clock, key: HeldKey): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    if (await key.fetch()) return true;
    if (tries >= HELPER_FAILURES) return false;
    await pause(clock, COLD_PAUSE_MS);
  }
}

/** Sends one message to the Messages API. */
export function messageTo(api: string, model: string): (apiKey: string) => Promise<number> {
  return (apiKey) =>
    new Promise((resolve, reject) => {
      const headers = { 'x-api-key': apiKey, authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
      const outgoing = request(`${api}/v1/messages`, { method: 'POST', headers }, (answer) => {
        answer.resume();
        answer.once('end', () => resolve(answer.statusCode ?? 0));
      });
      outgoing.once('error', reject);
      outgoing.end(JSON.stringify({ model, messages: [{ role: 'user', content: 'ping' }] }));
    });
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
