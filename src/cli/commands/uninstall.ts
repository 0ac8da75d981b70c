import { confirm } from '@clack/prompts';
import { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import { packageCommands } from '../../platform/installation.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { findWritten } from '../../setup/written.ts';
import type { Found, Stays } from '../../setup/written-files.ts';
import { json, table } from '../output.ts';

interface Options {
  readonly dryRun?: true;
  readonly yes?: true;
  readonly keepState?: true;
  readonly json?: true;
}

/** As a shell reports a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;
const EX_UNAVAILABLE = 69;

/**
 * `broker uninstall`: everything that commands of ours wrote, listed first. Exit codes: 0 · 64 nobody can be asked and `--yes` is
 * missing · 69 something of it could not be removed · 130 not confirmed.
 */
export function uninstallCommand(io: ProcessIo): Command {
  return new Command('uninstall')
    .description('take away everything that any command of broker wrote; lists it first')
    .option('--dry-run', 'only list it')
    .option('--yes', 'do not ask')
    .option('--keep-state', 'leave the state folder: the encrypted cache, its key, copies of files as they were')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nOpen leases are revoked while the daemon still runs. Settings files get their old bytes back, or lose only the lines that\n' +
        'broker wrote. What something else wrote stays, and so does the package itself.\n\n' +
        'Exit codes: 0, 64 without a terminal and without --yes, 69 if something could not be removed, 130 if you say no.',
    )
    .action((options: Options) => uninstall(io, options));
}

async function uninstall(io: ProcessIo, options: Options): Promise<void> {
  if (options.json && !options.yes && !options.dryRun) {
    throw new BrokerError('ERR_USAGE', '--json asks nobody', { remedy: 'add --dry-run to see the list, or --yes' });
  }
  const found = await findWritten(io, options.keepState === true);
  if (!options.json) io.stdout(listText(found, options));
  if (options.dryRun || found.written.length === 0) {
    if (options.json) io.stdout(json(report(found, options, [], [])));
    return;
  }
  if (!options.yes && !(await confirmed(io))) {
    io.setExitCode(EXIT_INTERRUPTED);
    io.stderr('nothing was changed\n');
    return;
  }
  const removed: string[] = [];
  const left: Stays[] = [];
  let isWhole = false;
  try {
    for (const { where, remove } of found.written) {
      const stays = await remove();
      if (stays !== undefined) left.push(stays);
      else removed.push(where);
    }
    isWhole = true;
  } finally {
    // Also when it stops on the way: what is gone is gone.
    if (options.json) io.stdout(json(report(found, options, removed, left)));
    else if (isWhole) io.stdout(doneText(removed, left));
    else if (removed.length > 0) io.stdout(`removed before it failed: ${removed.join(', ')}\n`);
  }
  if (left.some(({ failed }) => failed)) io.setExitCode(EX_UNAVAILABLE);
}

function report(
  { written, stays = [] }: Found,
  { dryRun }: Options,
  removed: readonly string[],
  left: readonly Stays[],
) {
  const list = written.map(({ kind, where, what }) => ({ kind, where, what }));
  return { dryRun: dryRun === true, written: list, stays, removed, left };
}

/** @throws BrokerError ERR_USAGE if there is nobody to ask. */
async function confirmed({ terminal, signal }: ProcessIo): Promise<boolean> {
  if (terminal === undefined) {
    throw new BrokerError('ERR_USAGE', 'nothing was changed: there is no terminal to ask in', {
      remedy: 'look at the list with --dry-run, then add --yes',
    });
  }
  return (await confirm({ message: 'Remove all of this?', initialValue: false, ...terminal, signal })) === true;
}

function listText({ written, stays = [] }: Found, { dryRun }: Options): string {
  if (written.length === 0) return `There is nothing of broker to remove.\n${staysText(stays)}`;
  const head = dryRun ? 'This would be removed:' : 'This is going to be removed, in this order:';
  return `${head}\n${table(written.map(({ where, what }) => ['', where, what]))}${staysText(stays)}`;
}

function staysText(stays: readonly Stays[]): string {
  if (stays.length === 0) return '';
  return `This stays:\n${table(stays.map(({ where, why }) => ['', where, why]))}`;
}

function doneText(removed: readonly string[], left: readonly Stays[]): string {
  const count = removed.length === 1 ? '1 thing' : `${removed.length} things`;
  const rest = left.length === 0 ? '' : `This stays:\n${table(left.map(({ where, why }) => ['', where, why]))}`;
  return `removed ${count}\n${rest}The package itself is removed with what installed it: ${packageCommands().remove}\n`;
}
