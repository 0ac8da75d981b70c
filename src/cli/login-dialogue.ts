import { spawn } from 'node:child_process';
import { isCancel, password, select } from '@clack/prompts';
import { SecretBytes } from '../credential/secret-bytes.ts';
import { BrokerError } from '../errors.ts';
import type { FactorChoice, LoginDialogue } from '../providers/interactive-login.ts';
import type { CliIo } from './cli-io.ts';
import { HandedInLines } from './handed-in-lines.ts';

export interface DialogueOptions {
  /** Whether a browser may be opened; else the address is shown. */
  readonly browser: boolean;
  /** The password is the first line of standard input. */
  readonly passwordFromStdin: boolean;
  /** The code of the second factor is the next line of standard input. */
  readonly passcodeFromStdin?: boolean;
  /** Which second factor, by name, id or type, where there are several. */
  readonly mfaMethod?: string | undefined;
}

/** A code on the command line would stand in the process list. */
const PASSCODE_VARIABLE = 'BROKER_PASSCODE';

/** A person at this terminal, or what a script hands in for them. */
export function terminalDialogue(io: CliIo, options: DialogueOptions): LoginDialogue {
  const lines = new HandedInLines(io);
  const passcode = io.env[PASSCODE_VARIABLE] || undefined;
  const isHandedIn = options.passcodeFromStdin === true || passcode !== undefined;
  return {
    say: (text) => io.stderr(`${text}\n`),
    askPassword: (question) =>
      options.passwordFromStdin ? lines.next('password') : fromTerminal(io, question, NO_PASSWORD),
    canAskAgain: !isHandedIn,
    askPasscode: async (question) => {
      if (options.passcodeFromStdin === true) return await lines.next('passcode');
      return passcode === undefined
        ? await fromTerminal(io, question, NO_PASSCODE)
        : SecretBytes.fromString(passcode.trim());
    },
    chooseFactor: (question, choices) => chooseFactor(io, options.mfaMethod, question, choices),
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

const NO_PASSWORD = {
  what: 'there is no terminal to ask for the password',
  remedy: 'run it in a terminal, or hand the password in: broker login PROVIDER --password-stdin < FILE',
};
const NO_PASSCODE = {
  what: 'Vault wants a second factor, and there is no terminal to ask for its code',
  remedy: `run it in a terminal, or hand the code in: broker login PROVIDER --passcode-stdin, or in ${PASSCODE_VARIABLE}`,
};

async function fromTerminal(
  { terminal, signal }: CliIo,
  message: string,
  { what, remedy }: { readonly what: string; readonly remedy: string },
): Promise<SecretBytes> {
  if (terminal === undefined) throw new BrokerError('ERR_USAGE', what, { remedy });
  const answer = await password({ message, ...terminal, signal });
  if (isCancel(answer) || answer === undefined) throw cancelled();
  return SecretBytes.fromString(answer);
}

async function chooseFactor(
  { terminal, signal }: CliIo,
  wanted: string | undefined,
  message: string,
  choices: readonly FactorChoice[],
): Promise<FactorChoice> {
  const names = choices.map(({ name, type, id }) => name || `${type} ${id}`);
  if (wanted !== undefined) {
    const found = choices.find(({ id, name, type }) => [id, name, type].includes(wanted));
    if (found !== undefined) return found;
    throw new BrokerError('ERR_USAGE', `there is no second factor "${wanted.slice(0, 64)}" for this login`, {
      remedy: `name one of: ${names.join(', ')}`,
    });
  }
  if (terminal === undefined) {
    throw new BrokerError('ERR_USAGE', 'Vault leaves a choice of second factors, and there is no terminal to ask', {
      remedy: `say which: --mfa-method ${names.join(' | ')}`,
    });
  }
  const options = choices.map((choice, at) => ({ value: choice, label: names[at] ?? '', hint: choice.type }));
  const answer = await select<FactorChoice>({ message, options, ...terminal, signal });
  if (isCancel(answer)) throw cancelled();
  return answer;
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
