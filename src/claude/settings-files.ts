import type { Node } from 'jsonc-parser';
import type { MacTools } from './mac-tools.ts';
import { lineAndColumn, type Position } from './positions.ts';
import { type QuietFile, readQuietly } from './read-quietly.ts';
import { firstLaxity, MAX_SETTINGS_BYTES, parseSettings, SettingsSyntaxError } from './settings.ts';
import type { ManagedSource, SettingsLocation, SettingsScope } from './settings-locations.ts';
import { countOf, nodeAt, propertyAt, valueAt } from './settings-tree.ts';

export interface LocatedText {
  /** May be secret. */
  readonly value: string;
  readonly line: number;
}

/** One settings file as the client would take it. */
export interface SettingsFile {
  readonly scope: SettingsScope;
  readonly file: string;
  readonly source?: ManagedSource;
  /**
   * refused: readable JSON that the client ignores as a whole, `problem` says why · outranked: a stronger source of
   * managed settings is there · the rest as in QuietFile.
   */
  readonly state: 'in-effect' | 'refused' | 'outranked' | 'broken' | Exclude<QuietFile['state'], 'read'>;
  /** In a file that is in effect: one entry of it is not. */
  readonly problem: { readonly what: string; readonly position: Position } | undefined;
  readonly code: string | undefined;
  readonly mode: number;
  readonly uid: number;
  /** undefined: not set here. Set but empty counts: it hides the helper of every weaker file. */
  readonly helper: LocatedText | undefined;
  readonly proxyHelper: LocatedText | undefined;
  readonly env: ReadonlyMap<string, LocatedText>;
  /** Names that stand twice in their object; the last one counts. */
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

export function readSettingsFile(location: SettingsLocation, tools: Pick<MacTools, 'plistAsJson'>): SettingsFile {
  const { bytes: read, state, ...found } = readQuietly(location.file, MAX_SETTINGS_BYTES);
  const base = { ...location, code: found.code, mode: found.mode, uid: found.uid, ...NOTHING };
  if (state !== 'read') return { ...base, state, problem: undefined };
  const bytes = location.file.endsWith('.plist') ? tools.plistAsJson(read) : read;
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
      laxity === undefined ? wrongType : { what: 'a comment or a trailing comma, which is no JSON', position: laxity };
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
    const what = error.message.slice(0, error.message.indexOf(`: ${location.file}`));
    return { ...base, state: 'broken', problem: { what, position: error.position } };
  }
}

function located(text: string, root: Node | undefined, path: readonly string[]): LocatedText | undefined {
  const node = nodeAt(root, path);
  if (node?.type !== 'string') return undefined;
  return { value: String(node.value), line: lineAndColumn(text, node.offset).line };
}

/** The client refuses the whole file if apiKeyHelper is no text. */
function typeFault(text: string, root: Node | undefined) {
  const node = nodeAt(root, ['apiKeyHelper']);
  if (node === undefined || node.type === 'string') return undefined;
  return { what: 'apiKeyHelper is no text', position: lineAndColumn(text, node.offset) };
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
