import { accessSync, constants, lstatSync, mkdirSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BrokerError, codeOf, shellWord } from '../errors.ts';

/**
 * Who may reach a file or folder, by its purpose. `private`: it holds the user's secrets, so it belongs to the user and is
 * closed to everybody else. `trusted`: it decides what the daemon does, so it belongs to the user or root, and nobody else
 * can write it.
 */
export type PlaceRule = 'private' | 'trusted';

/** Why a file or folder must not be used as it is, and the command that fixes it. */
export interface Flaw {
  readonly reason: string;
  readonly remedy: string;
}

/** @param stats of lstat(2), or of fstat(2) on the opened file. */
export function flawOf(file: string, stats: Stats, rule: PlaceRule, uid: number): Flaw | undefined {
  const quoted = shellWord(file);
  if (stats.isSymbolicLink()) {
    return {
      reason: `${file} is a symbolic link`,
      remedy: leadsToDevice(file)
        ? `remove it: rm ${quoted}`
        : `put the real thing in its place: target=$(readlink -f ${quoted}) && rm ${quoted} && mv "$target" ${quoted}`,
    };
  }
  // /tmp, /var/lib: what is the system's must not be made somebody's own.
  const isSystems = stats.isDirectory() && isOfTheSystem(file, stats);
  const elsewhere = `name a folder of your own instead, with mode 0700: mkdir -m 700 ${shellWord(join(file, 'NAME'))}`;
  if (stats.uid !== uid && !(rule === 'trusted' && stats.uid === 0)) {
    return {
      reason: `${file} belongs to uid ${stats.uid}, not to you (uid ${uid})`,
      remedy: isSystems ? elsewhere : `look at who made it so, then run: sudo chown ${uid} ${quoted}`,
    };
  }
  const mode = stats.mode & 0o7777;
  const written = mode.toString(8).padStart(4, '0');
  if (rule === 'private' && (mode & 0o077) !== 0) {
    return {
      reason: `${file} has mode ${written}: others can reach it`,
      remedy: isSystems
        ? elsewhere
        : `look at who made it so, then run: chmod ${stats.isDirectory() ? '700' : '600'} ${quoted}`,
    };
  }
  // In a sticky folder (/tmp) only the owner of a file can replace it.
  const isSticky = stats.isDirectory() && (mode & 0o1000) !== 0;
  if (rule === 'trusted' && (mode & 0o022) !== 0 && !isSticky) {
    return { reason: `others can write ${file} (mode ${written})`, remedy: `run: chmod go-w ${quoted}` };
  }
  return undefined;
}

/** Shared by everybody (sticky), or a folder of root's that has its place in every system: /run, /home, /var/lib. */
function isOfTheSystem(folder: string, { mode, uid }: Stats): boolean {
  return (mode & 0o1000) !== 0 || (uid === 0 && ['/', '/var', '/usr'].includes(dirname(folder)));
}

/** What is behind the link is not to be moved anywhere: a device, a socket, a named pipe. */
function leadsToDevice(link: string): boolean {
  try {
    const stats = statSync(link);
    return !stats.isFile() && !stats.isDirectory();
  } catch {
    return false;
  }
}

/**
 * Makes sure that `path` is a folder of this user that nobody else can reach, creating it (and missing parents) with mode
 * 0700. A folder that exists is checked, never changed: the user has to learn that somebody loosened or planted it.
 * Throws ERR_UNSAFE_FILE, or the system's error if the folder can be neither found nor made.
 */
export function ensurePrivateFolder(path: string, uid: number): void {
  make(path);
  checkPrivateFolder(path, lstatSync(path), uid);
}

/** Not mkdir's own `recursive`: it never returns where a parent exists and yet nothing can be made in it (/proc). */
function make(path: string, parentToo = true): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST') return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || !parentToo || parent === path) throw error;
    make(parent);
    make(path, false);
  }
}

/** Checks a folder that must exist. Throws ERR_UNSAFE_FILE with the command that fixes it. */
export function checkPrivateFolder(path: string, stats: Stats, uid: number): void {
  const flaw = folderFlaw(path, stats) ?? flawOf(path, stats, 'private', uid);
  if (flaw !== undefined) throw new BrokerError('ERR_UNSAFE_FILE', flaw.reason, { remedy: flaw.remedy });
}

/** A link to a folder is refused like a file; the broker never had anything in it, so the remedy may remove it. */
function folderFlaw(path: string, stats: Stats): Flaw | undefined {
  const quoted = shellWord(path);
  if (stats.isSymbolicLink()) {
    return { reason: `${path} is a symbolic link`, remedy: `look at who made it so, then run: rm ${quoted}` };
  }
  if (stats.isDirectory()) return undefined;
  return {
    reason: `${path} is not a folder`,
    remedy: `look at who made it so, then run: mv ${quoted} ${shellWord(`${path}.old`)}`,
  };
}

/** Whether `path` is a folder (not a link to one) that belongs to `uid`; others may be able to read it. */
export function isOwnFolder(path: string, uid: number): boolean {
  try {
    const stats = lstatSync(path);
    return stats.isDirectory() && stats.uid === uid;
  } catch {
    return false;
  }
}

/** Whether another user has made `path` (a file, a link, a folder), or a folder cannot be made there. */
export function isTaken(path: string, uid: number): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats !== undefined) return stats.uid !== uid;
  try {
    accessSync(dirname(path), constants.W_OK);
    return false;
  } catch {
    return true;
  }
}
