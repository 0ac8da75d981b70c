import { lstatSync, mkdirSync, realpathSync, rmdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { configError } from '../config/faults.ts';
import { checkConfig, type LoadedConfig, loadConfig } from '../config/load.ts';
import { type KeyPath, TomlPositions, writtenKey } from '../config/positions.ts';
import { LARGEST_CONFIG_BYTES } from '../config/safe-file.ts';
import { tomlValue } from '../config/toml.ts';
import { BrokerError } from '../errors.ts';
import { readTextQuietly } from '../platform/files.ts';
import { providerDefinitions } from '../providers/registry.ts';
import { writePlanned } from '../service/manager.ts';
import type { Plan } from './draft.ts';
import type { ProviderKind } from './questions.ts';

export interface ConfigPlace {
  readonly file: string;
  readonly homeDir: string;
  readonly uid: number;
}

/** The configuration as it is before anything is set up. */
export interface Existing {
  /** undefined: there is no file yet. */
  readonly text: string | undefined;
  readonly config: Config | undefined;
  readonly mode: number;
}

/** The file as it is going to be, and checked as the daemon will check it. */
export interface ConfigChange {
  readonly text: string;
  readonly loaded: LoadedConfig;
}

const NO_ENVIRONMENT = {};

/** @throws BrokerError ERR_CONFIG if there is a file, but none that works: what is wrong has to be fixed first. */
export async function readExisting({ file, homeDir, uid }: ConfigPlace): Promise<Existing> {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined)
    return { text: undefined, config: undefined, mode: 0o600 };
  // What the environment adds is the daemon's matter: it is not there when this file is read.
  const result = await loadConfig({ file, types: providerDefinitions, env: NO_ENVIRONMENT, homeDir, uid });
  if (result.faults !== undefined) throw configError(result.faults);
  return {
    text: readTextQuietly(file, LARGEST_CONFIG_BYTES),
    config: result.config,
    mode: statSync(file).mode & 0o700,
  };
}

/**
 * Adds the plan to what there is. A provider of this name and with these very keys is used as it is; nothing that
 * exists is ever changed.
 *
 * @throws BrokerError ERR_USAGE if a name is taken; ERR_CONFIG if the answers make no valid configuration.
 */
export async function changeConfig(existing: Existing, plan: Plan, place: ConfigPlace): Promise<ConfigChange> {
  const { config } = existing;
  if (existing.text === undefined || config === undefined) return checked(newConfig(plan), place);
  if (config.credentials.has(plan.credential)) throw taken('credential', plan.credential, place.file, '--credential');
  const alone = await checked(newConfig(plan), place);
  const known = config.providers.get(plan.providerName);
  const same = known !== undefined && isSame(known, alone.loaded.config.providers.get(plan.providerName));
  if (known !== undefined && !same) throw taken('provider', plan.providerName, place.file, '--provider-name');
  const has = { provider: same, default: config.defaultCredential !== undefined };
  return checked(extendedConfig(existing.text, plan, has), place);
}

/**
 * `allow = ["claude-code"]` below the header of the credential's table; undefined: it has it.
 *
 * @param name undefined: the configured default.
 * @throws BrokerError ERR_USAGE if there is no such credential, or its table is written in a way that is not edited here.
 */
export async function guardCredential(
  existing: Existing,
  name: string | undefined,
  place: ConfigPlace,
): Promise<{ readonly name: string; readonly change: ConfigChange | undefined }> {
  const { config, text = '' } = existing;
  const wanted = name ?? config?.defaultCredential;
  const credential = wanted === undefined ? undefined : config?.credentials.get(wanted);
  if (wanted === undefined || credential === undefined) {
    throw new BrokerError('ERR_USAGE', `there is no credential ${wanted ?? 'by default'} in ${place.file} to guard`, {
      remedy: `name one with --credential: ${[...(config?.credentials.keys() ?? [])].join(', ') || '(none yet: broker setup)'}`,
    });
  }
  if (credential.allow?.includes('claude-code')) return { name: wanted, change: undefined };
  const lines = text.split('\n');
  const at = (await TomlPositions.of(text)).lineOf(['credentials', wanted]) ?? 0;
  if (credential.allow !== undefined || !/^\s*\[[^[\]]+\]\s*(?:#.*)?$/.test(lines[at - 1] ?? '')) {
    throw new BrokerError('ERR_USAGE', `[credentials.${writtenKey(wanted)}] in ${place.file} cannot be edited here`, {
      remedy: 'write into it by hand: allow = ["claude-code"]',
    });
  }
  const eol = lines[at - 1]?.endsWith('\r') ? '\r' : '';
  const changed = [...lines.slice(0, at), `allow = ["claude-code"]${eol}`, ...lines.slice(at)].join('\n');
  return { name: wanted, change: await checked(changed, place) };
}

/** A name for the provider that is free, or that names the very same provider. */
export async function providerNameFor(
  existing: Existing,
  plan: Omit<Plan, 'providerName'>,
  wanted: string,
  place: ConfigPlace,
): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    const known = existing.config?.providers.get(name);
    if (known === undefined) return name;
    const alone = await checked(newConfig({ ...plan, providerName: name }), place);
    if (isSame(known, alone.loaded.config.providers.get(name))) return name;
  }
}

/** Puts the change into its place, 0600, or leaves everything as it is. */
export function writeConfig({ text }: ConfigChange, existing: Existing, { file }: ConfigPlace): { undo(): void } {
  // Dotfile managers install configurations as links: what they lead to is changed.
  const target = existing.text === undefined ? file : realpathSync(file);
  const present = existing.text === undefined ? undefined : readTextQuietly(target, LARGEST_CONFIG_BYTES);
  if (present !== existing.text || (existing.text === undefined && lstatSync(file, { throwIfNoEntry: false }))) {
    throw new BrokerError('ERR_CONFIG', `${file} was changed meanwhile`, { remedy: 'run the command again' });
  }
  const made = mkdirSync(path.dirname(target), { recursive: true, mode: 0o700 });
  writePlanned({ path: target, content: text, mode: existing.mode | 0o600 });
  return {
    undo: () => {
      if (existing.text !== undefined) writePlanned({ path: target, content: existing.text, mode: existing.mode });
      else rmSync(target, { force: true });
      if (made !== undefined) removeIfEmpty(path.dirname(target), made);
    },
  };
}

/** From `folder` up to `first`, the outermost one that was made; what somebody else has put there stays. */
function removeIfEmpty(folder: string, first: string): void {
  for (let each = folder; each.startsWith(first); each = path.dirname(each)) {
    try {
      rmdirSync(each);
    } catch {
      return;
    }
  }
}

async function checked(text: string, { file, homeDir }: ConfigPlace): Promise<ConfigChange> {
  const result = await checkConfig(Buffer.from(text), {
    file,
    types: providerDefinitions,
    env: NO_ENVIRONMENT,
    homeDir,
  });
  if (result.faults !== undefined) throw configError(result.faults.map((fault) => ({ ...fault, line: undefined })));
  return { text, loaded: result };
}

function isSame(one: object, other: object | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function taken(what: string, name: string, file: string, flag: string): BrokerError {
  return new BrokerError(
    'ERR_USAGE',
    `there is a ${what} "${name}" in ${file} already, and setup changes nothing that exists`,
    {
      remedy: `choose another name with ${flag}, or edit the file`,
    },
  );
}

/** A new configuration file, with comments for the person who opens it next. */
function newConfig(plan: Plan): string {
  return `# Configuration of broker, begun by \`broker setup\`. Change it as you like: the daemon notices changes.
# Every key is explained by: broker help configuration; check the file with: broker config validate

default = ${tomlValue(plan.credential)}   # served when no name is given

${providerTables(plan)}
${credentialTable(plan)}`;
}

/** What is added to a file that is there already; it ends as it was, and nothing in it is changed. */
function extendedConfig(
  before: string,
  plan: Plan,
  has: { readonly provider: boolean; readonly default: boolean },
): string {
  const added = has.provider ? [credentialTable(plan)] : [providerTables(plan), credentialTable(plan)];
  const gap = before.endsWith('\n') ? '\n' : '\n\n';
  // Above the first table is the only place for it.
  const head = has.default ? '' : `default = ${tomlValue(plan.credential)}   # served when no name is given\n`;
  const [mark, rest] = before.startsWith('\uFEFF') ? ['\uFEFF', before.slice(1)] : ['', before];
  return `${mark}${head}${rest}${gap}${added.join('\n')}`;
}

const WHAT: Readonly<Record<ProviderKind, string>> = {
  vault: 'HashiCorp Vault or OpenBao (broker help vault).',
  'aws-secrets-manager': 'AWS Secrets Manager (broker help aws-secrets-manager).',
  'aws-ssm': 'AWS Systems Manager Parameter Store (broker help aws-ssm).',
};

function providerTables({ kind, providerName, options, auth }: Plan): string {
  const lines = [`# ${WHAT[kind]}`, header(['providers', providerName]), pair('type', kind), ...pairs(options)];
  if (auth['method'] !== undefined) {
    lines.push('', header(['providers', providerName, 'auth']), ...pairs(auth));
    if (isForAPerson(auth)) lines.push(`# When the session is over: broker login ${providerName}`);
  }
  return `${lines.join('\n')}\n`;
}

function credentialTable({ providerName, source, field, credential }: Plan): string {
  const lines = [
    '# A key that may be asked for: `broker-key NAME`, and what Claude Code gets.',
    header(['credentials', credential]),
    pair('provider', providerName),
    ...pairs(source),
    ...(field === undefined ? [] : [pair('field', field)]),
    '# ttl = "15m"         # how long a key that does not say when it dies is trusted before the provider is asked again',
    '# max_stale = "24h"   # how long it is served on while the provider cannot be reached',
  ];
  return `${lines.join('\n')}\n`;
}

function isForAPerson(auth: Plan['auth']): boolean {
  const byPassword = auth['method'] === 'userpass' || auth['method'] === 'ldap';
  return auth['method'] === 'oidc' || (byPassword && auth['password_file'] === undefined);
}

function header(path: KeyPath): string {
  return `[${path.map((part) => writtenKey(String(part))).join('.')}]`;
}

function pairs(table: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(table).map(([key, value]) => pair(key, value));
}

function pair(key: string, value: string | number): string {
  return `${writtenKey(key)} = ${tomlValue(value)}`;
}
