import { lstatSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { BrokerError, shellWord } from '../errors.ts';
import { type FileFault, readRegularFile } from '../platform/files.ts';
import { type Flaw, flawOf } from '../platform/place-rules.ts';

/** A configuration is a few kilobytes; more is the wrong file. */
export const LARGEST_CONFIG_BYTES = 1024 * 1024;

interface SafeFile {
  readonly bytes: Buffer;
  /** Group or others may read it: harmless unless there is a secret in it. */
  readonly readableByOthers: boolean;
}

/**
 * Reads a file that decides what the daemon does, refusing one that another user could have written: group- or
 * world-writable, owned by neither the caller nor root, or in a folder where others can put another in its place.
 *
 * Symbolic links are followed, because dotfile managers install configurations as links; both the folder of the link
 * and the file and folder it leads to have to be safe.
 *
 * @throws BrokerError ERR_CONFIG with the command that fixes it.
 */
export function readSafeFile(file: string, uid: number): SafeFile {
  const reading = readRegularFile(file, { maxBytes: LARGEST_CONFIG_BYTES });
  if (reading.state === 'absent') throw absent(file);
  if (reading.state === 'refused') throw refused(file, reading);
  const { bytes, stats } = reading;
  const flaw = flawOfTrusted(file, stats, uid);
  if (flaw !== undefined) throw configError(flaw.reason, flaw.remedy);
  return { bytes, readableByOthers: (stats.mode & 0o044) !== 0 };
}

/**
 * Why a file must not decide what the daemon does, or with whom and as whom it speaks: it, or the folder at either end of a
 * symbolic link, is not the caller's or root's, or others can write it. Throws the system's error.
 *
 * @param stats of the file as it was opened.
 */
export function flawOfTrusted(file: string, stats: Stats, uid: number): Flaw | undefined {
  const real = realpathSync(file);
  const folders = [...new Set([path.dirname(file), path.dirname(real)])];
  return flawOfPlace({ file, real, stats }, uid) ?? firstFlaw(folders, uid);
}

/** The same of the file alone, wherever links lead to: folders above programs and certificates are often a group's. */
export function flawOfFileItself(file: string, uid: number): Flaw | undefined {
  return flawOfPlace({ file, real: realpathSync(file), stats: statSync(file) }, uid);
}

/** The first folder above a file, from either end of a link to the root, in which others can put another in its place. */
export function flawAbove(file: string, uid: number): Flaw | undefined {
  const real = realpathSync(file);
  return firstFlaw([...new Set([...foldersAbove(file), ...foldersAbove(real)])], uid);
}

function foldersAbove(file: string): string[] {
  const folder = path.dirname(file);
  return folder === file ? [] : [folder, ...foldersAbove(folder)];
}

function firstFlaw(folders: readonly string[], uid: number): Flaw | undefined {
  for (const folder of folders) {
    const flaw = flawOfPlace({ file: folder, real: realpathSync(folder), stats: statSync(folder) }, uid);
    if (flaw !== undefined) return flaw;
  }
  return undefined;
}

function flawOfPlace(place: Place, uid: number): Flaw | undefined {
  const isUnknown = hiddenOwners()?.nobody === place.stats.uid;
  return isUnknown ? flawOfUnknown(place) : flawOf(place.file, place.stats, 'trusted', uid);
}

interface Place {
  readonly file: string;
  /** Without links. */
  readonly real: string;
  readonly stats: Stats;
}

function flawOfUnknown({ file, real, stats }: Place): Flaw | undefined {
  const at = statSync(real);
  // The path is that of the file which was read, or another one has taken its place meanwhile.
  if (isPlaceOfRoot(real) && at.ino === stats.ino && at.dev === stats.dev)
    return flawOf(file, stats, 'trusted', stats.uid);
  return {
    reason: `the service's sandbox hides the owner of ${file}; it is not you`,
    remedy: 'move it below /etc, or make it your own, or run: broker service install --sandbox basic',
  };
}

function absent(file: string): BrokerError {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true
    ? configError('the symbolic link leads nowhere', `let ${shellWord(file)} point to the configuration, or remove it`)
    : noFile();
}

function noFile(): BrokerError {
  return configError(
    'there is no configuration file',
    'run broker setup, or write one: broker help configuration shows how',
  );
}

function refused(file: string, { why, code, fault }: FileFault): BrokerError {
  const quoted = shellWord(file);
  if (why === 'kind')
    return configError(
      `this ${fault}`,
      fault === 'is a folder'
        ? `name a file, such as ${shellWord(path.join(file, 'config.toml'))}`
        : `write the configuration into a file, and put that in the place of ${quoted}`,
    );
  if (why === 'size') return configError(`the file ${fault}`, `check that ${quoted} is the right file`);
  switch (code) {
    case 'ENOTDIR':
      return noFile();
    case 'EACCES':
    case 'EPERM':
      return configError('the file may not be read by this user', `run: chmod u+r ${quoted}`);
    case 'ELOOP':
      return configError('symbolic link loop', `remove the links: rm ${quoted}`);
    case 'ENAMETOOLONG':
      return configError('the path is too long', 'use a shorter path');
    default:
      return configError(`the file ${fault}`, 'check the disk and the path');
  }
}

function configError(message: string, remedy: string): BrokerError {
  return new BrokerError('ERR_CONFIG', message, { remedy });
}

/**
 * In a user namespace that has no root (a service with PrivateUsers=, some containers) the kernel shows the files of
 * root, as of every user outside, as owned by `nobody`. The owner cannot be told then; only that in some folders no user
 * but root puts anything on any system.
 */
interface HiddenOwners {
  /** The uid that stands for every user who has none in this namespace. */
  readonly nobody: number;
}

/** Folders that only root fills: hier(7), and the stores of Nix and Guix, whose files are made root's and read-only. */
const OF_ROOT = ['/etc/', '/usr/', '/nix/store/', '/gnu/store/'];

/** Undefined where root can be told from others. */
export function hiddenOwners(read: (file: string) => string = readText): HiddenOwners | undefined {
  try {
    const mapped = read('/proc/self/uid_map').trim().split('\n');
    if (mapped.some((line) => line.trim().startsWith('0 '))) return undefined;
    const nobody = Number(read('/proc/sys/kernel/overflowuid').trim());
    return Number.isSafeInteger(nobody) ? { nobody } : undefined;
  } catch {
    // No /proc, no such namespaces.
    return undefined;
  }
}

/** Whether only root can have made what is at this path, which is free of links. */
export function isPlaceOfRoot(realPath: string): boolean {
  return OF_ROOT.some((folder) => realPath.startsWith(folder) || `${realPath}/` === folder);
}

function readText(file: string): string {
  return readFileSync(file, 'utf8');
}
