import { Command } from 'commander';
import { BrokerError } from '../../errors.ts';
import { runnerPath } from '../../platform/native.ts';
import type { ProcessIo } from '../../platform/process-io.ts';

const HELP = `
Without --env the default credential is in ANTHROPIC_API_KEY; --env NAME alone is the default credential, too.

CMD replaces broker, so that its exit code, signals, terminal and descriptors are what they are without it. Before CMD runs:
64 usage, 65 not a key, 69 unavailable, 75 try again, 77 refused (also for a credential with allow or scope = "session"),
78 configuration, 126 CMD cannot be run, 127 CMD was not found.

An environment is not a secret place: every program of yours can read that of CMD (/proc/PID/environ), what CMD starts inherits
it, and crash reports may contain it. CMD keeps the key that it was started with. If that has a known end, one line on
standard error says when; --quiet leaves it out.`;

/** `broker run`. bin/broker gives it to the program broker-run at once; what comes here is help, and calls past bin/broker. */
export function runCommand(): Command {
  return new Command('run')
    .description('run a program with keys in its environment')
    .usage('[--env NAME[=CREDENTIAL]]... [--quiet] [--] CMD [ARGS...]')
    .option('--env <NAME[=CREDENTIAL]>', 'a variable, and the credential whose key is in it; several times for several')
    .option('--quiet', 'do not say how long a key will live')
    .argument('<cmd...>', 'the program and its arguments')
    .addHelpText('after', HELP)
    .action(() => {
      throw new BrokerError('ERR_USAGE', 'options of broker itself do not go with run', {
        remedy: 'write: broker run [--env NAME=CREDENTIAL]... [--quiet] [--] CMD',
      });
    });
}

/**
 * Replaces this process by broker-run, which becomes the program.
 *
 * @param words what follows `run`.
 * @throws BrokerError ERR_CONFIG where that cannot be.
 */
export function becomeRunner(words: readonly string[], io: Pick<ProcessIo, 'env'>): never {
  const runner = runnerPath();
  if (runner === undefined) {
    throw new BrokerError('ERR_CONFIG', '`broker run` needs a native program, and there is none for this machine', {
      remedy: 'install a C compiler and install broker again (Debian: apt install gcc musl-tools)',
    });
  }
  if (process.execve === undefined) {
    throw new BrokerError('ERR_CONFIG', `Node ${process.versions.node} cannot become another program`, {
      remedy: `run it without Node: ${runner}`,
    });
  }
  const env = Object.entries(io.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return process.execve(runner, [runner, ...words], Object.fromEntries(env));
}
