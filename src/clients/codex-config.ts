import path from 'node:path';
import { TomlDocument } from '../config/toml-document.ts';
import { isTable, type Table, valueAt } from '../config/walk.ts';
import { BrokerError } from '../errors.ts';
import { namesQuietly, readRegularFile } from '../platform/files.ts';

/**
 * Codex's configuration, as far as a key is concerned. Its source is openai/codex: codex-rs/model-provider-info/src/lib.rs
 * (ModelProviderInfo), codex-rs/protocol/src/config_types.rs (ModelProviderAuthInfo) and
 * codex-rs/login/src/auth/external_bearer.rs (how the command is run); docs/codex.md says more.
 */

/** Codex has these itself and takes no table of the same name. */
export const BUILT_IN: ReadonlySet<string> = new Set(['openai', 'amazon-bedrock', 'ollama', 'lmstudio', 'ollama-chat']);

/** Codex refuses its whole configuration if a provider with a command has one of these as well. */
const RIVALS = ['env_key', 'experimental_bearer_token', 'requires_openai_auth', 'aws'] as const;

/** Larger than any configuration that a person wrote. */
const MAX_BYTES = 4 * 1024 * 1024;

interface CodexHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
}

export function codexHome({ env, homeDir }: CodexHost): string {
  return env['CODEX_HOME'] || path.join(homeDir, '.codex');
}

export function codexConfigFile(host: CodexHost): string {
  return path.join(codexHome(host), 'config.toml');
}

/** @throws BrokerError ERR_CONFIG for what is not UTF-8, not TOML or too large. */
export function parseCodexConfig(bytes: Uint8Array, file: string): TomlDocument {
  if (bytes.byteLength > MAX_BYTES) throw unreadable(file, `is over ${MAX_BYTES} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw unreadable(file, 'is not UTF-8');
  }
  return TomlDocument.parse(text, file);
}

/** One `[model_providers.X]` with a command, or the one that is selected. */
export interface CodexProvider {
  readonly name: string;
  readonly isDefined: boolean;
  readonly baseUrl: string | undefined;
  readonly command: string | undefined;
  readonly args: readonly string[];
  readonly timeoutMs: number | undefined;
  readonly refreshMs: number | undefined;
  /** Of the keys that do not go with a command those that it has. */
  readonly rivals: readonly string[];
}

export interface CodexSettings {
  /** `model_provider`; undefined: `openai`. */
  readonly selected: string | undefined;
  readonly providers: readonly CodexProvider[];
}

export interface CodexConfig extends CodexSettings {
  readonly file: string;
  readonly state: 'read' | 'missing' | 'broken';
  /** All that it says. */
  readonly values: Table;
  /** Why it is broken. */
  readonly problem: string | undefined;
}

/** What a file says; one that cannot be read is a fact. */
export function readCodexConfig(file: string): CodexConfig {
  const nothing = { file, problem: undefined, values: {}, selected: undefined, providers: [] };
  const found = readRegularFile(file, { maxBytes: MAX_BYTES });
  if (found.state === 'absent') return { ...nothing, state: 'missing' };
  if (found.state === 'refused') return { ...nothing, state: 'broken', problem: `${file} ${found.fault}` };
  try {
    const document = parseCodexConfig(found.bytes, file);
    const { values } = document;
    const problem = selectorFault(document, file);
    return { file, values, ...settingsOf(values), problem, state: problem === undefined ? 'read' : 'broken' };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { ...nothing, state: 'broken', problem: error.message };
  }
}

/** https://developers.openai.com/codex/config-advanced#profiles: gone since 0.134.0; seen with 0.171.0, which does not start. */
function selectorFault(document: TomlDocument, file: string): string | undefined {
  const pair = document.pair(['profile']);
  if (pair === undefined) return undefined;
  return `${file}:${document.lineOf(pair.start)} selects a profile with \`profile\`, which Codex refuses: it takes --profile NAME and a file NAME.config.toml`;
}

/** The files that `codex --profile NAME` lays over the other one. */
export function codexProfiles(host: CodexHost): readonly { readonly profile: string; readonly file: string }[] {
  const folder = codexHome(host);
  return namesQuietly(folder).flatMap((name) => {
    const profile = /^([\w-]+)\.config\.toml$/.exec(name)?.[1];
    return profile === undefined ? [] : { profile, file: path.join(folder, name) };
  });
}

/** As Codex does it: of two layers the later one wins key by key, and a list is one value. */
export function laidOver(under: Table, over: Table): Table {
  const merged = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const known = merged[key];
    merged[key] = isTable(known) && isTable(value) ? laidOver(known, value) : value;
  }
  return merged;
}

export function settingsOf(values: Table): CodexSettings {
  return { selected: textOf(values['model_provider']), providers: providersOf(values) };
}

export function providersOf(values: Table): CodexProvider[] {
  const tables = values['model_providers'];
  return isTable(tables) ? Object.keys(tables).map((name) => providerOf(values, name)) : [];
}

export function providerOf(values: Table, name: string): CodexProvider {
  const at = (...path: string[]) => valueAt(values, ['model_providers', name, ...path]);
  const args = at('auth', 'args');
  return {
    name,
    isDefined: at() !== undefined,
    baseUrl: textOf(at('base_url')),
    command: textOf(at('auth', 'command')),
    args: Array.isArray(args) ? args.filter((word) => typeof word === 'string') : [],
    timeoutMs: numberOf(at('auth', 'timeout_ms')),
    refreshMs: numberOf(at('auth', 'refresh_interval_ms')),
    rivals: RIVALS.filter((key) => at(key) !== undefined && at(key) !== false),
  };
}

/** A command that is this project's helper: such lines may be replaced without asking. */
export function isOurs({ command }: Pick<CodexProvider, 'command'>): boolean {
  return command !== undefined && path.basename(command) === 'broker-key';
}

/** The credential that our command asks for; undefined: the default one. */
export function credentialOfArgs(args: readonly string[]): string | undefined {
  return args.find((word, index) => !word.startsWith('-') && args[index - 1] !== '--format');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function unreadable(file: string, what: string): BrokerError {
  return new BrokerError('ERR_CONFIG', `${file} ${what}`, { remedy: 'fix it by hand; it was left as it is' });
}
