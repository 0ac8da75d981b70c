import { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import type { RotationReport } from '../../protocol/administration.ts';
import type { CliIo } from '../cli-io.ts';
import { connect } from '../connect.ts';
import { plain } from '../output.ts';

interface Options {
  readonly discard?: true;
  readonly json?: true;
}

/** `broker rotate-key`: asks the daemon, or does it itself where none runs. */
export function rotateKeyCommand(io: CliIo): Command {
  return new Command('rotate-key')
    .description('make a new key-encryption key and wrap everything that is stored anew')
    .option('--discard', 'if the old key is lost: set aside what it sealed, and begin anew')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nNothing is destroyed: what a lost key sealed is renamed, and everything in it can be fetched again.\n' +
        'A key that can be reached is never given up, with or without --discard.',
    )
    .action((options: Options) => rotateKey(io, options));
}

async function rotateKey(io: CliIo, options: Options): Promise<void> {
  const discard = options.discard === true;
  const report = await rotate(io, discard);
  io.stdout(options.json ? `${JSON.stringify(report, null, 2)}\n` : sentences(report, discard));
}

async function rotate(io: CliIo, discard: boolean): Promise<RotationReport> {
  try {
    return await connect(io).rotateKey({ discard });
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'ERR_DAEMON_UNREACHABLE') throw error;
    const { rotateOffline } = await import('../../daemon/offline-rotation.ts');
    return await rotateOffline(io, discard);
  }
}

function sentences({ keyId, home, rewrapped, setAside }: RotationReport, discard: boolean): string {
  const what = rewrapped === 1 ? '1 record' : `${rewrapped} records`;
  const lines = [`new key-encryption key ${keyId} in ${plain(home)}; ${what} wrapped with it`];
  if (setAside !== null)
    lines.push(`what the lost key sealed was set aside as ${plain(setAside)}; delete it when you like`);
  else if (discard) lines.push('nothing had to be given up: the old key could be reached');
  return lines.map((line) => `${line}\n`).join('');
}
