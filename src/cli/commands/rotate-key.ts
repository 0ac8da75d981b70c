import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { connect } from '../../client/broker-client.ts';
import { notSetUp, stateDir } from '../../config/paths.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import { KEY_HOMES, type RotationReport, type RotationRequest } from '../../protocol/reports.ts';
import { json } from '../output.ts';

interface Options {
  readonly to?: string;
  readonly discard?: true;
  readonly json?: true;
}

/** `broker rotate-key`: asks the daemon, or does it itself where none runs. */
export function rotateKeyCommand(io: ProcessIo): Command {
  return new Command('rotate-key')
    .description('make a new key-encryption key and wrap everything that is stored again')
    .addOption(
      new Option('--to <home>', 'where the new key is to live; default: where the old one does').choices(KEY_HOMES),
    )
    .option('--discard', 'if the old key is lost: set aside what it sealed, and start again')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nNothing is destroyed: what a lost key sealed is renamed, and everything in it can be fetched again.\n' +
        'A key that can be reached is never given up, with or without --discard.\n' +
        'The old key is removed from its home when the new one has been read back and everything is wrapped with it.',
    )
    .action((options: Options) => rotateKey(io, options));
}

async function rotateKey(io: ProcessIo, options: Options): Promise<void> {
  const request = { discard: options.discard === true, to: options.to };
  const report = await rotate(io, request);
  io.stdout(options.json ? json(report) : sentences(report, request.discard));
}

async function rotate(io: ProcessIo, request: RotationRequest): Promise<RotationReport> {
  try {
    return await connect(io).rotateKey(request);
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'ERR_DAEMON_UNREACHABLE') throw error;
    if (notSetUp(io) !== undefined && !existsSync(stateDir(io))) throw error;
    const { rotateOffline } = await import('../../daemon/offline-rotation.ts');
    return await rotateOffline(io, request);
  }
}

function sentences({ keyId, home, rewrapped, setAside, left }: RotationReport, discard: boolean): string {
  const what = rewrapped === 1 ? '1 record' : `${rewrapped} records`;
  const lines = [`new key-encryption key ${keyId} in ${printable(home)}; ${what} wrapped with it`];
  if (setAside !== null)
    lines.push(`what the lost key sealed was set aside as ${printable(setAside)}; delete it when you like`);
  else if (discard) lines.push('nothing had to be given up: the old key could be reached');
  if (left !== null)
    lines.push(`the old key seals nothing any more; it is removed as soon as it can be: ${printable(left)}`);
  return lines.map((line) => `${line}\n`).join('');
}
