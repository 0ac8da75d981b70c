import { Command } from 'commander';
import { connect } from '../../client/broker-client.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import type { CheckReport } from '../../protocol/reports.ts';
import { json } from '../output.ts';

interface Options {
  readonly json?: true;
}

/** `broker check [NAME]`: exit code 77 if the API rejects the key, 69 if it does not say, 78 if it takes any key. */
export function checkCommand(io: ProcessIo): Command {
  return new Command('check')
    .description('ask the API itself whether the key is good; arms the check')
    .argument('[name]', 'the credential; the default one if left out')
    .option('--json', 'print what it said as JSON')
    .addHelpText(
      'after',
      '\nThe check counts once it has accepted the key and refused one that was made up; both are tried here.',
    )
    .action(async (name: string | undefined, options: Options) => {
      const report = await connect(io).check(name);
      if (options.json) io.stdout(json(report));
      else if (report.armed) io.stdout(`${report.name}: the API accepts this key and refuses a made-up one\n`);
      const failure = failureOf(report);
      if (failure !== undefined) throw failure;
    });
}

function failureOf({ name, url, word, seen, madeUp }: CheckReport): BrokerError | undefined {
  if (word === 'rejected') {
    const remedy = `store a good key at its provider, then: broker refresh ${name}`;
    return new BrokerError('ERR_KEY_REJECTED', `the API rejects the key of "${name}" (${seen})`, { remedy });
  }
  if (word === 'none') {
    const remedy = `check url, headers and rejected in [credentials.${name}.check]; until then it has no effect`;
    const message = `${url} does not say whether the key of "${name}" is good (${seen})`;
    return new BrokerError('ERR_PROVIDER_UNAVAILABLE', message, { remedy });
  }
  if (madeUp === null || madeUp.word === 'rejected') return undefined;
  const message =
    madeUp.word === 'good'
      ? `${url} accepts a made-up key as well, so it does not look at keys`
      : `${url} accepts the key of "${name}", but does not say that a made-up one is rejected (${madeUp.seen})`;
  const remedy = `set another url in [credentials.${name}.check], or rejected; until then it has no effect`;
  return new BrokerError('ERR_CONFIG', message, { remedy });
}
