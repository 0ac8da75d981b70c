import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { BrokerError, codeOf, shellWord } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { timestamp } from '../../platform/text.ts';
import { archive } from '../bugreport/archive.ts';
import { type Collected, collect } from '../bugreport/parts.ts';
import { json, table, thousands } from '../output.ts';

interface Options {
  readonly output?: string;
  readonly json?: true;
}

/** `broker bugreport`: exit code 0, also where parts cannot be had; 74 if the file cannot be written. */
export function bugreportCommand(io: ProcessIo): Command {
  return new Command('bugreport')
    .description('put what is needed to find a fault into one redacted archive; sends nothing')
    .option('--output <file>', 'where to (default: broker-bugreport-TIME.tar.gz in the current folder)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nIn it: versions, the configuration with secrets masked, status, events, doctor, the newest lines of the log, the unit, the\n' +
        "database's integrity, limits. Keys, tokens and passwords are removed. It needs no daemon: what cannot be had says why.",
    )
    .action((options: Options) => bugreport(io, options));
}

async function bugreport(io: ProcessIo, options: Options): Promise<void> {
  const nowMs = io.clock.wall();
  const name = `broker-bugreport-${timestamp(nowMs)}`;
  const file = path.resolve(options.output ?? `${name}.tar.gz`);
  const collected = await collect(io);
  const files = [...collected.files, { name: 'README.txt', content: readme(collected) }];
  const bytes = archive(name, files, nowMs);
  write(file, bytes);
  const sizes = files.map((each) => ({ name: each.name, bytes: Buffer.byteLength(each.content) }));
  if (options.json) {
    io.stdout(json({ file, bytes: bytes.length, files: sizes, missing: collected.missing }));
    return;
  }
  io.stdout(`${file} (${thousands(bytes.length)} bytes, readable by you alone) has in it:\n`);
  io.stdout(table(sizes.map((each) => ['', each.name, `${thousands(each.bytes)} bytes`])));
  if (collected.missing.length > 0) {
    io.stdout(`Not in it:\n${table(collected.missing.map((each) => ['', each.name, each.why]))}`);
  }
  io.stdout(`Nothing was sent. Read it before you give it to anybody: tar -xzOf ${shellWord(file)} | less\n`);
}

/** Never over a file that is there. */
function write(file: string, bytes: Buffer): void {
  try {
    writeFileSync(file, bytes, { flag: 'wx', mode: 0o600 });
    chmodSync(file, 0o600);
  } catch (error) {
    const code = codeOf(error);
    const why = code === 'EEXIST' ? `${file} is there already` : `${file} cannot be written (${code})`;
    throw new BrokerError('ERR_IO', why, { remedy: 'name another: broker bugreport --output FILE', cause: error });
  }
}

function readme({ files, missing }: Collected): string {
  const lines = missing.map(({ name, why }) => `${name}: ${why}`);
  return `What \`broker bugreport\` found, with keys, tokens, passwords and the name of the home folder removed: [redacted], ********, ~.
In it: ${files.map(({ name }) => name).join(', ')}
Not in it: ${lines.length === 0 ? 'nothing is missing' : lines.join('; ')}
`;
}
