import { accessSync, constants, lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { realPathQuietly, statQuietly } from '../../platform/files.ts';
import { readSettingsFile, type SettingsFile } from '../settings/files.ts';
import { clientFolder, clientStateFile, type SettingsRoots } from '../settings/locations.ts';
import type { MacTools } from '../settings/mac-tools.ts';

/** A file that is reached through a link. */
export interface LinkedFile {
  readonly file: string;
  /** What is at the end of the link, or what a dangling one names. */
  readonly target: string;
  /** dangling: nothing is there · read-only: what makes the file has to be changed, not the file. */
  readonly kind: 'dangling' | 'read-only' | 'plain';
}

/** Of these files those that are links, or lie in a folder that is one. */
export function linksAmong(files: readonly string[]): LinkedFile[] {
  return [...new Set(files)].flatMap((file): LinkedFile[] => {
    const target = realPathQuietly(file) ?? danglingTarget(file);
    if (target === undefined || target === file) return [];
    if (statQuietly(file) === undefined) return [{ file, target, kind: 'dangling' }];
    return [{ file, target, kind: isReadOnly(target) ? 'read-only' : 'plain' }];
  });
}

function danglingTarget(file: string): string | undefined {
  try {
    return lstatSync(file).isSymbolicLink() ? path.resolve(path.dirname(file), readlinkSync(file)) : undefined;
  } catch {
    return undefined;
  }
}

/** In the store of Nix or Guix, or where not even its owner may write. */
function isReadOnly(file: string): boolean {
  if (/^\/(nix|gnu)\/store\//.test(file)) return true;
  const stat = statQuietly(file);
  if (stat !== undefined && (stat.mode & 0o222) === 0) return true;
  try {
    accessSync(file, constants.W_OK);
    return false;
  } catch {
    return true;
  }
}

/** A file with an apiKeyHelper that the client never reads, and the file that it does read. */
export interface MisplacedHelper {
  readonly file: string;
  readonly rightFile: string;
  readonly line: number;
}

/** Where people put the helper by mistake. */
export function misplacedHelpers(
  roots: SettingsRoots,
  settings: readonly SettingsFile[],
  tools: MacTools,
): MisplacedHelper[] {
  const folder = clientFolder(roots);
  const project = path.join(roots.projectDir, '.claude');
  const user = path.join(folder, 'settings.json');
  const candidates: [file: string, rightFile: string][] = [
    ...[folder, project].flatMap((place) =>
      ['settings.jsonc', 'settings.json5', 'setting.json', 'config.json'].map((name): [string, string] => [
        path.join(place, name),
        path.join(place, 'settings.json'),
      ]),
    ),
    [clientStateFile(roots), user],
    [path.join(roots.homeDir, '.config', 'claude', 'settings.json'), user],
    [path.join(roots.homeDir, '.config', 'claude-code', 'settings.json'), user],
    [path.join(folder, 'settings.local.json'), user],
    [path.join(roots.projectDir, 'settings.json'), path.join(project, 'settings.json')],
    [path.join(roots.projectDir, '.mcp.json'), path.join(project, 'settings.json')],
  ];
  const read = new Set(settings.map(({ file }) => file));
  return candidates.flatMap(([file, rightFile]) => {
    if (read.has(file)) return [];
    const { helper } = readSettingsFile({ scope: 'user', file }, tools);
    return helper === undefined ? [] : [{ file, rightFile, line: helper.line }];
  });
}
