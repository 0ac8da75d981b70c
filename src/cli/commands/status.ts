import { Command } from 'commander';
import type { BrokerClient } from '../../client/broker-client.ts';
import type { CliIo } from '../cli-io.ts';
import { connect } from '../connect.ts';
import { painter } from '../output.ts';
import { renderStatus } from '../status-view.ts';

interface Options {
  readonly json?: true;
  readonly watch?: true;
}

const WATCH_EVERY_MS = 2_000;
/** Home, then clear to the end: no flicker, and the scroll-back stays. */
const REDRAW = '\x1b[H\x1b[J';
const CLEAR = '\x1b[2J';

/** `broker status [--json] [--watch]` */
export function statusCommand(io: CliIo): Command {
  return new Command('status')
    .description('how every credential stands')
    .option('--json', 'print JSON; with --watch one document a line')
    .option('--watch', 'show it again every two seconds until interrupted')
    .action((options: Options) => status(io, options));
}

async function status(io: CliIo, options: Options): Promise<void> {
  const client = connect(io);
  if (!options.watch) {
    io.stdout(await show(io, client, options));
    return;
  }
  if (io.stdoutIsTty && !options.json) io.stdout(CLEAR);
  const { signal } = io;
  while (!signal.aborted) {
    const text = await show(io, client, options);
    io.stdout(io.stdoutIsTty && !options.json ? `${REDRAW}${text}` : text);
    await pause(io, WATCH_EVERY_MS, signal);
  }
}

async function show(io: CliIo, client: BrokerClient, { json, watch }: Options): Promise<string> {
  const report = await client.status();
  if (json) return `${JSON.stringify(report, null, watch ? 0 : 2)}\n`;
  return renderStatus(report, io.clock.wall(), painter(io));
}

function pause({ clock }: CliIo, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = clock.after(ms, done);
    signal.addEventListener('abort', done);
    function done() {
      timer.cancel();
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
