import { Command } from 'commander';
import { connect } from '../../client/broker-client.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { json } from '../output.ts';

/** `broker logout PROVIDER`: the end of what `broker login` began. */
export function logoutCommand(io: ProcessIo): Command {
  return new Command('logout')
    .description('end a login that was made with broker login: it is revoked, and forgotten with the keys read with it')
    .argument('<provider>', 'its name in the configuration')
    .option('--json', 'print JSON')
    .action(async (provider: string, options: { readonly json?: true }) => {
      const report = await connect(io).dropLogin(provider);
      io.stdout(options.json ? json(report) : `logged out of ${provider}\n`);
    });
}
