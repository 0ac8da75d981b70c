import { Command } from 'commander';
import type { ProviderConfig } from '../../config/config.ts';
import { configError } from '../../config/faults.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import { BrokerError } from '../../errors.ts';
import { silentLog } from '../../platform/log.ts';
import type { ConfigReport } from '../../protocol/administration.ts';
import type { ProviderHost } from '../../providers/definition.ts';
import { findDefinition, providerDefinitions } from '../../providers/registry.ts';
import type { CliIo } from '../cli-io.ts';
import { connect } from '../connect.ts';
import { terminalDialogue } from '../login-dialogue.ts';
import { relative } from '../output.ts';

interface Options {
  readonly browser: boolean;
  readonly passwordStdin?: true;
  readonly passcodeStdin?: true;
  readonly mfaMethod?: string;
  readonly json?: true;
}

/** `broker login PROVIDER`: the person logs in here, the daemon takes the login over through its socket. */
export function loginCommand(io: CliIo): Command {
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
        'configuration; and wherever Vault wants a second factor (login MFA). Its code may also come in BROKER_PASSCODE;\n' +
        'a push is waited for. On a machine without a browser, forward the port that the browser comes back to (8250 unless\n' +
        'callback_port says otherwise): ssh -L 8250:localhost:8250 HOST, then broker login PROVIDER --no-browser.',
    )
    .action((provider: string, options: Options) => login(io, provider, options));
}

async function login(io: CliIo, name: string, options: Options): Promise<void> {
  const client = connect(io);
  // Asked first: nobody is to log in for a daemon that is not there. It also knows what its own environment adds.
  const daemon = await client.config();
  const provider = findProvider(await loadAsDaemon(io, daemon), name, daemon.file);
  const logIn = await findDefinition(provider.type)?.interactive?.load();
  if (logIn === undefined) throw noLogin(provider);
  const dialogue = terminalDialogue(io, {
    browser: options.browser,
    passwordFromStdin: options.passwordStdin === true,
    passcodeFromStdin: options.passcodeStdin === true,
    mfaMethod: options.mfaMethod,
  });
  using token = await logIn(provider.options, hostFor(io, daemon, name), dialogue, { signal: io.signal });
  const report = await client.takeLogin(name, token);
  if (options.json) io.stdout(`${JSON.stringify(report, null, 2)}\n`);
  else
    io.stdout(
      `logged in to ${name}${report.expiresAt === null ? '' : `; the session ends ${relative(report.expiresAt, io.clock.wall())}`}\n`,
    );
}

/** What the daemon's environment contributes counts here as well, not this shell's; but how this shell gets out does. */
function environmentOf({ env }: CliIo, { values }: ConfigReport): Record<string, string | undefined> {
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

async function loadAsDaemon(io: CliIo, daemon: ConfigReport): Promise<LoadedConfig> {
  const { homeDir, uid } = io;
  const env = environmentOf(io, daemon);
  const loaded = await loadConfig({ file: daemon.file, types: providerDefinitions, env, homeDir, uid });
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
  return new BrokerError('ERR_USAGE', `nobody logs in to provider "${name}" (${type}) through the broker`, { remedy });
}

function hostFor(io: CliIo, daemon: ConfigReport, name: string): ProviderHost {
  return {
    name,
    clock: io.clock,
    log: silentLog,
    // The daemon keeps the login, nobody else.
    logins: { load: () => [], save: () => undefined, remove: () => undefined },
    env: environmentOf(io, daemon),
    homeDir: io.homeDir,
  };
}
