import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { Node } from 'jsonc-parser';
import { type FileFault, readRegularFile } from '../../platform/files.ts';
import { managedFolder } from '../../platform/known-clients.ts';
import {
  countOf,
  firstLaxity,
  lineAndColumn,
  MAX_SETTINGS_BYTES,
  nodeAt,
  type Position,
  parseSettings,
  propertyAt,
  SettingsSyntaxError,
  valueAt,
} from './document.ts';
import { type MacTools, macTools } from './mac-tools.ts';

interface LocatedText {
  /** May be secret. */
  readonly value: string;
  readonly line: number;
}

/** One settings file as the client would take it. */
export interface SettingsFile extends SettingsLocation {
  /**
   * refused: readable JSON that the client ignores as a whole, `problem` says why · outranked: a stronger source of
   * managed settings is there · unreadable, no-file, too-large: `fault` says why.
   */
  readonly state: 'in-effect' | 'refused' | 'outranked' | 'broken' | 'missing' | 'unreadable' | 'no-file' | 'too-large';
  /** In a file that is in effect: one entry of it is not. */
  readonly problem: { readonly what: string; readonly position: Position } | undefined;
  readonly fault: FileFault | undefined;
  /** Of the file that was read. */
  readonly mode: number;
  readonly uid: number;
  /** undefined: not set here. Set but empty counts: it hides the helper of every weaker file. */
  readonly helper: LocatedText | undefined;
  readonly proxyHelper: LocatedText | undefined;
  readonly env: ReadonlyMap<string, LocatedText>;
  /** Names that are set twice in their object; the last one counts. */
  readonly duplicates: readonly string[];
  /** Bash and Read rules under permissions.deny. */
  readonly denied: readonly string[];
  /** Nothing is set in it. */
  readonly isEmpty: boolean;
  /** Managed settings may name a program that prints the real ones. */
  readonly policyHelper: boolean;
  /** Managed settings may ask that all sources of them be merged. */
  readonly mergesSources: boolean;
}

const NOTHING = {
  helper: undefined,
  proxyHelper: undefined,
  env: new Map<string, LocatedText>(),
  duplicates: [],
  denied: [],
  isEmpty: true,
  policyHelper: false,
  mergesSources: false,
};

const UNREAD = { kind: 'no-file', link: 'no-file', size: 'too-large', system: 'unreadable' } as const;

export function readSettingsFile(location: SettingsLocation, tools: Pick<MacTools, 'plistAsJson'>): SettingsFile {
  const found = readRegularFile(location.file, { maxBytes: MAX_SETTINGS_BYTES });
  const unread = { ...location, ...NOTHING, problem: undefined, fault: undefined, mode: 0, uid: -1 };
  if (found.state === 'absent' || (found.state === 'refused' && found.code === 'ENOTDIR')) {
    return { ...unread, state: 'missing' };
  }
  if (found.state === 'refused') return { ...unread, state: UNREAD[found.why], fault: found };
  const base = { ...unread, mode: found.stats.mode & 0o7777, uid: found.stats.uid };
  const bytes = location.file.endsWith('.plist') ? tools.plistAsJson(found.bytes) : found.bytes;
  if (bytes === undefined) {
    const problem = { what: 'not a property list that plutil can make JSON of', position: { line: 1, column: 1 } };
    return { ...base, state: 'broken', problem };
  }
  try {
    const document = parseSettings(bytes, location.file);
    const { root, text } = document;
    const laxity = firstLaxity(document);
    const wrongType = typeFault(text, root);
    // A managed file loses the entry only, any other file everything (seen with 2.1.330).
    const isRefused = laxity !== undefined || (wrongType !== undefined && location.scope !== 'managed');
    const problem =
      laxity === undefined
        ? wrongType
        : { what: 'a comment or a trailing comma, which JSON does not allow', position: laxity };
    return {
      ...base,
      state: isRefused ? 'refused' : 'in-effect',
      problem,
      helper: located(text, root, ['apiKeyHelper']),
      proxyHelper: located(text, root, ['proxyAuthHelper']),
      env: environmentOf(text, root),
      duplicates: duplicatesOf(root),
      denied: deniedOf(root),
      isEmpty: (root?.children ?? []).length === 0,
      policyHelper: ['policyHelper', 'policyHelpers'].some((name) => nodeAt(root, [name])?.type === 'object'),
      mergesSources: valueAt(root, ['managedSourcesBehavior']) === 'merge',
    };
  } catch (error) {
    if (!(error instanceof SettingsSyntaxError)) throw error;
    return { ...base, state: 'broken', problem: { what: error.what, position: error.position } };
  }
}

function located(text: string, root: Node | undefined, path: readonly string[]): LocatedText | undefined {
  const node = nodeAt(root, path);
  if (node?.type !== 'string') return undefined;
  return { value: String(node.value), line: lineAndColumn(text, node.offset).line };
}

/** The client refuses the whole file if apiKeyHelper is not a string. */
function typeFault(text: string, root: Node | undefined) {
  const node = nodeAt(root, ['apiKeyHelper']);
  if (node === undefined || node.type === 'string') return undefined;
  return { what: 'apiKeyHelper is not a string', position: lineAndColumn(text, node.offset) };
}

function environmentOf(text: string, root: Node | undefined): Map<string, LocatedText> {
  const env = new Map<string, LocatedText>();
  for (const property of nodeAt(root, ['env'])?.children ?? []) {
    const [name, value] = property.children ?? [];
    if (value === undefined || value.type === 'object' || value.type === 'array') continue;
    env.set(String(name?.value), { value: String(value.value), line: lineAndColumn(text, value.offset).line });
  }
  return env;
}

function duplicatesOf(root: Node | undefined): string[] {
  const names = ['apiKeyHelper', 'env', 'permissions'].filter((name) => countOf(root, name) > 1);
  const env = propertyAt(root, ['env'])?.children?.[1];
  const variables = new Set(env?.children?.map((property) => String(property.children?.[0]?.value)));
  return [...names, ...[...variables].filter((name) => countOf(env, name) > 1).map((name) => `env.${name}`)];
}

function deniedOf(root: Node | undefined): string[] {
  const denied = valueAt(root, ['permissions', 'deny']);
  return Array.isArray(denied) ? denied.filter((rule): rule is string => typeof rule === 'string') : [];
}

/** Who a settings file speaks for; `flag` is what `--settings` names. */
type SettingsScope = 'managed' | 'flag' | 'local' | 'project' | 'user';

interface SettingsLocation {
  readonly scope: SettingsScope;
  readonly file: string;
  /** Of managed settings: how they came here. Of two sources only the stronger one counts. */
  readonly source?: ManagedSource;
}

/** mdm-user, mdm-device: a profile of macOS · file: managed-settings.json and its drop-ins. The strongest first. */
type ManagedSource = 'mdm-user' | 'mdm-device' | 'file';

export interface SettingsRoots {
  readonly homeDir: string;
  /** The project's folder. */
  readonly projectDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** What `--settings` is going to name, if that is known. */
  readonly flagFile?: string | undefined;
  /** `/` outside tests. */
  readonly systemRoot: string;
}

/** Where the user's own settings, login and client state are: `$CLAUDE_CONFIG_DIR`, else `~/.claude`. */
export function clientFolder(roots: Pick<SettingsRoots, 'homeDir' | 'env' | 'projectDir'>): string {
  const moved = roots.env['CLAUDE_CONFIG_DIR'];
  if (moved === undefined || moved === '') return path.join(roots.homeDir || '/', '.claude');
  return path.resolve(roots.projectDir, moved);
}

/** `.claude.json`: what the client remembers. It is beside `~/.claude`, or inside `$CLAUDE_CONFIG_DIR`. */
export function clientStateFile(roots: Pick<SettingsRoots, 'homeDir' | 'env' | 'projectDir'>): string {
  const moved = roots.env['CLAUDE_CONFIG_DIR'];
  return path.join(moved === undefined || moved === '' ? roots.homeDir : clientFolder(roots), '.claude.json');
}

/** What an MDM profile with this domain leaves on the machine; the user's own ~/Library/Preferences is not policy. */
function profiles({ platform, systemRoot, env }: SettingsRoots): SettingsLocation[] {
  if (platform !== 'darwin') return [];
  const folder = path.join(systemRoot, 'Library/Managed Preferences');
  const name = 'com.anthropic.claudecode.plist';
  const user = env['USER'] ?? '';
  const own: SettingsLocation = { scope: 'managed', source: 'mdm-user', file: path.join(folder, user, name) };
  const device: SettingsLocation = { scope: 'managed', source: 'mdm-device', file: path.join(folder, name) };
  return /^[\w.-]+$/.test(user) ? [own, device] : [device];
}

/** Every settings file that counts, the strongest first, whether it is there or not. */
function settingsLocations(roots: SettingsRoots): SettingsLocation[] {
  const managed = managedFolder(roots.platform, roots.systemRoot);
  const project = path.join(roots.projectDir, '.claude');
  const flag = roots.flagFile;
  return [
    ...profiles(roots),
    // Drop-ins are merged over the base file in the order of their names, so that the last one is the strongest.
    ...dropIns(managed)
      .reverse()
      .map((file): SettingsLocation => ({ scope: 'managed', source: 'file', file })),
    { scope: 'managed', source: 'file', file: path.join(managed, 'managed-settings.json') },
    ...(flag === undefined ? [] : [{ scope: 'flag', file: path.resolve(roots.projectDir, flag) } as const]),
    { scope: 'local', file: path.join(project, 'settings.local.json') },
    { scope: 'project', file: path.join(project, 'settings.json') },
    { scope: 'user', file: path.join(clientFolder(roots), 'settings.json') },
    // In the home folder the user's file is also the project's: it is the user's own, and needs no trust.
  ].filter(({ file }, index, all) => all.findLastIndex((other) => other.file === file) === index) as SettingsLocation[];
}

function dropIns(managed: string): string[] {
  const folder = path.join(managed, 'managed-settings.d');
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
    return names.sort().map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

/** Every settings file as the client takes it, the strongest first. */
export function readAllSettings(roots: SettingsRoots, tools: MacTools = macTools(roots.env)): SettingsFile[] {
  return outrank(settingsLocations(roots).map((location) => readSettingsFile(location, tools)));
}

/** Managed settings come from one source, the strongest that is there, unless one of them asks for all to be merged. */
function outrank(files: SettingsFile[]): SettingsFile[] {
  const managed = files.filter(({ scope, state, isEmpty }) => scope === 'managed' && state === 'in-effect' && !isEmpty);
  if (managed.some(({ mergesSources }) => mergesSources)) return files;
  const [strongest] = managed;
  return files.map((file) =>
    managed.includes(file) && file.source !== strongest?.source ? { ...file, state: 'outranked' } : file,
  );
}
