import path from 'node:path';
import { Command } from 'commander';
import type { InstallOutcome } from '../../claude/install/installer.ts';
import { settingsDiff } from '../../claude/settings/masked-diff.ts';
import {
  desktopAdditions,
  desktopAsk,
  desktopProfile,
  desktopScript,
  findDesktopConfig,
  installDesktop,
  removeDesktopScript,
  uninstallDesktop,
  writeDesktopScript,
} from '../../clients/desktop.ts';
import { stateDir } from '../../config/paths.ts';
import { BrokerError } from '../../errors.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
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

interface DesktopPlace extends FileOptions {
  readonly config?: string;
}

interface DesktopInstallOptions extends DesktopPlace {
  readonly credential?: string;
  readonly helper?: string;
  readonly ttl: string;
  readonly force?: true;
  readonly profile?: true;
}

const NOT_RUN =
  'not run: this follows the documentation of Claude Desktop and was never tried with the app (broker help desktop)';

/**
 * `broker desktop install|uninstall|show`: the credential helper of Claude Desktop in third-party mode. Exit codes: 0 · 64 usage ·
 * 74 the file cannot be written · 77 another helper is set · 78 a broken file.
 */
export function desktopCommand(io: ProcessIo): Command {
  const command = new Command('desktop').description(
    'the credential helper of Claude Desktop in third-party mode, by its documentation (not run)',
  );

  place(command.command('install'))
    .description('write inferenceCredentialHelper into the applied configuration, or say what to enter')
    .option('--credential <name>', "the credential to ask for (default: the configuration's)")
    .option('--helper <path>', 'where broker-key is (default: beside this program, else on PATH)')
    .option('--profile', "print a profile for a Mac's device management, and write nothing into the app's files")
    .option('--ttl <duration>', 'with --profile: how long the app keeps a key', '1h')
    .option('--force', 'replace a helper that this program did not write; a backup is kept')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options: DesktopInstallOptions) => installAction(io, options));

  place(command.command('uninstall'))
    .description('take out what install put in; a file that was not edited since gets its old bytes back')
    .option('--dry-run', 'show what would change and write nothing')
    .action((options: DesktopPlace) => uninstallAction(io, options));

  place(command.command('show'))
    .description('which configuration is applied, and which helper it runs')
    .action((options: DesktopPlace) => showAction(io, options));

  return command;
}

function place(command: Command): Command {
  return command
    .option('--config <file>', 'a configuration file of the app (default: the applied one in its configLibrary, macOS)')
    .option('--json', 'print JSON');
}

function configOf(io: ProcessIo, { config }: DesktopPlace) {
  return findDesktopConfig(io.homeDir, io.platform, config === undefined ? undefined : path.resolve(config));
}

async function installAction(io: ProcessIo, options: DesktopInstallOptions): Promise<void> {
  const { credential, force, dryRun = options.profile } = options;
  requireCredentialName(credential);
  const ttlMs = readMs('--ttl', options.ttl, 1_000);
  if (force === undefined) await requireServable(io, credential, 'Claude Desktop');
  const found = configOf(io, options);
  if (options.config !== undefined && found.file === undefined) {
    throw new BrokerError('ERR_CONFIG', found.problem ?? 'no configuration', {
      remedy: 'name a configuration of Claude Desktop in third-party mode, or leave out --config to see what to enter',
    });
  }
  const key = wantedHelper(io, { ...options, ...(dryRun ? { dryRun } : {}) });
  const helper = credential === undefined ? key : desktopScript(stateDir(io));
  // Tried before the script is written: it may be refused.
  const tried =
    found.file === undefined
      ? undefined
      : installDesktop(installerContext(io), { file: found.file, helper, force: force === true, dryRun: true });
  if (credential !== undefined && options.dryRun === undefined)
    writeDesktopScript(installerContext(io), key, credential);
  if (options.profile) {
    io.stdout(desktopProfile(helper, Math.ceil(ttlMs / 1_000)));
    io.stderr(`${NOT_RUN}\n`);
    return;
  }
  const unknown = await credentialWarning(io, credential);
  const warnings = [...(unknown === undefined ? [] : [unknown]), NOT_RUN];
  if (found.file === undefined || tried === undefined) {
    tellWhatToEnter(io, options, helper, found.problem ?? '', warnings);
    return;
  }
  const outcome = dryRun
    ? tried
    : installDesktop(installerContext(io), { file: found.file, helper, force: force === true, dryRun: false });
  reportChange(io, options, outcome, {
    done: 'installed',
    diff: () => diffOf(outcome, helper),
    warnings,
    lines: dryRun ? [] : ['quit Claude Desktop and start it again: it reads this once'],
    more: { helper },
  });
}

function tellWhatToEnter(
  io: ProcessIo,
  options: DesktopInstallOptions,
  helper: string,
  problem: string,
  warnings: readonly string[],
): void {
  if (options.json) {
    io.stdout(json({ file: null, changed: false, dryRun: options.dryRun === true, problem, helper, warnings }));
    return;
  }
  io.stdout(`${problem}, so nothing of the app's was changed. Enter it yourself:
  in Claude Desktop   Developer → Configure third-party inference → Connection: the credential helper
                      ${helper}
  in a profile        broker desktop install --profile > broker.mobileconfig (macOS, for device management)
`);
  for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
}

function uninstallAction(io: ProcessIo, options: DesktopPlace): void {
  const { file, helper } = configOf(io, options);
  const dryRun = options.dryRun === true;
  const script = desktopScript(stateDir(io));
  const outcome = file === undefined ? undefined : uninstallDesktop(installerContext(io), { file, dryRun });
  const isRemoved = dryRun ? false : removeDesktopScript(stateDir(io));
  const lines = isRemoved ? [`${script}: removed`] : [];
  const warnings =
    outcome === undefined && helper === script ? ['Claude Desktop still names that helper: take it out there'] : [];
  if (outcome !== undefined) {
    reportChange(io, options, outcome, {
      done: 'uninstalled',
      diff: () => diffOf(outcome, script),
      warnings,
      lines,
      more: { script: isRemoved ? script : null },
    });
    return;
  }
  if (options.json)
    io.stdout(json({ file: null, changed: isRemoved, dryRun, script: isRemoved ? script : null, warnings }));
  else for (const line of lines.length > 0 ? lines : ['there is nothing to take out']) io.stdout(`${line}\n`);
}

function diffOf({ file, before, after }: InstallOutcome, helper: string): string {
  const ours = desktopAdditions(helper).map(({ value }) => value);
  return settingsDiff(file, before, after, ours);
}

function showAction(io: ProcessIo, options: DesktopPlace): void {
  const { file, problem, helper, provider } = configOf(io, options);
  const { isOurs: ours, credential = null } = desktopAsk(helper, stateDir(io));
  if (options.json) {
    const said = { file: file ?? null, problem: problem ?? null, provider: provider ?? null };
    io.stdout(json({ ...said, helper: helper ?? null, ours, credential, tried: false }));
    return;
  }
  io.stdout(`${file ?? problem}\n`);
  if (provider !== undefined) io.stdout(`  provider: ${provider}\n`);
  if (helper !== undefined) io.stdout(`  helper: ${helper}${ours ? '' : ' (not the broker)'}\n`);
  if (credential !== null) io.stdout(`  asks for: ${credential}\n`);
  io.stdout(`${NOT_RUN}\n`);
}
