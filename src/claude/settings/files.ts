import { getNodeValue, type Node } from 'jsonc-parser';
import { type FileFault, readRegularFile } from '../../platform/files.ts';
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
import { type SettingsLocation, type SettingsRoots, settingsLocations } from './locations.ts';
import { type MacTools, macTools } from './mac-tools.ts';
import { type ManagedPolicies, policiesOf } from './policies.ts';
import { type SandboxSettings, sandboxOf } from './sandbox.ts';
import { typeFaults } from './types-taken.ts';

/** The client's settings beside `apiKeyHelper` that run a program. */
const SIBLINGS = ['otelHeadersHelper', 'awsCredentialExport', 'proxyAuthHelper'] as const;
export type SiblingSetting = (typeof SIBLINGS)[number];

interface LocatedText {
  /** May be secret. */
  readonly value: string;
  readonly line: number;
}

export interface SettingsProblem {
  readonly what: string;
  readonly position: Position;
}

/** One settings file as the client would take it. */
export interface SettingsFile extends SettingsLocation {
  /**
   * refused: readable JSON that the client ignores as a whole, `problem` says why · outranked: a stronger source of
   * managed settings is there · unreadable, no-file, too-large: `fault` says why.
   */
  readonly state: 'in-effect' | 'refused' | 'outranked' | 'broken' | 'missing' | 'unreadable' | 'no-file' | 'too-large';
  /** Why it is refused or broken; in a file that is in effect: entries that are left out. */
  readonly problems: readonly SettingsProblem[];
  readonly fault: FileFault | undefined;
  /** Of the file that was read. */
  readonly mode: number;
  readonly uid: number;
  /** undefined: not set here. Set but empty counts: it hides the helper of every weaker file. */
  readonly helper: LocatedText | undefined;
  readonly siblings: ReadonlyMap<SiblingSetting, LocatedText>;
  readonly env: ReadonlyMap<string, LocatedText>;
  /** Names that are set twice in their object; the last one counts. */
  readonly duplicates: readonly string[];
  /** Bash and Read rules under permissions.deny. */
  readonly denied: readonly string[];
  readonly sandbox: SandboxSettings;
  /** Nothing is set in it. */
  readonly isEmpty: boolean;
  /** Managed settings may name a program that prints the real ones. */
  readonly policyHelper: boolean;
  /** What is demanded before the client starts; it counts in managed settings alone. */
  readonly policies: ManagedPolicies;
  /** Managed settings may ask that all sources of them be merged. */
  readonly mergesSources: boolean;
}

const NOTHING = {
  helper: undefined,
  siblings: new Map<SiblingSetting, LocatedText>(),
  env: new Map<string, LocatedText>(),
  duplicates: [],
  denied: [],
  sandbox: sandboxOf(undefined),
  isEmpty: true,
  policyHelper: false,
  policies: policiesOf('', undefined),
  mergesSources: false,
};

const UNREAD = { kind: 'no-file', link: 'no-file', size: 'too-large', system: 'unreadable' } as const;

export function readSettingsFile(location: SettingsLocation, tools: Pick<MacTools, 'plistAsJson'>): SettingsFile {
  const unread = { ...location, ...NOTHING, problems: [], fault: undefined, mode: 0, uid: -1 };
  if (location.text !== undefined)
    return judged(Buffer.from(location.text), { ...unread, uid: process.getuid?.() ?? 0 });
  const found = readRegularFile(location.file, { maxBytes: MAX_SETTINGS_BYTES });
  if (found.state === 'absent' || (found.state === 'refused' && found.code === 'ENOTDIR')) {
    return { ...unread, state: 'missing' };
  }
  if (found.state === 'refused') return { ...unread, state: UNREAD[found.why], fault: found };
  const base = { ...unread, mode: found.stats.mode & 0o7777, uid: found.stats.uid };
  const bytes = location.file.endsWith('.plist') ? tools.plistAsJson(found.bytes) : found.bytes;
  if (bytes !== undefined) return judged(bytes, base);
  const what = 'not a property list that plutil can make JSON of';
  return { ...base, state: 'broken', problems: [{ what, position: { line: 1, column: 1 } }] };
}

function judged(bytes: Uint8Array, base: Omit<SettingsFile, 'state'>): SettingsFile {
  try {
    const document = parseSettings(bytes, base.file);
    const { root, text } = document;
    const laxity = firstLaxity(document);
    // What --settings is given as JSON ends the client.
    if (laxity !== undefined && base.text !== undefined) throw new SettingsSyntaxError(base.file, laxity, NOT_STRICT);
    const faults = typeFaults(text, root);
    // A managed file loses the entry only, any other file everything (seen with 2.1.330).
    const isRefused = laxity !== undefined || (faults.length > 0 && base.scope !== 'managed');
    return {
      ...base,
      state: isRefused ? 'refused' : 'in-effect',
      problems: laxity === undefined ? faults : [{ what: NOT_STRICT, position: laxity }],
      helper: located(text, root, ['apiKeyHelper']),
      siblings: siblingsOf(text, root),
      env: environmentOf(text, root),
      duplicates: duplicatesOf(root),
      denied: deniedOf(root),
      sandbox: sandboxOf(root),
      isEmpty: (root?.children ?? []).length === 0,
      policyHelper: ['policyHelper', 'policyHelpers'].some((name) => nodeAt(root, [name])?.type === 'object'),
      policies: policiesOf(text, root),
      mergesSources: valueAt(root, ['managedSourcesBehavior']) === 'merge',
    };
  } catch (error) {
    if (!(error instanceof SettingsSyntaxError)) throw error;
    return { ...base, state: 'broken', problems: [{ what: error.what, position: error.position }] };
  }
}

const NOT_STRICT = 'a comment or a trailing comma, which JSON does not allow';

function siblingsOf(text: string, root: Node | undefined): Map<SiblingSetting, LocatedText> {
  const found = SIBLINGS.map((name) => [name, located(text, root, [name])] as const);
  return new Map(found.flatMap(([name, set]) => (set === undefined ? [] : [[name, set]])));
}

export function located(text: string, root: Node | undefined, path: readonly string[]): LocatedText | undefined {
  const node = nodeAt(root, path);
  if (node?.type !== 'string') return undefined;
  return { value: String(node.value), line: lineAndColumn(text, node.offset).line };
}

/** Any value becomes text, as JavaScript would write it: a null is the word null. */
function environmentOf(text: string, root: Node | undefined): Map<string, LocatedText> {
  const env = new Map<string, LocatedText>();
  const object = nodeAt(root, ['env']);
  for (const property of object?.type === 'object' ? (object.children ?? []) : []) {
    const [name, value] = property.children ?? [];
    if (value === undefined) continue;
    const line = lineAndColumn(text, value.offset).line;
    env.set(String(name?.value), { value: asText(value), line });
  }
  return env;
}

function asText(node: Node): string {
  try {
    return String(getNodeValue(node));
  } catch {
    // An object as JSON has it is of no class, or has a toString of its own; or it is too deep.
    return '[object Object]';
  }
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

/** Every settings file as the client takes it, the strongest first. */
export function readAllSettings(roots: SettingsRoots, tools: MacTools = macTools(roots.env)): SettingsFile[] {
  return readSettings(roots, tools).files;
}

/** The same, and where the client looks for the rest once settings have set CLAUDE_CONFIG_DIR. */
export function readSettings<Roots extends SettingsRoots>(
  roots: Roots,
  tools: MacTools,
): { readonly files: SettingsFile[]; readonly roots: Roots } {
  const files = readOnce(roots, tools);
  // Those of a project are read too late for that.
  const folder = files
    .filter(({ scope, state }) => state === 'in-effect' && !isOfProject(scope))
    .find(({ env }) => env.has('CLAUDE_CONFIG_DIR'))
    ?.env.get('CLAUDE_CONFIG_DIR')?.value;
  if (folder === undefined) return { files, roots };
  const moved = { ...roots, env: { ...roots.env, CLAUDE_CONFIG_DIR: folder } };
  const found = readOnce(moved, tools);
  // Of the user's file where the client looked first, the variables stay.
  const left = files
    .filter(({ scope, file }) => scope === 'user' && found.every((other) => other.file !== file))
    .map((file) => ({ ...file, ...NOTHING, env: file.env }));
  return { files: [...found, ...left], roots: moved };
}

export function isOfProject(scope: SettingsFile['scope']): boolean {
  return scope === 'project' || scope === 'local';
}

function readOnce(roots: SettingsRoots, tools: MacTools): SettingsFile[] {
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
