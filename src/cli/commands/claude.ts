import { Command, Option } from 'commander';
import type { CliIo } from '../cli-io.ts';
import { backupsAction } from './claude-backups.ts';
import { installAction, uninstallAction } from './claude-install.ts';
import { showAction } from './claude-show.ts';
import { reporting } from './reporting.ts';

/** Options that every command on settings files takes. */
export interface PlaceOptions {
  readonly scope?: 'user' | 'project-local' | 'file';
  readonly settings?: string;
  readonly project?: string;
  readonly json?: true;
}

/**
 * `broker claude install|uninstall|show|backups`: the lines in Claude Code's settings that make it ask the broker.
 * Exit codes: 0 · 64 usage · 74 the file cannot be written · 77 somebody else's helper stands there · 78 a broken file.
 */
export function claudeCommand(io: CliIo): Command {
  const command = new Command('claude').description("the lines in Claude Code's settings that make it ask the broker");

  places(command.command('install'))
    .description('write apiKeyHelper (or another helper setting) and change no other byte of the file')
    .option('--credential <name>', "the credential to ask for (default: the configuration's)")
    .option('--helper <path>', 'where broker-key lies (default: beside this program, else on PATH)')
    .option('--ttl <duration>', 'how long Claude Code keeps a key: 5m, 90s or milliseconds (default: its own 5m)')
    .option('--for <setting>', 'another setting that runs a helper: otel, mcp:NAME, aws or proxy')
    .option('--deny-rules', "add permission rules that keep the agent's own tools from the key")
    .option('--managed', 'print what an administrator puts into managed settings, and write nothing')
    .option('--force', 'replace a value that this program did not write; a backup is kept')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options) => reporting(io, () => installAction(io, options)));

  places(command.command('uninstall'))
    .description('take out what install put in; a file that nobody edited since gets its old bytes back')
    .option('--for <setting>', 'only this: api-key, otel, mcp:NAME, aws or proxy (default: everything)')
    .option('--force', 'also remove an apiKeyHelper that this program did not write; a backup is kept')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options) => reporting(io, () => uninstallAction(io, options)));

  places(command.command('show'))
    .description('every settings file in its order, what helper it sets and which one counts')
    .action((options) => reporting(io, () => showAction(io, options)));

  command
    .command('backups')
    .description('copies of files that held something of somebody else; they may hold secrets')
    .option('--delete <id>', 'delete one of them, or all')
    .option('--json', 'print JSON')
    .action((options) => reporting(io, () => backupsAction(io, options)));

  return command;
}

function places(command: Command): Command {
  return command
    .addOption(
      new Option('--scope <scope>', 'which settings file').choices(['user', 'project-local', 'file']).default('user'),
    )
    .option('--settings <file>', 'a file of its own, for claude --settings FILE (the only one that --bare reads)')
    .option('--project <folder>', "the project's folder (default: the current one)")
    .option('--json', 'print JSON');
}
