import path from 'node:path';
import { Command } from 'commander';
import type { InstallOutcome } from '../../claude/install/installer.ts';
import { tomlDiff } from '../../claude/settings/masked-diff.ts';
import { followLinks } from '../../claude/settings/replace-file.ts';
import { describeCommand } from '../../claude/shell/helper-command.ts';
import {
  type CodexProvider,
  type CodexSettings,
  codexConfigFile,
  credentialOfArgs,
  isOurs,
  parseCodexConfig,
  readCodexConfig,
  settingsOf,
} from '../../clients/codex-config.ts';
import { type CodexWish, installCodex, planCodexInstall } from '../../clients/codex-install.ts';
import { CODEX_RECORDS, type CodexRecord, uninstallCodex } from '../../clients/codex-uninstall.ts';
import { stateDir } from '../../config/paths.ts';
import { BrokerError, shellWord } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { maskUrl } from '../../platform/text.ts';
import {
  credentialWarning,
  type FileOptions,
  installerContext,
  readMs,
  reportChange,
  requireCredentialName,
  requireServable,
} from '../installed-file.ts';
import { json } from '../output.ts';
import { wantedHelper } from './claude-install.ts';

interface CodexPlace extends FileOptions {
  readonly config?: string;
}

interface CodexInstallOptions extends CodexPlace {
  readonly credential?: string;
  readonly provider?: string;
  readonly baseUrl?: string;
  readonly name?: string;
  readonly helper?: string;
  readonly timeout: string;
  readonly refresh: string;
  /** false: `--no-select`. */
  readonly select: boolean;
  readonly force?: true;
  readonly print?: true;
}

/**
 * `broker codex install|uninstall|show`: the lines in Codex's config.toml that make it run broker-key for its key.
 * Exit codes: 0 · 64 usage · 74 the file cannot be written · 77 it is somebody else's · 78 a broken file.
 */
export function codexCommand(io: ProcessIo): Command {
  const command = new Command('codex').description("the lines in Codex's config.toml that make it ask the broker");

  place(command.command('install'))
    .description('write [model_providers.X.auth] and change no other byte of the file')
    .option('--credential <name>', "the credential to ask for (default: the configuration's)")
    .option('--provider <id>', 'X: the model provider (default: the one that is selected if it is yours, else broker)')
    .option('--base-url <url>', "the API of a new provider (default: OpenAI's own)")
    .option('--name <text>', 'what Codex calls a new provider (default: its id)')
    .option('--helper <path>', 'where broker-key is (default: beside this program, else on PATH)')
    .option('--timeout <duration>', 'how long Codex waits for a key; broker-key itself never takes over 9.5s', '10s')
    .option('--refresh <duration>', 'how long Codex keeps a key; 0: until the API refuses it', '5m')
    .option('--no-select', 'do not write model_provider = "X": start it with codex -c model_provider=X')
    .option('--force', 'replace what this program did not write; a backup is kept')
    .option('--print', 'print the lines, to be written by hand, and write nothing')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options: CodexInstallOptions) => installAction(io, options));

  place(command.command('uninstall'))
    .description('take out what install put in; a file that was not edited since gets its old bytes back')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options: CodexPlace) => uninstallAction(io, options));

  place(command.command('show'))
    .description('which provider is selected, and which providers run a command for their key')
    .action((options: CodexPlace) => showAction(io, options));

  return command;
}

function place(command: Command): Command {
  return command
    .option(
      '--config <file>',
      'the file (default: config.toml in $CODEX_HOME or ~/.codex); for a profile: NAME.config.toml',
    )
    .option('--json', 'print JSON');
}

function fileOf(io: ProcessIo, { config }: CodexPlace): string {
  return config === undefined ? codexConfigFile(io) : path.resolve(config);
}

async function installAction(io: ProcessIo, options: CodexInstallOptions): Promise<void> {
  const { credential, print, dryRun } = options;
  requireCredentialName(credential);
  if (options.force === undefined) await requireServable(io, credential, 'Codex');
  const wish: CodexWish = {
    provider: requireProvider(options.provider),
    baseUrl: requireUrl(options.baseUrl),
    displayName: options.name,
    select: options.select,
    command: wantedHelper(io, { ...options, ...(print ? { dryRun: true } : {}) }),
    args: credential === undefined ? [] : [credential],
    timeoutMs: readMs('--timeout', options.timeout, 1_000),
    refreshMs: readMs('--refresh', options.refresh, 0),
    force: options.force === true,
  };
  if (print) {
    io.stdout(planCodexInstall(undefined, undefined, wish, fileOf(io, options)).content?.toString() ?? '');
    return;
  }
  const request = { file: fileOf(io, options), dryRun: dryRun === true };
  const outcome = installCodex(installerContext(io), request, wish);
  const unknown = await credentialWarning(io, credential);
  const { selected, providers } = settingsIn(outcome.after, outcome.file);
  const provider = providers.find(
    (each) => each.command === wish.command && (wish.provider ?? each.name) === each.name,
  );
  reportChange(io, options, outcome, {
    done: 'installed',
    diff: () => diffOf(outcome),
    warnings: [
      ...(unknown === undefined ? [] : [unknown]),
      ...(provider?.name === selected ? [] : [`it is not selected: start codex -c model_provider=${provider?.name}`]),
    ],
    lines: provider === undefined || dryRun ? [] : [`provider ${provider.name} (${provider.baseUrl ?? 'no base_url'})`],
    more: { provider: provider?.name ?? null, selected: selected ?? null },
  });
}

function uninstallAction(io: ProcessIo, options: CodexPlace): void {
  const outcome = uninstallCodex(installerContext(io), { file: fileOf(io, options), dryRun: options.dryRun === true });
  reportChange(io, options, outcome, {
    done: 'uninstalled',
    diff: () => diffOf(outcome),
    warnings: keylessSelection(outcome),
  });
}

/** Without its record nobody knows whether the provider was the person's own. */
function keylessSelection({ file, before, after }: InstallOutcome): string[] {
  if (before === after) return [];
  const { selected, providers } = settingsIn(after, file);
  const provider = providers.find(({ name }) => name === selected);
  const hasKey = provider === undefined || provider.command !== undefined || provider.rivals.length > 0;
  return hasKey ? [] : [`model_provider = "${selected}" is left in ${file}, and that provider has no key now`];
}

function settingsIn(text: string | undefined, file: string): CodexSettings {
  return settingsOf(parseCodexConfig(Buffer.from(text ?? ''), file).values);
}

function diffOf({ file, before, after, edits }: InstallOutcome & Pick<CodexRecord, 'edits'>): string {
  const ours = new Set(edits.flatMap(({ inserted }) => inserted.split(/\r?\n/)).map((line) => line.trim()));
  return tomlDiff(file, before, after, (line) => ours.has(line.trim()));
}

function showAction(io: ProcessIo, options: CodexPlace): void {
  const { file, state, problem, selected, providers } = readCodexConfig(fileOf(io, options));
  const record = CODEX_RECORDS.read(stateDir(io), followLinks(file));
  const rows = providers.map((provider) => ({
    id: provider.name,
    selected: provider.name === selected,
    baseUrl: provider.baseUrl === undefined ? null : maskUrl(provider.baseUrl),
    ours: isOurs(provider),
    command: shownCommand(provider),
    credential: isOurs(provider) ? (credentialOfArgs(provider.args) ?? null) : null,
    timeoutMs: provider.timeoutMs ?? null,
    refreshMs: provider.refreshMs ?? null,
    conflicts: provider.command === undefined ? [] : provider.rivals,
  }));
  const installed = record === undefined ? null : record.provider;
  if (options.json) {
    io.stdout(json({ file, state, problem: problem ?? null, selected: selected ?? null, installed, providers: rows }));
    return;
  }
  io.stdout(`${file}: ${problem ?? (state === 'missing' ? 'missing' : 'read')}\n`);
  for (const row of rows) {
    io.stdout(`${row.selected ? '*' : ' '} ${row.id}: ${row.baseUrl ?? 'no base_url'}\n`);
    if (row.command !== null) io.stdout(`    command: ${row.command}${row.ours ? '' : ' (not the broker)'}\n`);
    if (row.refreshMs !== null)
      io.stdout(`    kept for ${row.refreshMs} ms, waited for ${row.timeoutMs ?? 5_000} ms\n`);
    if (row.conflicts.length > 0) io.stdout(`    Codex refuses it: it has ${row.conflicts.join(', ')} as well\n`);
    if (row.id === installed) io.stdout('    installed by broker\n');
  }
  const isKnown = rows.some((row) => row.selected);
  io.stdout(isKnown ? '* this provider is selected\n' : `selected: ${selected ?? 'openai, which no line changes'}\n`);
}

/** People write keys into commands: of any other than ours only the program is shown. */
function shownCommand(provider: CodexProvider): string | null {
  const { command, args } = provider;
  if (command === undefined) return null;
  if (isOurs(provider)) return [command, ...args].map(shellWord).join(' ');
  return describeCommand([command, ...args].map(shellWord).join(' '));
}

function requireProvider(id: string | undefined): string | undefined {
  if (id === undefined || /^[\w.-]{1,64}$/.test(id)) return id;
  throw new BrokerError('ERR_USAGE', '--provider is not an id that Codex takes', {
    remedy: 'use letters, digits, "-", "_" and "."',
  });
}

function requireUrl(url: string | undefined): string | undefined {
  if (url === undefined) return undefined;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new BrokerError('ERR_USAGE', '--base-url is not an http(s) address', {
      remedy: 'write it whole, with its path: https://api.example.com/v1',
    });
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new BrokerError('ERR_USAGE', '--base-url holds a name or a password', {
      remedy: 'leave them out: the key comes from the broker',
    });
  }
  return url;
}
