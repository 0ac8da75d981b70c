import { spawn } from 'node:child_process';
import { BrokerError } from '../../errors.ts';
import { Service } from '../../service/service.ts';
import type { CliIo } from '../cli-io.ts';

const EX_UNAVAILABLE = 69;
/** journalctl(1)'s way to say that it found none. */
const NO_ENTRIES = '-- No entries --';

/** `broker service logs [--follow] [--lines COUNT]`: the service manager's own program, passed through. */
export async function showLogs(io: CliIo, { follow, lines }: { follow?: true; lines: string }): Promise<void> {
  if (!/^[1-9]\d{0,5}$/.test(lines)) {
    throw new BrokerError('ERR_USAGE', `--lines takes a number, not ${lines}`, { remedy: 'try: --lines 100' });
  }
  const { manager } = new Service(io);
  const [program, ...args] = manager.logCommand({ lines: Number(lines), follow: follow === true }) ?? [];
  if (program === undefined) {
    throw new BrokerError('ERR_DAEMON_UNREACHABLE', 'there is no log, because there is no service manager here', {
      remedy: 'run the daemon where you see it: broker service stop, then broker daemon',
    });
  }
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...io.env }, signal: io.signal });
  let found = false;
  child.stdout.on('data', (text: Buffer) => {
    found ||= text.toString().trim() !== NO_ENTRIES;
    io.stdout(text);
  });
  child.stderr.on('data', (text: Buffer) => io.stderr(text.toString()));
  await new Promise<void>((resolve, reject) => {
    child.once('close', (code) => {
      if (code !== null) io.setExitCode(code === 0 ? 0 : EX_UNAVAILABLE);
      resolve();
    });
    child.once('error', (error) => {
      if (error.name === 'AbortError') return;
      reject(new BrokerError('ERR_DAEMON_UNREACHABLE', `cannot run ${program}: ${error.message}`, { cause: error }));
    });
  });
  if (!found && !io.signal.aborted) io.stderr(`hint: ${manager.logRemedy}\n`);
}
