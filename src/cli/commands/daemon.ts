import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { DaemonOptions } from '../../daemon/main.ts';
import type { ProcessIo } from '../../platform/process-io.ts';

export interface DaemonWords {
  readonly config?: string;
  readonly journal?: true;
}

/** `broker daemon`: loads the daemon only when it is to run. */
export async function daemonCommand(io: ProcessIo): Promise<Command> {
  const { Command } = await import('commander');
  return new Command('daemon')
    .description('run the daemon in the foreground; logs go to standard error')
    .option('--config <file>', 'this file instead of the configured one')
    .option('--journal', 'log lines carry the priorities of the systemd journal')
    .action((words: DaemonWords) => startDaemon(io, words));
}

/**
 * A line as services and helpers start the daemon with, for which commander need not be loaded: that would be a tenth of the
 * time to its first answer. Undefined: any other line.
 */
export function daemonWords(argv: readonly string[]): DaemonWords | undefined {
  const [command, ...words] = argv;
  if (command !== 'daemon' || words.some((word) => word !== '--journal')) return undefined;
  return words.length === 0 ? {} : { journal: true };
}

export async function startDaemon(io: ProcessIo, { config, journal }: DaemonWords): Promise<void> {
  const { runDaemon } = await import('../../daemon/main.ts');
  const { env, homeDir, uid, platform, stderrIsTty, userTempFolder } = io;
  const options: DaemonOptions = {
    env,
    homeDir,
    uid,
    platform,
    stderrIsTty,
    userTempFolder,
    journal: journal === true,
  };
  await runDaemon(config === undefined ? options : { ...options, configFile: resolve(config) });
}
