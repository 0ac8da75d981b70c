import path from 'node:path';
import { enrolClient, recordManagedLines } from '../../claude/install/enrol.ts';
import { type InstallOutcome, install, uninstall } from '../../claude/install/installer.ts';
import {
  additionsFor,
  denyRules,
  locateHelper,
  managedText,
  parseTarget,
  placeOf,
  requireHelper,
  rootsOf,
  type SettingsChoice,
  type Target,
  USUAL_STATE_DIR,
} from '../../claude/install/targets.ts';
import { firstLaxity, nodeAt, parseSettings } from '../../claude/settings/document.ts';
import { type Addition, settingsObject } from '../../claude/settings/edit.ts';
import { readAllSettings } from '../../claude/settings/files.ts';
import { settingsDiff } from '../../claude/settings/masked-diff.ts';
import { readIfThere } from '../../claude/settings/replace-file.ts';
import { configFile, stateDir } from '../../config/paths.ts';
import { BrokerError } from '../../errors.ts';
import { enrolmentFile, readEnrolment } from '../../platform/enrolment.ts';
import { helperPath } from '../../platform/native.ts';
import type { ProcessIo } from '../../platform/process-io.ts';
import { loadOwnConfig } from '../../providers/own-config.ts';
import { recordLaunch } from '../../service/service.ts';
import { stableHelper } from '../../service/stable-helper.ts';
import { guardCredential } from '../../setup/config-change.ts';
import { readExisting, writeConfig } from '../../setup/config-file.ts';
import { credentialWarning, installerContext, readMs, reportChange, requireCredentialName } from '../installed-file.ts';
import { json } from '../output.ts';
import { type FederationOptions, federationAdditions } from './claude-wif.ts';

interface InstallOptions extends SettingsChoice, FederationOptions {
  readonly json?: true;
  readonly wif?: true;
  readonly helper?: string;
  readonly ttl?: string;
  readonly for?: string;
  readonly denyRules?: true;
  readonly managed?: true;
  readonly guard?: true;
  readonly client?: string;
  readonly force?: true;
  readonly dryRun?: true;
}

type UninstallOptions = Pick<InstallOptions, 'for' | 'force' | 'dryRun' | 'json' | keyof SettingsChoice>;

/** Below it the client would ask on nearly every request and still send the key before the newest. */
const SHORTEST_TTL_MS = 1000;

export async function installAction(io: ProcessIo, options: InstallOptions): Promise<void> {
  const target = parseTarget(options.wif ? 'wif' : options.for);
  if (target.kind === 'wif') requireNoHelper(options);
  const guard = options.guard ? await planGuard(io, options) : undefined;
  const additions =
    target.kind === 'wif' ? await federationAdditions(io, options) : wantedAdditions(io, options, target);
  if (options.managed) {
    if (options.json) io.stdout(json(settingsObject(additions)));
    else io.stdout(managedText(additions));
    return;
  }
  const place = placeOf(io, options, target);
  if (target.server !== undefined) requireServer(place.file, target.server);
  const request = { ...place, target: target.name, additions, force: options.force === true };
  const dryRun = options.dryRun === true;
  const wantsClient = options.guard === true || options.client !== undefined;
  const context = installerContext(io);
  const client = dryRun || !wantsClient ? undefined : enrolClient(context, options.client, io.env['PATH']);
  const outcome = install(context, { ...request, dryRun });
  if (!dryRun) recordManagedLines({ ...context, homeDir: io.homeDir }, readAllSettings(rootsOf(io, options)));
  const enrolled = client?.known === 'enrolled' ? `enrolled ${client.path}, until the next update of it` : undefined;
  const done = [guard?.(dryRun), enrolled].filter((part) => part !== undefined).join('; ');
  const ours = additions.flatMap((addition) => ('value' in addition ? [addition.value] : addition.items));
  const unknown = target.kind === 'wif' ? helperWins(outcome) : await credentialWarning(io, options.credential);
  const warnings = [...(unknown === undefined ? [] : [unknown]), ...warningsFor(outcome)];
  if (wantsClient && !dryRun && client === undefined)
    warnings.push('no claude was found on PATH: if it lies in an unusual place, name it with --client');
  report(io, options, outcome, ours, 'installed', warnings, done === '' ? undefined : done);
}

/** Workload identity runs none, and what is for a helper would do nothing. */
function requireNoHelper({ helper, ttl, guard, client, denyRules, for: setting }: InstallOptions): void {
  const given = Object.entries({
    '--helper': helper,
    '--ttl': ttl,
    '--guard': guard,
    '--client': client,
    '--deny-rules': denyRules,
  });
  const flags = given.flatMap(([flag, value]) => (value === undefined ? [] : flag));
  if (setting !== undefined && setting !== 'wif') flags.push('--for');
  if (flags.length === 0) return;
  throw new BrokerError('ERR_USAGE', `--wif does not go with ${flags.join(', ')}: no helper runs`, {
    remedy: `leave out ${flags.join(', ')}`,
  });
}

/** Claude Code's order: a helper comes before workload identity. */
function helperWins({ file, after }: InstallOutcome): string | undefined {
  const root = after === undefined ? undefined : parseSettings(Buffer.from(after), file).root;
  if (nodeAt(root, ['apiKeyHelper']) === undefined) return undefined;
  return `${file} has an apiKeyHelper, which wins over workload identity: broker claude uninstall --for api-key`;
}

/** Everything that can be wrong is found before anything is written. */
async function planGuard(io: ProcessIo, options: InstallOptions): Promise<(dryRun: boolean) => string> {
  if (io.platform !== 'linux') {
    throw new BrokerError('ERR_USAGE', `--guard does not work on ${io.platform}`, {
      remedy: 'leave it out: there every process of yours can ask for the key',
    });
  }
  const place = { file: configFile(io), homeDir: io.homeDir, uid: io.uid };
  const existing = await readExisting(place);
  const { name, change } = await guardCredential(existing, options.credential, place);
  return (dryRun) => {
    if (change !== undefined && !dryRun) writeConfig(change, existing, place);
    const words = change === undefined ? 'had' : dryRun ? 'would get' : 'has got';
    return `${place.file}: [credentials.${name}] ${words} allow = ["claude-code"]`;
  };
}

export async function uninstallAction(io: ProcessIo, options: UninstallOptions): Promise<void> {
  const target = parseTarget(options.for);
  const { file } = placeOf(io, options, target);
  const outcome = uninstall(installerContext(io), {
    file,
    target: options.for === undefined ? undefined : target.name,
    force: options.force === true,
    dryRun: options.dryRun === true,
  });
  const forgotten = outcome.enrolled ? `${enrolmentFile(stateDir(io))}: the line is no longer recorded` : undefined;
  report(io, options, outcome, [], 'uninstalled', await stillGuarded(io), forgotten);
}

/** What nobody can have while no line is recorded. */
async function stillGuarded(io: ProcessIo): Promise<readonly string[]> {
  if (readEnrolment(stateDir(io), io.uid).lines.length > 0) return [];
  const file = configFile(io);
  const { config } = await loadOwnConfig(io, file);
  const names = [...(config?.credentials.values() ?? [])].filter(({ allow }) => allow !== undefined);
  return names.map(({ name }) => `[credentials.${name}] in ${file} has \`allow\`: nothing can have it now`);
}

function wantedAdditions(io: ProcessIo, options: InstallOptions, target: Target): Addition[] {
  const { credential } = options;
  requireCredentialName(credential);
  const helper = wantedHelper(io, options);
  const ttlMs = options.ttl === undefined ? undefined : readTtl(options.ttl);
  const additions = additionsFor(target, { helper, credential, ttlMs });
  return options.denyRules
    ? [...additions, denyRules(helper, options.managed ? USUAL_STATE_DIR : stateDir(io))]
    : additions;
}

/** Unless one is named: a copy at a place that survives upgrades, which knows how to start the daemon. */
export function wantedHelper(
  io: ProcessIo,
  options: Pick<InstallOptions, 'force' | 'managed' | 'dryRun' | 'helper'>,
): string {
  const { force, managed, dryRun } = options;
  if (options.helper === undefined && managed !== true && helperPath() !== undefined) {
    return dryRun ? stableHelper(stateDir(io)) : recordLaunch(io, process.execPath);
  }
  const named = options.helper === undefined ? locateHelper(io.env) : path.resolve(options.helper);
  // For a managed file or another machine the path need not be here.
  const unchecked = named !== undefined && (force === true || managed === true);
  return unchecked ? named : requireHelper(named);
}

function readTtl(text: string): number {
  const ms = readMs('--ttl', text, 0);
  if (ms >= SHORTEST_TTL_MS) return ms;
  throw new BrokerError('ERR_USAGE', `--ttl ${text} is under a second`, {
    remedy: 'a good value is 5m, or half of what a key lives',
  });
}

/** A helper on a server that is not configured would be a broken entry in the client's own file. */
function requireServer(file: string, server: string): void {
  const bytes = readIfThere(file);
  const root = bytes === undefined ? undefined : parseSettings(bytes, file).root;
  if (nodeAt(root, ['mcpServers', server])?.type === 'object') return;
  throw new BrokerError('ERR_USAGE', `there is no MCP server "${server}" in ${file}`, {
    remedy: `add it first: claude mcp add --transport http ${/^[\w.-]+$/.test(server) ? server : 'NAME'} URL`,
  });
}

function warningsFor({ file, after }: InstallOutcome): string[] {
  const warnings: string[] = [];
  const lax = after === undefined ? undefined : firstLaxity(parseSettings(Buffer.from(after), file));
  if (lax !== undefined) {
    warnings.push(
      `${file}:${lax.line}:${lax.column} has a comment or a trailing comma: Claude Code refuses the whole file until it is gone`,
    );
  }
  if (after !== undefined && /\/_npx\//.test(after)) {
    warnings.push('the helper lies in the cache of npx, which is emptied now and then: npm install -g apikey-broker');
  }
  return warnings;
}

function report(
  io: ProcessIo,
  options: UninstallOptions,
  outcome: InstallOutcome,
  ours: readonly string[],
  done: 'installed' | 'uninstalled',
  warnings: readonly string[],
  more?: string,
): void {
  reportChange(io, options, outcome, {
    done,
    diff: () => settingsDiff(outcome.file, outcome.before, outcome.after, ours),
    warnings,
    lines: more === undefined ? [] : [more],
    more: { enrolled: outcome.enrolled, guard: more ?? null },
  });
}
