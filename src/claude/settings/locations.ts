import path from 'node:path';
import { namesQuietly, statQuietly } from '../../platform/files.ts';
import { managedFolder } from '../../platform/known-clients.ts';
import { localSettingsRoot } from './git-root.ts';

/** Who a settings file speaks for; `flag` is what `--settings` names. */
type SettingsScope = 'managed' | 'flag' | 'local' | 'project' | 'user';

export interface SettingsLocation {
  readonly scope: SettingsScope;
  readonly file: string;
  /** Of managed settings: how they came here. Of two sources only the stronger one counts. */
  readonly source?: ManagedSource;
  /** Settings that were given as they are and are in no file. */
  readonly text?: string;
}

/** mdm-user, mdm-device: a profile of macOS · file: managed-settings.json and its drop-ins. The strongest first. */
type ManagedSource = 'mdm-user' | 'mdm-device' | 'file';

export interface SettingsRoots {
  readonly homeDir: string;
  /** The project's folder. */
  readonly projectDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** What `--settings` is going to be given: a file, or settings as JSON. */
  readonly flag?: string | undefined;
  /** `/` outside tests. */
  readonly systemRoot: string;
}

/** Where the user's own settings, login and client state are: `$CLAUDE_CONFIG_DIR`, else `~/.claude`. */
export function clientFolder(roots: Pick<SettingsRoots, 'homeDir' | 'env' | 'projectDir'>): string {
  const moved = roots.env['CLAUDE_CONFIG_DIR'];
  // Set to nothing it is the current folder.
  if (moved === undefined) return path.join(roots.homeDir || '/', '.claude');
  return path.resolve(roots.projectDir, moved);
}

/**
 * What the client remembers: `.claude.json` beside `~/.claude`, or inside `$CLAUDE_CONFIG_DIR`. A `.config.json` that an early
 * version left in the folder comes before it.
 */
export function clientStateFile(roots: Pick<SettingsRoots, 'homeDir' | 'env' | 'projectDir'>): string {
  const early = path.join(clientFolder(roots), '.config.json');
  if (statQuietly(early)?.isFile() === true) return early;
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
export function settingsLocations(roots: SettingsRoots): SettingsLocation[] {
  const managed = managedFolder(roots.platform, roots.systemRoot);
  const project = path.join(roots.projectDir, '.claude');
  return [
    ...profiles(roots),
    // Drop-ins are merged over the base file in the order of their names, so that the last one is the strongest.
    ...dropIns(managed)
      .reverse()
      .map((file): SettingsLocation => ({ scope: 'managed', source: 'file', file })),
    { scope: 'managed', source: 'file', file: path.join(managed, 'managed-settings.json') },
    ...givenSettings(roots),
    // Local settings of the repository come before those of the folder.
    ...[localSettingsRoot(roots.projectDir, roots.homeDir) ?? [], roots.projectDir]
      .flat()
      .map((folder): SettingsLocation => ({ scope: 'local', file: localSettings(folder) })),
    { scope: 'project', file: path.join(project, 'settings.json') },
    { scope: 'user', file: path.join(clientFolder(roots), 'settings.json') },
    // In the home folder the user's file is also the project's: it is the user's own, and needs no trust. What --settings names
    // is that first of all: --bare knows no other.
  ].filter(({ file, scope }, index, all) => {
    const isNamed = all.some((other) => other.scope === 'flag' && other.file === file);
    return isNamed ? scope === 'flag' : all.findLastIndex((other) => other.file === file) === index;
  }) as SettingsLocation[];
}

function localSettings(folder: string): string {
  return path.join(folder, '.claude', 'settings.local.json');
}

/** `--settings` as the client takes it: what stands in braces is JSON, nothing is nothing, everything else names a file. */
function givenSettings({ flag, projectDir }: SettingsRoots): SettingsLocation[] {
  if (flag === undefined || flag === '') return [];
  const text = flag.trim();
  if (text.startsWith('{') && text.endsWith('}')) return [{ scope: 'flag', file: '--settings', text }];
  return [{ scope: 'flag', file: path.resolve(projectDir, flag) }];
}

function dropIns(managed: string): string[] {
  const folder = path.join(managed, 'managed-settings.d');
  const names = namesQuietly(folder).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
  return names.map((name) => path.join(folder, name)).filter((file) => statQuietly(file)?.isDirectory() !== true);
}
