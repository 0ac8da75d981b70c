import { resolve } from 'node:path';
import { Command } from 'commander';
import type { DaemonOptions } from '../../daemon/main.ts';
import type { ProcessIo } from '../../platform/process-io.ts';

interface Options {
  readonly config?: string;
  readonly journal?: true;
}

/** `broker daemon`: loads the daemon only when it is to run. */
export function daemonCommand(io: ProcessIo): Command {
  return new Command('daemon')
    .description('run the daemon in the foreground; logs go to standard error')
    .option('--config <file>', 'this file instead of the configured one')
    .option('--journal', 'log lines carry the priorities of the systemd journal')
    .action(async ({ config, journal }: Options) => {
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
    });
}
