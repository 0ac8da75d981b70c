import path from 'node:path';
import type { Profile } from '../shell/profile-library.ts';
import { RELEVANT_VARIABLES } from '../shell/variables.ts';
import type { Identity, KeptLogin } from './client-state.ts';
import { isOfProject, readSettingsFile, type SettingsFile } from './files.ts';
import { clientFolder, type SettingsRoots } from './locations.ts';
import type { MacTools } from './mac-tools.ts';

/** Where something is set; of an environment variable the line of a profile that most likely set it. */
export type SettingOrigin =
  | { readonly kind: 'settings'; readonly file: string; readonly line: number }
  | { readonly kind: 'environment'; readonly file: string | undefined; readonly line: number | undefined }
  | { readonly kind: 'login'; readonly file: string; readonly line: undefined };

/** Everything the chain depends on; all of it handed in. */
export interface ChainInput {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly profiles: readonly Profile[];
  /** The strongest first. */
  readonly settings: readonly SettingsFile[];
  readonly login: KeptLogin;
  /** The client's own memory, if it is not JSON. */
  readonly brokenState: string | undefined;
  /** What a token is exchanged or read for without /login: workload identity, or a profile of the ant CLI. */
  readonly identity: Identity | undefined;
  /** Of the client that is installed, if it could be asked. */
  readonly clientVersion: string | undefined;
  /** The client's memory of keys that were accepted or declined at its prompt: their last 20 characters. */
  readonly answers: { readonly approved: readonly string[]; readonly rejected: readonly string[] };
  /** The project's folder was trusted in the terminal UI; undefined if the client has not said. */
  readonly trusted: boolean | undefined;
}

export interface EffectiveVariable {
  readonly name: string;
  /** May be secret. */
  readonly value: string;
  readonly origin: SettingOrigin;
}

/** These name how the client was started: settings cannot say it afterwards. */
const OF_ENVIRONMENT =
  /^CLAUDE_CODE_(PROVIDER_MANAGED_BY_HOST|REMOTE|ENTRYPOINT|(API_KEY|OAUTH_TOKEN)_FILE_DESCRIPTOR)$/;
/** These are looked at before the settings of a project are. */
const BEFORE_PROJECT =
  /^(CLAUDE_CODE_(SIMPLE|OAUTH_TOKEN)|CLAUDE_CONFIG_DIR|ANTHROPIC_(PROFILE|CONFIG_DIR|(FEDERATION_RULE|ORGANIZATION|SERVICE_ACCOUNT)_ID|IDENTITY_TOKEN(_FILE)?))$/;

/** A variable as the client sees it: the strongest settings file that sets it, else the environment. Blank is unset. */
export function effectiveVariable(input: ChainInput, name: string): EffectiveVariable | undefined {
  const set = settingOf(input, name);
  if (set !== undefined) {
    const { value, file, line } = set;
    return value.trim() === '' ? undefined : { name, value, origin: { kind: 'settings', file, line } };
  }
  const value = input.environment[name];
  if (value === undefined || value.trim() === '') return undefined;
  // A descriptor is a number, or none.
  if (name.endsWith('_DESCRIPTOR') && !/^\s*\d/.test(value)) return undefined;
  return { name, value, origin: { kind: 'environment', ...profileLine(input, name, value) } };
}

/** The strongest settings file that says anything of a variable, if only that it is empty. */
export function settingOf(input: ChainInput, name: string) {
  if (OF_ENVIRONMENT.test(name)) return undefined;
  for (const { file, scope, env } of inEffect(input)) {
    if (isOfProject(scope) && BEFORE_PROJECT.test(name)) continue;
    const set = env.get(name);
    if (set !== undefined) return { ...set, file };
  }
  return undefined;
}

/** `~/.zshrc:12`, or words for what is in no file. */
export function originText(origin: SettingOrigin | undefined): string {
  return originFile(origin) ?? (origin?.kind === 'environment' ? 'the environment' : 'an unknown place');
}

/** `file` or `file:line`; undefined for what is in no file. */
export function originFile(origin: SettingOrigin | undefined): string | undefined {
  return origin?.line === undefined ? origin?.file : `${origin.file}:${origin.line}`;
}

export interface FoundHelper {
  readonly settings: SettingsFile;
  readonly command: string;
  readonly line: number;
}

/** The strongest file that sets the helper decides, also if it sets it to nothing; with a scope only files of that scope. */
export function effectiveHelper(input: ChainInput, scope?: SettingsFile['scope']): FoundHelper | undefined {
  const files = inEffect(input).filter((file) => scope === undefined || file.scope === scope);
  const settings = files.find(({ helper }) => helper !== undefined);
  // White space alone is run, and fails.
  if (settings?.helper === undefined || settings.helper.value === '') return undefined;
  return { settings, command: settings.helper.value, line: settings.helper.line };
}

/** Whether the client's prompt for this very key was answered before. */
export function keyAnswer(input: ChainInput, key: string): 'accepted' | 'declined' | 'not asked' {
  const tail = key.trim().slice(-20);
  if (input.answers.approved.includes(tail)) return 'accepted';
  return input.answers.rejected.includes(tail) ? 'declined' : 'not asked';
}

/** The value of a header in ANTHROPIC_CUSTOM_HEADERS; undefined: it is not set there. */
export function customHeader(input: ChainInput, name: string): string | undefined {
  return customHeaders(input).findLast((header) => header.name.toLowerCase() === name)?.value;
}

/** `Name: value` lines; what has no colon is passed over. */
export function customHeaders(input: ChainInput): { readonly name: string; readonly value: string }[] {
  const lines = effectiveVariable(input, 'ANTHROPIC_CUSTOM_HEADERS')?.value.split('\n') ?? [];
  return lines.flatMap((line) => {
    const colon = line.indexOf(':');
    return colon === -1 ? [] : [{ name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() }];
  });
}

function inEffect(input: ChainInput): SettingsFile[] {
  return input.settings.filter(({ state }) => state === 'in-effect');
}

/**
 * The profile line that most likely set a variable: the last with this value that new shells export, else the last whose value
 * is computed, else one with this value in a function or the like that somebody called.
 */
function profileLine(input: ChainInput, name: string, value: string) {
  const all = input.profiles.flatMap(({ assignments }) => assignments.filter((each) => each.name === name));
  const exported = all.filter((each) => each.exported !== 'no');
  const origin =
    exported.findLast((each) => each.value === value) ??
    exported.findLast((each) => each.value === undefined) ??
    all.findLast((each) => each.value === value);
  return { file: origin?.file, line: origin?.line };
}

/** Settings that an organization serves: the client keeps a signed copy, which only it can judge. */
export interface ServedSettings {
  readonly file: string;
  /** What in it would change who logs in: `apiKeyHelper`, `env.NAME`. */
  readonly sets: readonly string[];
}

export function readServedSettings(
  roots: Pick<SettingsRoots, 'homeDir' | 'env' | 'projectDir'>,
  tools: MacTools,
): ServedSettings | undefined {
  const file = path.join(clientFolder(roots), 'remote-settings.json');
  const { state, isEmpty, helper, env } = readSettingsFile({ scope: 'managed', file }, tools);
  if (state !== 'in-effect' || isEmpty) return undefined;
  const variables = [...env.keys()].filter((name) => RELEVANT_VARIABLES.has(name)).map((name) => `env.${name}`);
  return { file, sets: [...(helper === undefined ? [] : ['apiKeyHelper']), ...variables] };
}
