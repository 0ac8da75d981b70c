import { Command } from 'commander';
import type { BrokerClient } from '../../client/broker-client.ts';
import { connect } from '../../client/broker-client.ts';
import { shellConfig, stateDirOrNone } from '../../config/paths.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import { sleep } from '../../platform/waiting.ts';
import type { CredentialStatus, StatusReport } from '../../protocol/reports.ts';
import { launchFlaw } from '../../service/unmanaged.ts';
import { json, painter } from '../output.ts';
import { renderStatus, type StatusSurroundings } from '../status-text.ts';
import { type StatusWithoutDaemon, statusWithout, whyNoDaemon } from '../without-daemon.ts';

interface Options {
  readonly json?: true;
  readonly watch?: true;
  readonly check?: true;
}

/** Something cannot be served, with `--check`. */
const EXIT_UNSERVED = 1;

const WATCH_EVERY_MS = 2_000;
/** Home, then clear to the end: no flicker, and the scroll-back stays. */
const REDRAW = '\x1b[H\x1b[J';
const CLEAR = '\x1b[2J';

/**
 * `broker status [--json] [--watch] [--check]`: exit code 0, or that of the error where no daemon answers (69 if none runs); with
 * `--check` 1 if the daemon answers and a credential cannot be served.
 */
export function statusCommand(io: ProcessIo): Command {
  return new Command('status')
    .description('the state of every credential')
    .option('--json', 'print JSON; with --watch one document a line')
    .option('--watch', 'show it again every two seconds until interrupted')
    .option('--check', 'exit 1 if a credential cannot be served: for scripts and monitoring')
    .addHelpText(
      'after',
      '\nExit codes: 0, 69 if no daemon runs, 75 if it does not answer in time; with --check also 1: a credential is failing, or\n' +
        'waiting for its first key. One that was never asked for does not count.',
    )
    .action((options: Options) => status(io, options));
}

async function status(io: ProcessIo, options: Options): Promise<void> {
  const client = connect(io);
  if (options.watch && options.check) {
    throw new BrokerError('ERR_USAGE', '--check and --watch do not go together', { remedy: 'leave one of them out' });
  }
  if (!options.watch) return showOnce(io, client, options);
  if (io.stdoutIsTty && !options.json) io.stdout(CLEAR);
  const { signal } = io;
  while (!signal.aborted) {
    const text = await show(io, client, options);
    io.stdout(io.stdoutIsTty && !options.json ? `${REDRAW}${text}` : text);
    await sleep(WATCH_EVERY_MS, io.clock, signal).catch(() => undefined);
  }
}

async function showOnce(io: ProcessIo, client: BrokerClient, options: Options): Promise<void> {
  let report: StatusReport;
  try {
    report = await client.status();
  } catch (caught) {
    if (!(caught instanceof BrokerError)) throw caught;
    const error = whyNoDaemon(io, caught);
    const without = await statusWithout(io, error);
    if (!options.json) {
      io.stdout(`Nothing can be served.\n${configurationLine(without)}\n`);
      throw error;
    }
    io.stdout(json(without));
    io.setExitCode(error.exitCode);
    return;
  }
  io.stdout(options.json ? json(report) : renderStatus(report, io.clock.wall(), painter(io), aroundOf(io)));
  if (options.check && unserved(report.credentials).length > 0) io.setExitCode(EXIT_UNSERVED);
}

async function show(io: ProcessIo, client: BrokerClient, options: Options): Promise<string> {
  const report = await client.status();
  return options.json
    ? `${JSON.stringify(report)}\n`
    : renderStatus(report, io.clock.wall(), painter(io), aroundOf(io));
}

function aroundOf(io: ProcessIo): StatusSurroundings {
  const folder = stateDirOrNone(io);
  return { here: shellConfig(io), launchFlaw: folder === undefined ? undefined : launchFlaw(folder) };
}

function configurationLine({ daemon, configuration: { faults } }: StatusWithoutDaemon): string {
  if (daemon.configFile === null) return 'configuration: there is no home to look for it in';
  const [fault] = faults;
  if (fault === undefined) return `configuration ${daemon.configFile}: no faults`;
  const where = fault.line === undefined ? '' : `line ${fault.line}: `;
  const more = faults.length === 1 ? '' : ` (and ${faults.length - 1} more: broker config validate)`;
  return `configuration ${daemon.configFile}: ${where}${printable(fault.message)}${more}`;
}

/** What has no key to be served now, of what was asked for. */
function unserved(credentials: readonly CredentialStatus[]): readonly CredentialStatus[] {
  return credentials.filter(({ state }) => state === 'failing' || state === 'waiting');
}
