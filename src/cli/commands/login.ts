import { spawn } from 'node:child_process';
import { isCancel, password, select } from '@clack/prompts';
import { Command } from 'commander';
import { type BrokerClient, connect } from '../../client/broker-client.ts';
import { describeSelf } from '../../client/describe-self.ts';
import type { ProviderConfig } from '../../config/config.ts';
import { configError } from '../../config/faults.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { trimKey } from '../../credential/key.ts';
import { SecretBytes } from '../../credential/secret.ts';
import { BrokerError, ProviderError, shellWord } from '../../errors.ts';
import { silentLog } from '../../platform/log.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { printable } from '../../platform/text.ts';
import type { ConfigReport } from '../../protocol/reports.ts';
import { LoginAttempts } from '../../providers/login-attempts.ts';
import { loadOwnConfig } from '../../providers/own-config.ts';
import type { FactorChoice, LoginDialogue, ProviderHost } from '../../providers/provider.ts';
import { findDefinition, providerDefinitions } from '../../providers/registry.ts';
import { json, relative } from '../output.ts';

interface Options {
  readonly browser: boolean;
  readonly passwordStdin?: true;
  readonly passcodeStdin?: true;
  readonly mfaMethod?: string;
  readonly json?: true;
}

/** `broker login PROVIDER`: the person logs in here, the daemon takes the login over through its socket. */
export function loginCommand(io: ProcessIo): Command {
  return new Command('login')
    .description('log in to a provider; the daemon takes the login over and keeps it, sealed')
    .argument('<provider>', 'its name in the configuration')
    .option('--no-browser', 'show the address of the login page instead of opening it')
    .option('--password-stdin', 'read the password from standard input')
    .option(
      '--passcode-stdin',
      'read the code of the second factor from standard input, after the password if both are',
    )
    .option('--mfa-method <name>', 'which second factor, by name, id or type, where there are several')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nFor logins that only a person can make: Vault with method oidc, and userpass or ldap without a password in the\n' +
        'configuration; oauth2 with grant device_code or authorization_code; and wherever Vault wants a second factor (login MFA). Its code may also come in BROKER_PASSCODE;\n' +
        'a push is waited for. On a machine without a browser, forward the port that the browser comes back to (8250 unless\n' +
        'callback_port says otherwise): ssh -L 8250:localhost:8250 HOST, then broker login PROVIDER --no-browser.',
    )
    .action((provider: string, options: Options) => login(io, provider, options));
}

async function login(io: ProcessIo, name: string, options: Options): Promise<void> {
  const client = connect(io);
  // Asked first: a person is not to log in for a daemon that is not there. It also knows what its own environment adds.
  const daemon = await client.config();
  const provider = findProvider(await loadAsDaemon(io, daemon), name, daemon.file);
  const logIn = await findDefinition(provider.type)?.interactive?.load();
  if (logIn === undefined) throw noLogin(provider);
  const dialogue = terminalDialogue(io, {
    browser: options.browser,
    passwordFromStdin: options.passwordStdin === true,
    passcodeFromStdin: options.passcodeStdin === true,
    mfaMethod: options.mfaMethod,
    command: `broker login ${shellWord(name)}`,
  });
  using token = await logIn(provider.options, hostFor(io, client, daemon, name), dialogue, { signal: io.signal });
  const report = await client.takeLogin(name, token);
  if (options.json) io.stdout(json(report));
  else
    io.stdout(
      `logged in to ${name}${report.expiresAt === null ? '' : `; the session ends ${relative(report.expiresAt, io.clock.wall())}`}\n`,
    );
}

/** What the daemon's environment contributes counts here as well, not this shell's; but how this shell gets out does. */
function environmentOf({ env }: ProcessIo, { values }: ConfigReport): Record<string, string | undefined> {
  const own = { ...env };
  const theirs = providerDefinitions.flatMap(({ environmentDefaults }) =>
    Object.values(environmentDefaults).flatMap((variables) => ('variablesFor' in variables ? [] : variables)),
  );
  for (const variable of theirs) delete own[variable];
  for (const { origin, value } of values) {
    if (origin.kind !== 'env' || value === undefined || !theirs.includes(origin.variable)) continue;
    own[origin.variable] = String(value);
  }
  return own;
}

async function loadAsDaemon(io: ProcessIo, daemon: ConfigReport): Promise<LoadedConfig> {
  const { homeDir, uid } = io;
  const loaded = await loadOwnConfig({ env: environmentOf(io, daemon), homeDir, uid }, daemon.file);
  if (loaded.faults !== undefined) throw configError(loaded.faults);
  return loaded;
}

function findProvider({ config }: LoadedConfig, name: string, file: string): ProviderConfig {
  const provider = config.providers.get(name);
  if (provider !== undefined) return provider;
  throw new BrokerError('ERR_USAGE', `there is no provider "${name.slice(0, 64)}" in ${file}`, {
    remedy: `name one of: ${[...config.providers.keys()].join(', ')}`,
  });
}

function noLogin({ name, type, options }: ProviderConfig): BrokerError {
  const profile = type.startsWith('aws-') ? (options as { readonly profile?: string }).profile : undefined;
  const remedy = type.startsWith('aws-')
    ? `run: aws sso login${profile === undefined ? '' : ` --profile ${profile}`}; the daemon takes it up at once`
    : 'log in with the tools of that secret system; the daemon takes it up at once';
  return new BrokerError('ERR_USAGE', `provider "${name}" (${type}) has no interactive login`, { remedy });
}

function hostFor(io: ProcessIo, client: BrokerClient, daemon: ConfigReport, name: string): ProviderHost {
  return {
    name,
    clock: io.clock,
    log: silentLog,
    // Only the daemon keeps the login.
    logins: { load: () => [], save: () => undefined, remove: () => undefined, attempts: new LoginAttempts(io.clock) },
    // A client secret that is the key of another credential, say.
    credentials: {
      lend: async (credential, { signal }) => {
        const { body } = await client.key({ credential, hints: describeSelf(io), signal });
        return { secret: SecretBytes.from(trimKey(body)), version: '' };
      },
    },
    env: environmentOf(io, daemon),
    homeDir: io.homeDir,
  };
}

export interface DialogueOptions {
  /** Whether a browser may be opened; else the address is shown. */
  readonly browser: boolean;
  /** The password is the first line of standard input. */
  readonly passwordFromStdin: boolean;
  /** The code of the second factor is the next line of standard input. */
  readonly passcodeFromStdin?: boolean;
  /** Which second factor, by name, id or type, where there are several. */
  readonly mfaMethod?: string | undefined;
  /** What takes `--password-stdin` and `--passcode-stdin`. */
  readonly command: string;
}

/** A code on the command line would be in the process list. */
const PASSCODE_VARIABLE = 'BROKER_PASSCODE';

/** A person at this terminal, or what a script hands in for them. */
export function terminalDialogue(io: ProcessIo, options: DialogueOptions): LoginDialogue {
  const lines = new HandedInLines(io);
  const { command } = options;
  const passcode = io.env[PASSCODE_VARIABLE] || undefined;
  const isHandedIn = options.passcodeFromStdin === true || passcode !== undefined;
  return {
    // There may be words of a server in it.
    say: (text) =>
      io.stderr(
        `${text
          .split('\n')
          .map((line) => printable(line))
          .join('\n')}\n`,
      ),
    askPassword: (question) =>
      options.passwordFromStdin ? lines.next('password') : fromTerminal(io, question, noPassword(command)),
    canAskAgain: !isHandedIn,
    askPasscode: async (question) => {
      if (options.passcodeFromStdin === true) return await lines.next('passcode');
      return passcode === undefined
        ? await fromTerminal(io, question, noPasscode(command))
        : SecretBytes.fromString(passcode.trim());
    },
    chooseFactor: (question, choices) => chooseFactor(io, options.mfaMethod, question, choices),
    showPage: async (named) => {
      const address = webAddress(named);
      const opened = options.browser && (await openBrowser(io, address));
      io.stderr(
        opened
          ? `Log in in the browser. If it did not open:\n\n  ${address}\n\n`
          : `Open this address and log in:\n\n  ${address}\n\n`,
      );
    },
  };
}

const noPassword = (command: string) => ({
  what: 'there is no terminal to ask for the password',
  remedy: `run it in a terminal, or hand the password in: ${command} --password-stdin < FILE`,
});
const noPasscode = (command: string) => ({
  what: 'Vault wants a second factor, and there is no terminal to ask for its code',
  remedy: `run it in a terminal, or hand the code in: ${command} --passcode-stdin, or in ${PASSCODE_VARIABLE}`,
});

async function fromTerminal(
  { terminal, signal }: ProcessIo,
  message: string,
  { what, remedy }: { readonly what: string; readonly remedy: string },
): Promise<SecretBytes> {
  if (terminal === undefined) throw new BrokerError('ERR_USAGE', what, { remedy });
  const answer = await password({ message, ...terminal, signal });
  if (isCancel(answer) || answer === undefined) throw cancelled();
  return SecretBytes.fromString(answer);
}

async function chooseFactor(
  { terminal, signal }: ProcessIo,
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
    throw new BrokerError('ERR_USAGE', 'several second factors are possible, and there is no terminal to ask', {
      remedy: `choose one: --mfa-method ${names.join(' | ')}`,
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

/** What a server names is neither run as a program, nor a file to be opened, nor a sequence for this terminal. */
function webAddress(named: string): string {
  const url = URL.parse(named);
  if (url !== null && /^https?:$/.test(url.protocol)) return url.href;
  throw new ProviderError('misconfigured', 'what the server names as its login page is not a web address', {
    remedy: 'check the addresses of the provider; tell its operators',
  });
}

/** What opens an address as a click on it would. $BROWSER is a convention of many Unix programs (xdg-open honours it too). */
function openBrowser({ env, platform }: ProcessIo, address: string): Promise<boolean> {
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

/** Longer is neither a password nor a code. */
const LONGEST_LINE = 4_096;

/** What a script hands in on standard input, one line after the other. */
export class HandedInLines {
  readonly #io: ProcessIo;
  #chunks: AsyncIterator<Buffer> | undefined;
  #rest = '';
  #isOver = false;

  constructor(io: ProcessIo) {
    this.#io = io;
  }

  /** The next line. @throws BrokerError ERR_USAGE if there is none, or an empty one. */
  async next(what: 'password' | 'passcode'): Promise<SecretBytes> {
    while (!this.#isOver && !this.#rest.includes('\n') && this.#rest.length <= LONGEST_LINE) {
      this.#chunks ??= this.#io.stdin?.[Symbol.asyncIterator]();
      const chunk = await this.#chunks?.next();
      if (chunk === undefined || chunk.done === true) this.#isOver = true;
      else this.#rest += chunk.value.toString('utf8');
    }
    const end = this.#rest.indexOf('\n');
    const line = (end === -1 ? this.#rest : this.#rest.slice(0, end)).replace(/\r$/, '');
    this.#rest = end === -1 ? '' : this.#rest.slice(end + 1);
    if (line !== '' && line.length <= LONGEST_LINE) return SecretBytes.fromString(line);
    throw new BrokerError('ERR_USAGE', `standard input holds no ${what}`, {
      remedy: `hand in one line: … --${what}-stdin < FILE; with a password and a passcode, the passcode is the second line`,
    });
  }
}
