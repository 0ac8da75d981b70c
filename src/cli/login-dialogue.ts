import { spawn } from 'node:child_process';
import { isCancel, password } from '@clack/prompts';
import { SecretBytes } from '../credential/secret-bytes.ts';
import { BrokerError } from '../errors.ts';
import type { LoginDialogue } from '../providers/interactive-login.ts';
import type { CliIo } from './cli-io.ts';

export interface DialogueOptions {
  /** Whether a browser may be opened; else the address is shown. */
  readonly browser: boolean;
  /** The password is the first line of standard input. */
  readonly passwordFromStdin: boolean;
}

/** Longer is no password. */
const LONGEST_PASSWORD = 4_096;

/** A person at this terminal. */
export function terminalDialogue(io: CliIo, options: DialogueOptions): LoginDialogue {
  return {
    say: (text) => io.stderr(`${text}\n`),
    askPassword: (question) => (options.passwordFromStdin ? passwordFromStdin(io) : passwordFromTerminal(io, question)),
    showPage: async (address) => {
      const opened = options.browser && (await openBrowser(io, address));
      io.stderr(
        opened
          ? `Log in in the browser. If it did not open:\n\n  ${address}\n\n`
          : `Open this address and log in:\n\n  ${address}\n\n`,
      );
    },
  };
}

async function passwordFromTerminal({ terminal, signal }: CliIo, message: string): Promise<SecretBytes> {
  if (terminal === undefined) {
    throw new BrokerError('ERR_USAGE', 'there is no terminal to ask for the password', {
      remedy: 'run it in a terminal, or hand the password in: broker login PROVIDER --password-stdin < FILE',
    });
  }
  const answer = await password({ message, ...terminal, signal });
  if (isCancel(answer) || answer === undefined) throw cancelled();
  return SecretBytes.fromString(answer);
}

async function passwordFromStdin({ stdin }: CliIo): Promise<SecretBytes> {
  let text = '';
  for await (const chunk of (stdin ?? []) as AsyncIterable<Buffer>) {
    text += chunk.toString('utf8');
    if (text.includes('\n') || text.length > LONGEST_PASSWORD) break;
  }
  const [line = ''] = text.split(/\r?\n/, 1);
  if (line !== '' && line.length <= LONGEST_PASSWORD) return SecretBytes.fromString(line);
  throw new BrokerError('ERR_USAGE', 'standard input holds no password', {
    remedy: 'hand in one line: … --password-stdin < FILE',
  });
}

export function cancelled(): BrokerError {
  return new BrokerError('ERR_USAGE', 'cancelled', { remedy: 'nothing was changed' });
}

/** What opens an address as a click on it would. $BROWSER is a convention of many Unix programs (xdg-open honours it too). */
function openBrowser({ env, platform }: CliIo, address: string): Promise<boolean> {
  const wanted = env['BROWSER']?.split(':')[0];
  const command = wanted || (platform === 'darwin' ? 'open' : 'xdg-open');
  const hasDisplay = platform === 'darwin' || Boolean(wanted || env['DISPLAY'] || env['WAYLAND_DISPLAY']);
  if (!hasDisplay) return Promise.resolve(false);
  return new Promise((resolve) => {
    const child = spawn(command, [address], { stdio: 'ignore', detached: true });
    child.once('error', () => resolve(false));
    child.once('spawn', () => {
      child.unref();
      resolve(true);
    });
  });
}
