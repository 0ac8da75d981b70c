/**
 * A stand-in for Claude Code, for the demo and the tests: a process of its own, because the broker tells clients apart
 * by process. It holds a key and takes turns as the real client was seen to do (docs/claude-client.md). Spoken to over
 * Node's IPC channel: a TurnRequest in, a TurnReport out. Without such a channel it takes one turn, prints the report
 * as JSON and ends, with 1 if the turn failed.
 */
import { SystemClock } from '../platform/clock.ts';
import { messageTo, takeTurn } from './client-turn.ts';
import { DEFAULT_INTERVAL_MS, HeldKey } from './held-key.ts';

export interface TurnRequest {
  /** The models asked, each by a request of its own, all at the same time. */
  readonly models: readonly string[];
}

const [, , helper = '', api = '', interval = ''] = process.argv;
const clock = new SystemClock();
const key = new HeldKey(clock, helper, interval === '' ? DEFAULT_INTERVAL_MS : Number(interval));

const turn = ({ models }: TurnRequest) => takeTurn({ clock, key, sends: models.map((model) => messageTo(api, model)) });

if (process.send === undefined) {
  void turn({ models: ['double'] }).then((report) => {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    process.exitCode = report.ok ? 0 : 1;
  });
} else {
  process.on('message', async (asked: TurnRequest) => {
    process.send?.(await turn(asked));
  });
  process.on('disconnect', () => process.exit(0));
}
