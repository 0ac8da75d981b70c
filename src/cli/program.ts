import { Command } from 'commander';
import type { ProcessIo } from '../platform/process-io.ts';
import { printableLines } from '../platform/text.ts';
import { hasPage } from './topics.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** Not for people. */
  readonly hidden?: true;
  readonly load: (io: ProcessIo) => Promise<Command>;
}

/** Only commands that are wanted are loaded; of the others help shows name and summary. */
export async function buildProgram(
  io: ProcessIo,
  entries: readonly CommandEntry[],
  isWanted: (name: string) => boolean,
): Promise<Command> {
  const wanted = entries.filter(({ name }) => isWanted(name)).map(({ name }) => name);
  const { VERSION } = await import('../platform/installation.ts');
  const program = new Command('broker')
    .description("Short-lived API keys from Vault or AWS for Claude Code's apiKeyHelper.")
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .addHelpText('after', '\nOn a new machine: broker setup. The pages of the manual, offline: broker help topics')
    .option('--verbose', 'show more: where errors come from, what get served')
    .configureOutput({ writeOut: (text) => io.stdout(text), writeErr: (text) => io.stderr(printableLines(text)) })
    // An option that was put before its command is looked for among those of the program.
    .showHelpAfterError(`hint: see ${['broker', ...(wanted.length === 1 ? wanted : [])].join(' ')} --help`)
    .exitOverride();
  for (const { name, summary, hidden = false, load } of entries) {
    const command = isWanted(name) ? await load(io) : new Command(name).description(summary);
    command.addHelpText('after', () => (hasPage(name) ? `\nAt length: broker help ${name}` : ''));
    program.addCommand(inherit(command, program, 'broker'), { hidden });
  }
  refuseHelpOfNothing(program);
  return program;
}

/**
 * Commands that were built on their own know nothing of the program's output and exit settings; which help an error
 * points to is their own.
 */
function inherit(command: Command, parent: Command, path: string): Command {
  const ownPath = `${path} ${command.name()}`;
  command.copyInheritedSettings(parent).showHelpAfterError(`hint: see ${ownPath} --help`);
  refuseHelpOfNothing(command);
  for (const child of command.commands) inherit(child, command, ownPath);
  return command;
}

/** `broker statusx --help`: commander prints the help of what `statusx` would be a command of, as if all were well. */
function refuseHelpOfNothing(command: Command): void {
  command.on('beforeHelp', () => {
    const [name] = command.args;
    // Without --help it says what is wrong, and which command has a name like it.
    if (command.commands.length > 0 && name !== undefined && !name.startsWith('-'))
      command.parse([name], { from: 'user' });
  });
}

/** In the order in which help lists them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'get',
    summary: 'print a key, as broker-key does',
    load: async (io) => (await import('./commands/get.ts')).getCommand(io),
  },
  {
    name: 'run',
    summary: 'run a program with keys in its environment',
    load: async () => (await import('./commands/run.ts')).runCommand(),
  },
  {
    name: 'status',
    summary: 'the state of every credential',
    load: async (io) => (await import('./commands/status.ts')).statusCommand(io),
  },
  {
    name: 'wait',
    summary: 'wait until a key can be served, for scripts',
    load: async (io) => (await import('./commands/wait.ts')).waitCommand(io),
  },
  {
    name: 'refresh',
    summary: 'ask the provider now',
    load: async (io) => (await import('./commands/refresh.ts')).refreshCommand(io),
  },
  {
    name: 'invalidate',
    summary: 'drop a cached key and revoke its lease',
    load: async (io) => (await import('./commands/refresh.ts')).invalidateCommand(io),
  },
  {
    name: 'check',
    summary: 'ask the API itself whether the key is good',
    load: async (io) => (await import('./commands/check.ts')).checkCommand(io),
  },
  {
    name: 'events',
    summary: 'who was given what, every refresh and every failure',
    load: async (io) => (await import('./commands/events.ts')).eventsCommand(io),
  },
  {
    name: 'doctor',
    summary: 'which authentication wins in Claude Code, every trap, one remedy for each',
    load: async (io) => (await import('./commands/doctor.ts')).doctorCommand(io),
  },
  {
    name: 'bugreport',
    summary: 'put what is needed to find a fault into one redacted archive',
    load: async (io) => (await import('./commands/bugreport.ts')).bugreportCommand(io),
  },
  {
    name: 'setup',
    summary: 'from nothing to a working helper: provider, credential, daemon, Claude settings',
    load: async (io) => (await import('./commands/setup.ts')).setupCommand(io),
  },
  {
    name: 'claude',
    summary: "write or remove apiKeyHelper in Claude Code's settings",
    load: async (io) => (await import('./commands/claude.ts')).claudeCommand(io),
  },
  {
    name: 'codex',
    summary: 'write or remove the command that Codex runs for its key, in its config.toml',
    load: async (io) => (await import('./commands/codex.ts')).codexCommand(io),
  },
  {
    name: 'desktop',
    summary: 'the credential helper of Claude Desktop in third-party mode',
    load: async (io) => (await import('./commands/desktop.ts')).desktopCommand(io),
  },
  {
    name: 'config',
    summary: 'check the configuration, print it with secrets masked',
    load: async (io) => (await import('./commands/config.ts')).configCommand(io),
  },
  {
    name: 'login',
    summary: 'log in to a provider, for the daemon to take over',
    load: async (io) => (await import('./commands/login.ts')).loginCommand(io),
  },
  {
    name: 'logout',
    summary: 'end a login that was made with login',
    load: async (io) => (await import('./commands/logout.ts')).logoutCommand(io),
  },
  {
    name: 'set',
    summary: 'store a value in the macOS Keychain or the Secret Service',
    load: async (io) => (await import('./commands/set.ts')).setCommand(io),
  },
  {
    name: 'unset',
    summary: 'remove a value that was stored with set',
    load: async (io) => (await import('./commands/set.ts')).unsetCommand(io),
  },
  {
    name: 'rotate-key',
    summary: 'a new key-encryption key; everything stored is wrapped again',
    load: async (io) => (await import('./commands/rotate-key.ts')).rotateKeyCommand(io),
  },
  {
    name: 'daemon',
    summary: 'run the daemon in the foreground; logs go to standard error',
    load: async (io) => (await import('./commands/daemon.ts')).daemonCommand(io),
  },
  {
    name: 'demo',
    summary: 'the whole thing against an embedded development Vault; leaves nothing behind',
    load: async (io) => (await import('./commands/demo.ts')).demoCommand(io),
  },
  {
    name: 'service',
    summary: 'run the daemon as a systemd user service or a launchd agent',
    load: async (io) => (await import('./commands/service.ts')).serviceCommand(io),
  },
  {
    name: 'uninstall',
    summary: 'take away everything that any command of broker wrote; lists it first',
    load: async (io) => (await import('./commands/uninstall.ts')).uninstallCommand(io),
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands and options',
    load: async (io) => {
      const { completionCommand } = await import('./commands/completion.ts');
      return completionCommand(io, () => buildProgram(io, COMMANDS, () => true));
    },
  },
  {
    name: 'names',
    summary: 'the names in the configuration, for completion',
    hidden: true,
    load: async (io) => (await import('./commands/completion.ts')).namesCommand(io),
  },
  {
    name: 'help',
    summary: 'the help of a command, or a page of the manual: broker help topics',
    load: async (io) => {
      const { helpCommand } = await import('./commands/help.ts');
      return helpCommand(io, (command) => buildProgram(io, COMMANDS, (name) => name === command));
    },
  },
];
