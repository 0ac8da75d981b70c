import type { CommanderError } from 'commander';
import { notSetUp } from '../config/paths.ts';
import { BrokerError, codeOf, describeError, systemRefusal } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { printableLines, redact } from '../platform/text.ts';
import { problemLine } from '../protocol/problem.ts';
import { daemonWords, startDaemon } from './commands/daemon.ts';
import type { CommandEntry } from './program.ts';

const EX_USAGE = 64;
const EX_SOFTWARE = 70;

/**
 * Runs one command line (without node and script) and sets the exit code. Never rejects: whatever goes wrong is said
 * on standard error.
 */
export async function main(argv: readonly string[], io: ProcessIo, entries?: readonly CommandEntry[]): Promise<void> {
  try {
    const daemon = entries === undefined ? daemonWords(argv) : undefined;
    if (daemon !== undefined) return await startDaemon(io, daemon);
    const wanted = argv.find((word) => !word.startsWith('-'));
    const rest = argv.slice(1);
    // They belong to the program that is run: commander would take its own options (--version) out of them.
    if (argv[0] === 'run' && rest[0] !== '--help' && rest[0] !== '-h') {
      const { becomeRunner } = await import('./commands/run.ts');
      becomeRunner(rest, io);
    }
    const { buildProgram, COMMANDS } = await import('./program.ts');
    const program = await buildProgram(io, entries ?? COMMANDS, (name) => name === wanted);
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    io.setExitCode(report(error, argv, io));
  }
}

function report(thrown: unknown, argv: readonly string[], io: ProcessIo): number {
  // Commander has said it already.
  if (isOfCommander(thrown)) {
    if (thrown.code === 'commander.missingArgument' && notSetUp(io) !== undefined)
      io.stderr('hint: first set it up: broker setup\n');
    return thrown.exitCode === 0 ? 0 : EX_USAGE;
  }
  const error = thrown instanceof BrokerError ? thrown : (interruption(thrown, io) ?? systemRefusal(thrown) ?? thrown);
  if (argv.includes('--verbose') && error instanceof Error) io.stderr(`${traceOf(error)}\n`);
  if (!(error instanceof BrokerError)) {
    const message = redact(error instanceof Error ? error.message : String(error));
    io.stderr(`error: broker failed: ${message}\nhint: run it again with --verbose and report what it prints\n`);
    return EX_SOFTWARE;
  }
  // As broker-key: Claude Code shows what a failing helper says, and one line is what it has room for.
  const isHelper = argv[0] === 'get' && !io.stderrIsTty;
  // What was typed or found is repeated there, and may be anything.
  io.stderr(`${isHelper ? `broker: ${problemLine(error)}` : printableLines(describeError(error))}\n`);
  return error.exitCode;
}

/** SIGINT or SIGTERM in the middle of it: nobody's fault. */
function interruption(thrown: unknown, io: ProcessIo): BrokerError | undefined {
  const isAborted = thrown instanceof Error && thrown.name === 'AbortError' && io.signal.aborted;
  return isAborted ? new BrokerError('ERR_USAGE', 'cancelled') : undefined;
}

/** Not by its class: commander is not loaded for every line. */
function isOfCommander(thrown: unknown): thrown is CommanderError {
  return thrown instanceof Error && codeOf(thrown)?.startsWith('commander.') === true;
}

function traceOf(error: Error): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const own = [`${error.name}: ${redact(error.message)}`, ...frames].join('\n');
  return error.cause instanceof Error ? `${own}\ncaused by ${traceOf(error.cause)}` : own;
}
