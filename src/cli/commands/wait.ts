import { Command } from 'commander';
import { connect } from '../../client/broker-client.ts';
import { parseDuration } from '../../config/durations.ts';
import { configFile, notSetUp } from '../../config/paths.ts';
import { BrokerError, isErrorCode } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import { sleep, within } from '../../platform/waiting.ts';
import type { CredentialStatus } from '../../protocol/reports.ts';
import { json } from '../output.ts';

interface Options {
  readonly timeout: string;
  readonly json?: true;
}

/** As a shell reports a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;
const LOOK_EVERY_MS = 250;
const SHORTEST_MS = 1_000;
/** A provider that failed is not asked more often than this for a script that waits. */
const ASK_EVERY_MS = 10_000;

/** `broker wait NAME`: exit code 0 as soon as a key can be served; at the time-out that of the reason why none can. */
export function waitCommand(io: ProcessIo): Command {
  return new Command('wait')
    .description('wait until a key can be served: for scripts and CI')
    .argument('<name>', 'the credential')
    .option('--timeout <duration>', 'at most so long: 90s, 5m', '60s')
    .option('--json', 'print the state of the credential as JSON')
    .addHelpText(
      'after',
      '\nA key that was never asked for is fetched; a daemon that does not run yet is waited for. It prints nothing without\n' +
        '--json.\n\n' +
        'Exit codes: 0 it can be served; when the time is over that of the reason: 69 no daemon or no provider, 75 the provider\n' +
        'has not answered yet, 77 denied, gone, rejected or a login is needed, 78 configuration; 78 at once if there is no such\n' +
        'credential.',
    )
    .action((name: string, options: Options) => wait(io, name, options));
}

async function wait(io: ProcessIo, name: string, options: Options): Promise<void> {
  const limitMs = Math.max(SHORTEST_MS, readTimeout(options.timeout));
  let last: CredentialStatus | BrokerError | undefined;
  const late = () => tooLate(name, options.timeout, last);
  try {
    last = await within([io.signal], { clock: io.clock, limitMs, late }, async (signal) => {
      const asking = new Asking(io, name, signal);
      for (;;) {
        last = await look(io, name, signal);
        if (!(last instanceof BrokerError)) {
          if (isServable(last)) return last;
          asking.askIfDue(last);
        }
        await sleep(LOOK_EVERY_MS, io.clock, signal);
      }
    });
  } catch (error) {
    if (!io.signal.aborted) throw error;
    io.setExitCode(EXIT_INTERRUPTED);
  } finally {
    if (options.json && last !== undefined && !(last instanceof BrokerError)) io.stdout(json(last));
  }
}

/** Has the daemon ask the provider: once for a key that was never asked for, and again after a failure that passes. */
class Asking {
  readonly #io: ProcessIo;
  readonly #name: string;
  readonly #signal: AbortSignal;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(io: ProcessIo, name: string, signal: AbortSignal) {
    this.#io = io;
    this.#name = name;
    this.#signal = signal;
  }

  askIfDue({ state, lastError }: CredentialStatus): void {
    const { clock } = this.#io;
    const isDue =
      state === 'idle' || (state === 'failing' && lastError?.kind === 'transient' && isPast(lastError, clock));
    if (!isDue || clock.now() < this.#askedAtMs + ASK_EVERY_MS) return;
    this.#askedAtMs = clock.now();
    // What comes of it is in the next status.
    connect(this.#io)
      .refresh(this.#name, this.#signal)
      .catch(() => undefined);
  }
}

function isPast({ nextAttemptAt }: NonNullable<CredentialStatus['lastError']>, clock: ProcessIo['clock']): boolean {
  return nextAttemptAt === null || Date.parse(nextAttemptAt) <= clock.wall();
}

function isServable({ state }: CredentialStatus): boolean {
  return state === 'fresh' || state === 'stale';
}

/**
 * @throws BrokerError what waiting does not change: ERR_UNKNOWN_CREDENTIAL if neither the daemon nor the configuration file has it,
 * ERR_DAEMON_UNREACHABLE where nothing was set up yet.
 */
async function look(io: ProcessIo, name: string, signal: AbortSignal): Promise<CredentialStatus | BrokerError> {
  let known: readonly string[] | undefined;
  let failure: BrokerError | undefined;
  try {
    const { credentials } = await connect(io).status(signal);
    const found = credentials.find((credential) => credential.name === name);
    if (found !== undefined) return found;
    known = credentials.map((credential) => credential.name);
  } catch (error) {
    if (signal.aborted || !(error instanceof BrokerError)) throw error;
    failure = error;
  }
  const fresh = io.env['BROKER_SOCKET'] ? undefined : notSetUp(io);
  if (fresh !== undefined && failure !== undefined) throw fresh;
  const { loadOwnConfig } = await import('../../providers/own-config.ts');
  const { config } = await loadOwnConfig(io, configFile(io));
  // A daemon takes up a change of the file within a moment; one with another configuration may be the one that comes.
  const isComing = config === undefined ? failure !== undefined : config.credentials.has(name);
  const unknown = unknownCredential(name, known ?? [...(config?.credentials.keys() ?? [])]);
  if (!isComing) throw unknown;
  return failure ?? unknown;
}

function unknownCredential(name: string, known: readonly string[]): BrokerError {
  const remedy = known.length === 0 ? 'add one: broker setup' : `name one of: ${known.join(', ')}`;
  return new BrokerError('ERR_UNKNOWN_CREDENTIAL', `there is no credential "${printable(name, 64)}"`, { remedy });
}

function tooLate(name: string, timeout: string, last: CredentialStatus | BrokerError | undefined): BrokerError {
  const { code, message, remedy } = reasonOf(last);
  const words = `"${name}" cannot be served after ${timeout}: ${message}`;
  return new BrokerError(code, words, remedy === undefined ? {} : { remedy });
}

function reasonOf(last: CredentialStatus | BrokerError | undefined): Pick<BrokerError, 'code' | 'message' | 'remedy'> {
  if (last instanceof BrokerError) return last;
  const { lastError = null, state } = last ?? {};
  if (lastError === null || state === 'waiting') {
    const message = last === undefined ? 'the daemon does not answer' : 'its provider has not answered yet';
    return { code: 'ERR_REFRESH_PENDING', message, remedy: 'wait longer with --timeout, or see: broker status' };
  }
  const code = isErrorCode(lastError.code) ? lastError.code : 'ERR_NO_FIT_KEY';
  return { code, message: printable(lastError.message), remedy: lastError.remedy ?? 'see: broker status' };
}

function readTimeout(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    throw new BrokerError('ERR_USAGE', `--timeout ${printable(text, 40)}: ${error.message}`, {
      remedy: error.remedy ?? 'write a duration like 90s',
    });
  }
}
