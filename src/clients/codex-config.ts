import path from 'node:path';
import { TomlDocument } from '../config/toml-document.ts';
import { isTable } from '../config/walk.ts';
import { BrokerError } from '../errors.ts';
import { readRegularFile } from '../platform/files.ts';

/**
 * Codex's configuration, as far as a key is concerned. Its source is openai/codex: codex-rs/model-provider-info/src/lib.rs
 * (ModelProviderInfo), codex-rs/protocol/src/config_types.rs (ModelProviderAuthInfo) and
 * codex-rs/login/src/auth/external_bearer.rs (how the command is run); docs/clients.md says more.
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
  /** Why it is broken. */
  readonly problem: string | undefined;
}

/** What a file says; one that cannot be read is a fact. */
export function readCodexConfig(file: string): CodexConfig {
  const nothing = { file, problem: undefined, selected: undefined, providers: [] };
  const found = readRegularFile(file, { maxBytes: MAX_BYTES });
  if (found.state === 'absent') return { ...nothing, state: 'missing' };
  if (found.state === 'refused') return { ...nothing, state: 'broken', problem: `${file} ${found.fault}` };
  try {
    return { ...nothing, state: 'read', ...settingsOf(parseCodexConfig(found.bytes, file)) };
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { ...nothing, state: 'broken', problem: error.message };
  }
}

export function settingsOf(document: TomlDocument): CodexSettings {
  return { selected: textOf(document.valueAt(['model_provider'])), providers: providersOf(document) };
}

export function providersOf(document: TomlDocument): CodexProvider[] {
  const tables = document.valueAt(['model_providers']);
  return isTable(tables) ? Object.keys(tables).map((name) => providerOf(document, name)) : [];
}

export function providerOf(document: TomlDocument, name: string): CodexProvider {
  const at = (...path: string[]) => document.valueAt(['model_providers', name, ...path]);
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
