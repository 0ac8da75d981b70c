import { Command, InvalidArgumentError } from 'commander';
import { connect } from '../../client/broker-client.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import type { BrokerEvent } from '../../protocol/reports.ts';
import { type Paint, painter } from '../output.ts';

interface Options {
  readonly follow?: true;
  readonly json?: true;
  readonly limit: number;
  readonly credential?: string;
}

/** `broker events [--follow] [--json]` */
export function eventsCommand(io: ProcessIo): Command {
  return new Command('events')
    .description('who was given what, every refresh and every failure')
    .option('-f, --follow', 'go on with what happens, until interrupted')
    .option('--json', 'one JSON document a line')
    .option('-n, --limit <count>', 'so many of the newest', wholeNumber, 100)
    .option('--credential <name>', 'only those of one credential')
    .action((options: Options) => events(io, options));
}

async function events(io: ProcessIo, { follow, json, limit, credential }: Options): Promise<void> {
  const client = connect(io);
  const paint = painter(io);
  const print = (event: BrokerEvent) => io.stdout(json ? `${JSON.stringify(event)}\n` : line(event, paint));
  if (!follow) {
    for (const event of await client.events({ limit, credential })) print(event);
    return;
  }
  for await (const event of client.followEvents({ limit, credential, signal: io.signal })) print(event);
}

function line({ at, kind, credential, detail }: BrokerEvent, paint: Paint): string {
  const facts = Object.entries(detail).map(([name, value]) => `${paint('dim', `${name}=`)}${printable(String(value))}`);
  const time = paint('dim', at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'));
  const words = [time, paint(colourOf(kind), kind.padEnd(16)), credential ?? '-', ...facts];
  return `${words.join('  ')}\n`;
}

function colourOf(kind: string): 'red' | 'yellow' | 'green' {
  if (/fail|refus|denied|gone/.test(kind)) return 'red';
  return /reject|stale|drop|invalid/.test(kind) ? 'yellow' : 'green';
}

function wholeNumber(text: string): number {
  if (/^\d{1,4}$|^10000$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It has to be a whole number up to 10000.');
}
