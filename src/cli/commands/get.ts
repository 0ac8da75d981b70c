import { Command, Option } from 'commander';
import { connect, type ServedKey } from '../../client/broker-client.ts';
import { describeSelf } from '../../client/describe-self.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { duration } from '../../platform/text.ts';
import { FORMATS, LONGEST_KEY, parseClientInterval } from '../../protocol/request.ts';
import { relative } from '../output.ts';

interface Options {
  readonly format: string;
  readonly verbose?: true;
  readonly rejected?: true;
}

const NEWLINE = 0x0a;

/** `broker get [NAME]`: the same answer as broker-key, more slowly. */
export function getCommand(io: ProcessIo): Command {
  return (
    new Command('get')
      .description('print a key, as broker-key does')
      .argument('[name]', 'the credential; the default one if left out')
      .addOption(new Option('--format <format>', 'for which helper').choices(FORMATS).default('raw'))
      .option('--rejected', 'the key was refused: have the provider asked for a newer one')
      .addHelpText('after', '\nWith --verbose, standard error says what was served.')
      // --verbose is an option of the whole program.
      .action((name: string | undefined, _: unknown, self: Command) => get(io, name, self.optsWithGlobals<Options>()))
  );
}

async function get(
  io: ProcessIo,
  credential: string | undefined,
  { format, verbose, rejected }: Options,
): Promise<void> {
  const answer = await connect(io).key({
    credential,
    format: format === 'raw' ? undefined : format,
    intervalMs: parseClientInterval(io.env['CLAUDE_CODE_API_KEY_HELPER_TTL_MS'] ?? ''),
    hints: describeSelf(io, rejected),
  });
  try {
    if (format === 'raw') requireKey(answer.body);
    if (verbose) io.stderr(describe(answer, io.clock.wall()));
    io.stdout(answer.body);
    if (answer.body.at(-1) !== NEWLINE) io.stdout('\n');
  } finally {
    answer.body.fill(0);
  }
}

function requireKey(body: Buffer): void {
  const printable = body.every((byte) => byte > 0x20 && byte < 0x7f);
  if (printable && body.length > 0 && body.length <= LONGEST_KEY) return;
  throw new BrokerError('ERR_KEY_UNUSABLE', 'the value is not a key that Claude Code accepts', {
    remedy: `a key is 1 to ${LONGEST_KEY} printable ASCII characters without spaces: check path and field of the credential`,
  });
}

function describe({ version, state, expiresAt, ageSeconds }: ServedKey, nowMs: number): string {
  const facts = [
    state,
    version === undefined ? undefined : `version ${version}`,
    ageSeconds === undefined ? undefined : `confirmed ${duration(ageSeconds * 1000)} ago`,
    expiresAt === undefined ? 'expiry unknown' : `expires ${relative(expiresAt, nowMs)}`,
  ];
  return `${facts.filter((fact) => fact !== undefined).join(', ')}\n`;
}
