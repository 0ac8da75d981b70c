import path from 'node:path';
import { readTextQuietly, realPathQuietly, statQuietly } from '../../platform/files.ts';

/** A `.git` file and what it leads to hold one path each. */
const MAX_BYTES = 4096;

/**
 * The other folder whose `.claude/settings.local.json` counts in this one (seen with 2.1.332): the root of its repository, in a
 * linked worktree that of the main one. The worktrees of a bare repository have none, and neither has a repository whose root is
 * the home folder.
 */
export function localSettingsRoot(folder: string, homeDir: string): string | undefined {
  let root = realPathQuietly(folder) ?? folder;
  while (statQuietly(path.join(root, '.git')) === undefined) {
    if (root === path.dirname(root)) return undefined;
    root = path.dirname(root);
  }
  const common = commonFolder(root);
  if (common !== undefined && path.basename(common) !== '.git') return undefined;
  const main = common === undefined ? root : path.dirname(common);
  // In the root itself it is the folder's own.
  const others = [folder, homeDir].map((each) => realPathQuietly(each) ?? each);
  return others.includes(main) ? undefined : main;
}

/** What a linked worktree shares with the others; undefined for what is none, or where the way back does not lead here. */
function commonFolder(root: string): string | undefined {
  const [, own] = /^gitdir: (.+)/.exec(textOf(root, '.git') ?? '') ?? [];
  if (own === undefined) return undefined;
  const folder = path.resolve(root, own);
  const [common, back] = [textOf(folder, 'commondir'), textOf(folder, 'gitdir')];
  if (common === undefined || back === undefined) return undefined;
  return realPathQuietly(path.resolve(folder, back)) === path.join(root, '.git')
    ? realPathQuietly(path.resolve(folder, common))
    : undefined;
}

function textOf(folder: string, name: string): string | undefined {
  return readTextQuietly(path.join(folder, name), MAX_BYTES)?.trim();
}
