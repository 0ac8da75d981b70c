import { Command } from 'commander';
import type { CliIo } from '../cli-io.ts';
import { connect } from '../connect.ts';

/** `broker invalidate NAME` */
export function invalidateCommand(io: CliIo): Command {
  return new Command('invalidate')
    .description('drop a cached key and revoke its lease')
    .argument('<name>', 'the credential')
    .option('--json', 'print the new state as JSON')
    .action(async (name: string, { json }: { readonly json?: true }) => {
      const state = await connect(io).invalidate(name);
      if (json) io.stdout(`${JSON.stringify(state, null, 2)}\n`);
      else io.stdout(`${state.name}: dropped; the next ask fetches it anew\n`);
    });
}
