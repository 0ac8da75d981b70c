/**
 * A stand-in for Claude Code in the demo: a process of its own, because the broker tells clients apart by process.
 * It keeps a key, sends it to the API, and after a 401 waits 1.1 s and runs its helper again, as the real client was
 * seen to do. Spoken to over Node's IPC channel: `turn` in, what became of it out.
 */
import { request } from 'node:http';
import { SystemClock } from '../platform/system-clock.ts';
import { runAsClient } from './measure.ts';

export interface TurnReport {
  readonly ok: boolean;
  /** Requests that the API answered with 401. */
  readonly rejected: number;
  readonly helperCalls: number;
  /** From the first 401 to the first good answer. */
  readonly recoveredAfterMs: number | undefined;
  /** What the helper said when it failed. */
  readonly words: string;
}

const PAUSE_AFTER_401_MS = 1_100;
const MAX_HELPER_CALLS = 12;

const [, , helper = '', api = ''] = process.argv;
const clock = new SystemClock();
let key: string | undefined;

process.on('message', async () => {
  process.send?.(await takeTurn());
});
process.on('disconnect', () => process.exit(0));

async function takeTurn(): Promise<TurnReport> {
  let [rejected, helperCalls, words] = [0, 0, ''];
  let firstRejectionMs: number | undefined;
  const ask = async () => {
    helperCalls += 1;
    const run = await runAsClient(clock, helper);
    words = run.stderr;
    key = run.exitCode === 0 ? run.stdout : '';
  };
  if (key === undefined) await ask();
  for (;;) {
    const status = await send(key ?? '');
    if (status === 200) {
      const recoveredAfterMs = firstRejectionMs === undefined ? undefined : clock.now() - firstRejectionMs;
      return { ok: true, rejected, helperCalls, recoveredAfterMs, words };
    }
    rejected += 1;
    firstRejectionMs ??= clock.now();
    if (helperCalls >= MAX_HELPER_CALLS) {
      return { ok: false, rejected, helperCalls, recoveredAfterMs: undefined, words };
    }
    await new Promise<void>((resolve) => void clock.after(PAUSE_AFTER_401_MS, resolve));
    await ask();
  }
}

function send(apiKey: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${api}/v1/messages`, { method: 'POST', headers: { 'x-api-key': apiKey } }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0));
    });
    outgoing.once('error', reject);
    outgoing.end('{}');
  });
}
