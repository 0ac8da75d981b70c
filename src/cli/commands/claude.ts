import { Command, Option } from 'commander';
import { rootsOf, type SettingsChoice } from '../../claude/install/targets.ts';
import { CLAUDE_RECORDS } from '../../claude/install/undo.ts';
import { deleteBackups, listBackups } from '../../claude/settings/backups.ts';
import { readAllSettings, type SettingsFile } from '../../claude/settings/files.ts';
import { followLinks } from '../../claude/settings/replace-file.ts';
import { describeCommand, runsBrokerHelper } from '../../claude/shell/helper-command.ts';
import { TTL_VARIABLE } from '../../claude/shell/variables.ts';
import { notSetUp, stateDir } from '../../config/paths.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { json } from '../output.ts';
import { installAction, uninstallAction } from './claude-install.ts';

/**
 * `broker claude install|uninstall|show|backups`: the lines in Claude Code's settings that make it ask the broker.
 * Exit codes: 0 · 64 usage · 74 the file cannot be written · 77 another program's helper is set · 78 a broken file.
 */
export function claudeCommand(io: ProcessIo): Command {
  const command = new Command('claude').description("the lines in Claude Code's settings that make it ask the broker");

  places(command.command('install'))
    .description('write apiKeyHelper (or another helper setting) and change no other byte of the file')
    .option('--credential <name>', "the credential to ask for (default: the configuration's)")
    .option('--helper <path>', 'where broker-key is (default: beside this program, else on PATH)')
    .option('--ttl <duration>', 'how long Claude Code keeps a key: 5m, 90s or milliseconds (default: its own 5m)')
    .option('--for <setting>', 'another setting that runs a helper: otel, mcp:NAME, aws or proxy')
    .option('--wif', 'no helper: the variables of workload identity, with the file of a credential that has a `sink`')
    .option('--rule <id>', 'with --wif: the federation rule, fdrl_… (default: of the only anthropic-wif provider)')
    .option('--organization <id>', 'with --wif: the organization, a UUID (default: likewise)')
    .option('--service-account <id>', 'with --wif: the service account, svac_… (default: likewise)')
    .option('--workspace <id>', 'with --wif: the workspace, wrkspc_… or default (default: likewise, or none)')
    .option('--deny-rules', "add permission rules that keep the agent's own tools from the key")
    .option(
      '--guard',
      "let nothing but Claude Code's own helper calls have the key: `allow` in the configuration (Linux)",
    )
    .option('--client <file>', 'for `allow`: the client, where it is not found under a usual name')
    .option('--managed', 'print what an administrator puts into managed settings, and write nothing')
    .option('--force', 'replace a value that this program did not write; a backup is kept')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options) => installAction(io, options));

  places(command.command('uninstall'))
    .description('take out what install put in; a file that was not edited since gets its old bytes back')
    .option('--for <setting>', 'only this: api-key, otel, mcp:NAME, aws, proxy or wif (default: everything)')
    .option('--force', 'also remove an apiKeyHelper that this program did not write; a backup is kept')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options) => uninstallAction(io, options));

  places(command.command('show'))
    .description('every settings file in its order, what helper it sets and which one counts')
    .action((options) => showAction(io, options));

  command
    .command('backups')
    .description('copies of files in which something that broker had not written was replaced; they may hold secrets')
    .option('--delete <id>', 'delete one of them, or all')
    .option('--json', 'print JSON')
    .action((options) => backupsAction(io, options));

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

interface ShowOptions extends SettingsChoice {
  readonly json?: true;
}

function showAction(io: ProcessIo, options: ShowOptions): void {
  const files = readAllSettings(rootsOf(io, options));
  const counts = files.find(({ state, helper }) => state === 'in-effect' && helper !== undefined);
  const rows = files.map((settings) => ({ ...describe(io, settings), counts: settings === counts }));
  if (options.json) {
    io.stdout(json({ files: rows }));
    return;
  }
  for (const row of rows) {
    const mark = row.counts ? '*' : ' ';
    io.stdout(`${mark} ${row.scope.padEnd(8)} ${row.file}: ${row.state.replace('in-effect', 'in effect')}\n`);
    if (row.helper !== null)
      io.stdout(`             line ${row.line}: ${row.helper}${row.ours ? '' : ' (not the broker)'}\n`);
    if (row.ttlMs !== null) io.stdout(`             kept for ${row.ttlMs} ms\n`);
    if (row.installed.length > 0) io.stdout(`             installed by broker: ${row.installed.join(', ')}\n`);
  }
  const how = notSetUp(io) === undefined ? 'broker claude install' : 'broker setup';
  io.stdout(
    counts === undefined ? `no file sets apiKeyHelper; to have it written: ${how}\n` : '* this apiKeyHelper counts\n',
  );
}

function describe(io: ProcessIo, settings: SettingsFile) {
  const { scope, file, state, problems, helper, env } = settings;
  const [problem] = problems;
  const ours = helper !== undefined && runsBrokerHelper(helper.value);
  const where = problem === undefined ? '' : ` (${problem.what}, line ${problem.position.line})`;
  return {
    scope,
    file,
    state: state + where,
    helper: helper === undefined ? null : describeCommand(helper.value),
    line: helper?.line ?? null,
    ours,
    ttlMs: wholeNumber(env.get(TTL_VARIABLE)?.value),
    installed: installedIn(io, file),
  };
}

/** Nonsense is the doctor's to report, and may be anything. */
function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

function installedIn(io: ProcessIo, file: string): string[] {
  try {
    const record = CLAUDE_RECORDS.read(stateDir(io), followLinks(file));
    return record?.additions.map(({ addition }) => addition.path.join('.')) ?? [];
  } catch {
    return [];
  }
}

function backupsAction(io: ProcessIo, options: { delete?: string; json?: true }): void {
  const folder = stateDir(io);
  const backups = options.delete === undefined ? listBackups(folder) : deleteBackups(folder, options.delete);
  if (options.json) {
    io.stdout(json({ deleted: options.delete !== undefined, backups }));
    return;
  }
  for (const { id, file, reason, copy } of backups) {
    io.stdout(options.delete === undefined ? `${id}  ${file}\n  ${reason}\n  ${copy}\n` : `deleted ${id} of ${file}\n`);
  }
  if (backups.length === 0) io.stdout('there are no backups\n');
}
