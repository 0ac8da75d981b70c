import type { InstallerContext, InstallOutcome } from '../claude/install/installer.ts';
import { formatDuration, parseDuration } from '../config/durations.ts';
import { configFile, notSetUp, stateDir } from '../config/paths.ts';
import { BrokerError } from '../errors.ts';
import type { ProcessIo } from '../platform/process-io.ts';
import { NAME, NAME_RULE } from '../protocol/request.ts';
import { loadOwnConfig } from '../providers/own-config.ts';
import { json } from './output.ts';

export interface FileOptions {
  readonly json?: true;
  readonly dryRun?: true;
}

export function installerContext(io: ProcessIo): InstallerContext {
  return { stateDir: stateDir(io), uid: io.uid, now: io.clock.wall() };
}

/** What an installer of another program's file did, or would do. */
export function reportChange(
  io: ProcessIo,
  options: FileOptions,
  { file, before, after, backup, exact }: InstallOutcome,
  told: {
    readonly done: 'installed' | 'uninstalled';
    /** Asked for only if something changes. */
    readonly diff: () => string;
    readonly warnings: readonly string[];
    readonly lines?: readonly string[];
    /** More fields for `--json`. */
    readonly more?: Readonly<Record<string, unknown>>;
  },
): void {
  const { done, warnings, lines = [], more = {} } = told;
  const changed = before !== after;
  const diff = changed ? told.diff() : '';
  if (options.json) {
    const backedUp = backup === undefined ? null : { id: backup.id, copy: backup.copy };
    io.stdout(
      json({ file, changed, dryRun: options.dryRun === true, exact, diff, backup: backedUp, ...more, warnings }),
    );
    return;
  }
  if (options.dryRun) io.stdout(changed ? `${diff}\n` : `${file}: nothing would change\n`);
  else if (!changed) io.stdout(`${file}: nothing to change\n`);
  else io.stdout(`${file}: ${done}${after === undefined ? ' (the file is gone again)' : ''}\n`);
  for (const line of lines) io.stdout(`${line}\n`);
  if (backup !== undefined) io.stdout(`what it replaced is kept in ${backup.copy}\n`);
  for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
}

/** @throws BrokerError ERR_USAGE */
export function requireCredentialName(name: string | undefined): void {
  if (name === undefined || NAME.test(name)) return;
  throw new BrokerError('ERR_USAGE', 'not a valid credential name', { remedy: `a name is ${NAME_RULE}` });
}

/** What is wrong with asking for this credential; undefined if nothing is, or if there is no configuration to tell. */
export async function credentialWarning(io: ProcessIo, credential: string | undefined): Promise<string | undefined> {
  const fresh = notSetUp(io);
  if (fresh !== undefined) return `${fresh.message}: the helper has nothing to print before you ${fresh.remedy}`;
  const { file, config } = await configured(io);
  if (config === undefined) return `${file} has a fault: broker config validate`;
  const names = [...config.credentials.keys()].join(', ');
  if (credential === undefined) {
    const isMissing = config.defaultCredential === undefined;
    return isMissing ? `${file} has no default: name one with --credential: ${names}` : undefined;
  }
  return config.credentials.has(credential)
    ? undefined
    : `${file} has no credential "${credential}"; it has: ${names || 'none'}`;
}

/** Where a client other than Claude Code asks. @throws BrokerError ERR_DENIED for a credential that it would never be given. */
export async function requireServable(io: ProcessIo, credential: string | undefined, client: string): Promise<void> {
  const { file, config } = await configured(io);
  const name = credential ?? config?.defaultCredential;
  const found = name === undefined ? undefined : config?.credentials.get(name);
  if (found?.allow !== undefined) {
    throw new BrokerError('ERR_DENIED', `[credentials.${name}] in ${file} has \`allow\`: ${client} would be refused`, {
      remedy: 'name another credential with --credential, or add --force to write the lines all the same',
    });
  }
  if (found?.fields !== undefined) {
    throw new BrokerError('ERR_DENIED', `[credentials.${name}] in ${file} has \`fields\`: ${client} needs one key`, {
      remedy: 'name a credential with --credential that has one value, or add --force to write the lines all the same',
    });
  }
}

async function configured(io: ProcessIo) {
  const file = configFile(io);
  const { config } = await loadOwnConfig(io, file);
  return { file, config };
}

/** A duration of the command line, or whole milliseconds. @throws BrokerError ERR_USAGE */
export function readMs(flag: string, text: string, least: number): number {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) : parsedMs(flag, text);
  if (ms >= least) return ms;
  throw new BrokerError('ERR_USAGE', `${flag} ${text} is under ${formatDuration(least)}`, {
    remedy: `write at least ${formatDuration(least)}`,
  });
}

function parsedMs(flag: string, text: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw new BrokerError('ERR_USAGE', `${flag} "${text}" is not a duration`, {
      remedy: 'write 5m, 90s or milliseconds',
    });
  }
}
