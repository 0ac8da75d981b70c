import { Command } from 'commander';
import { connect } from '../../client/broker-client.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import type { CredentialStatus } from '../../protocol/reports.ts';
import { json, relative } from '../output.ts';

interface Options {
  readonly all?: true;
  readonly json?: true;
}

/** `broker refresh [NAME|--all]`: exit code 69 if `--all` left one without a key. */
export function refreshCommand(io: ProcessIo): Command {
  return new Command('refresh')
    .description('ask the provider now')
    .argument('[name]', 'the credential; the default one if left out')
    .option('--all', 'every credential')
    .option('--json', 'print the new state as JSON')
    .action((name: string | undefined, options: Options) => refresh(io, name, options));
}

async function refresh(io: ProcessIo, name: string | undefined, options: Options): Promise<void> {
  const { all } = options;
  if (all && name !== undefined) {
    throw new BrokerError('ERR_USAGE', 'a name and --all do not go together', { remedy: 'leave one of them out' });
  }
  const client = connect(io);
  const states = all ? await client.refreshAll() : [await client.refresh(name)];
  if (options.json) io.stdout(json(all ? states : states[0]));
  else io.stdout(states.map((state) => `${sentence(state, io.clock.wall())}\n`).join(''));
  const failed = states.filter(({ lastError }) => lastError !== null);
  if (failed.length === 0) return;
  throw new BrokerError('ERR_PROVIDER_UNAVAILABLE', `not refreshed: ${failed.map((state) => state.name).join(', ')}`, {
    remedy: 'see what to do about each: broker status',
  });
}

function sentence({ name, version, expiresAt, lastError }: CredentialStatus, nowMs: number): string {
  if (lastError !== null) return `${name}: ${printable(lastError.message)}`;
  const what = version === null ? '' : `, version ${printable(version)}`;
  return `${name}: confirmed by the provider${what}${expiresAt === null ? '' : `, expires ${relative(expiresAt, nowMs)}`}`;
}

/** `broker invalidate NAME` */
export function invalidateCommand(io: ProcessIo): Command {
  return new Command('invalidate')
    .description('drop a cached key and revoke its lease')
    .argument('<name>', 'the credential')
    .option('--json', 'print the new state as JSON')
    .action(async (name: string, options: Pick<Options, 'json'>) => {
      const state = await connect(io).invalidate(name);
      if (options.json) io.stdout(json(state));
      else io.stdout(`${state.name}: dropped; the next ask fetches it again\n`);
    });
}
