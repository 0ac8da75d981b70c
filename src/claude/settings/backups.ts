import { createHash } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { BrokerError } from '../../errors.ts';
import { ensurePrivateFolder } from '../../platform/files.ts';

/** A copy of a file as it was before something of somebody else's was changed in it. May hold secrets: 0600. */
export interface Backup {
  /** `20261122T220500Z-1a2b3c4d`; what `broker claude backups --delete` takes. */
  readonly id: string;
  /** The file that it is a copy of. */
  readonly file: string;
  /** RFC 3339. */
  readonly at: string;
  readonly reason: string;
  /** Where the copy lies. */
  readonly copy: string;
  readonly bytes: number;
}

const SUFFIX = '.backup';

interface BackupInput {
  readonly stateDir: string;
  readonly uid: number;
  readonly file: string;
  readonly content: Uint8Array;
  readonly reason: string;
  readonly now: number;
}

/** Keeps a copy and says where it lies; the same content of the same file is kept once. */
export function keepBackup(input: BackupInput): Backup {
  const folder = backupFolder(input.stateDir);
  ensurePrivateFolder(input.stateDir, input.uid);
  ensurePrivateFolder(folder, input.uid);
  const at = new Date(input.now).toISOString();
  const digest = createHash('sha256').update(input.file).update('\0').update(input.content).digest('hex').slice(0, 8);
  const same = listBackups(input.stateDir).find((backup) => backup.file === input.file && backup.id.endsWith(digest));
  if (same !== undefined) return same;
  const id = `${at.replaceAll(/[-:]|\.\d+/g, '')}-${digest}`;
  const copy = path.join(folder, id + SUFFIX);
  writeFileSync(copy, input.content, { mode: 0o600 });
  const note = { file: input.file, at, reason: input.reason };
  writeFileSync(path.join(folder, `${id}.json`), `${JSON.stringify(note)}\n`, { mode: 0o600 });
  return { id, ...note, copy, bytes: input.content.byteLength };
}

/** Newest first. A note that cannot be read is left out: the copy beside it is still there. */
export function listBackups(stateDir: string): Backup[] {
  const folder = backupFolder(stateDir);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const backups: Backup[] = [];
  for (const name of names.filter((name) => name.endsWith(SUFFIX))) {
    const id = name.slice(0, -SUFFIX.length);
    const copy = path.join(folder, name);
    try {
      const note = JSON.parse(readFileSync(path.join(folder, `${id}.json`), 'utf8')) as Backup;
      backups.push({ id, file: note.file, at: note.at, reason: note.reason, copy, bytes: statSync(copy).size });
    } catch {}
  }
  return backups.sort((a, b) => b.at.localeCompare(a.at));
}

/**
 * @param id one backup's id, or `all`.
 * @throws BrokerError ERR_USAGE for an id that there is not.
 */
export function deleteBackups(stateDir: string, id: string): Backup[] {
  const chosen = listBackups(stateDir).filter((backup) => id === 'all' || backup.id === id);
  if (chosen.length === 0 && id !== 'all') {
    throw new BrokerError('ERR_USAGE', `there is no backup ${id}`, { remedy: 'list them: broker claude backups' });
  }
  for (const backup of chosen) {
    rmSync(backup.copy, { force: true });
    rmSync(path.join(backupFolder(stateDir), `${backup.id}.json`), { force: true });
  }
  return chosen;
}

function backupFolder(stateDir: string): string {
  return path.join(stateDir, 'backups');
}

/** Where a path leads when every symbolic link is followed, also if the last one leads to nothing yet. */
export function followLinks(file: string): string {
  let target = path.resolve(file);
  for (let hops = 0; hops < 40; hops += 1) {
    let isLink: boolean;
    try {
      isLink = lstatSync(target).isSymbolicLink();
    } catch {
      return target;
    }
    if (!isLink) return target;
    target = path.resolve(path.dirname(target), readlinkSync(target));
  }
  throw new BrokerError('ERR_IO', `the symbolic links of ${file} lead in a circle`, { remedy: `remove ${file}` });
}

/** The file's bytes; undefined if there is none. */
export function readIfThere(file: string): Buffer | undefined {
  try {
    if (!statSync(file).isFile()) {
      throw new BrokerError('ERR_IO', `${file} is no regular file`, { remedy: 'name a regular file' });
    }
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw asIo(error, `cannot read ${file}`);
  }
}

/**
 * Puts `content` in place of a file that holds `expected` (undefined: that is not there), keeping its mode and owner.
 * Readers see the old bytes or the new ones, never a part; the bytes are on the disk before the name changes.
 *
 * @returns false, and nothing changed, if the file no longer holds what was expected.
 * @throws BrokerError ERR_IO if it cannot be written.
 */
export function replaceFile(
  file: string,
  expected: Uint8Array | undefined,
  content: Uint8Array,
  newFileMode: number,
): boolean {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.broker-tmp`);
  try {
    rmSync(temporary, { force: true });
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      for (let at = 0; at < content.byteLength; ) at += writeSync(descriptor, content, at);
      takeOver(descriptor, expected === undefined ? undefined : file, newFileMode);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    if (!holds(file, expected)) return false;
    renameSync(temporary, file);
    syncFolder(path.dirname(file));
    return true;
  } catch (error) {
    throw asIo(error, `cannot write ${file}`);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** @returns the folders that had to be made, outermost first. */
export function makeFolders(folder: string, mode: number): string[] {
  const missing: string[] = [];
  for (let at = folder; !isThere(at); at = path.dirname(at)) missing.unshift(at);
  try {
    for (const each of missing) mkdirSync(each, { mode });
  } catch (error) {
    throw asIo(error, `cannot make the folder ${folder}`);
  }
  return missing;
}

/** Removes folders that are empty, innermost first; one that is not empty stays. */
export function removeEmptyFolders(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}

function takeOver(descriptor: number, original: string | undefined, newFileMode: number): void {
  if (original === undefined) {
    fchmodSync(descriptor, newFileMode);
    return;
  }
  const old = statSync(original);
  const own = fstatSync(descriptor);
  if (old.uid !== own.uid || old.gid !== own.gid) fchownSync(descriptor, old.uid, old.gid);
  // After the owner: chown clears set-id bits, and a mode must never be looser than its owner was meant to have.
  fchmodSync(descriptor, old.mode & 0o7777);
}

function holds(file: string, expected: Uint8Array | undefined): boolean {
  const now = readIfThere(file);
  return expected === undefined || now === undefined ? now === expected : now.equals(expected);
}

function isThere(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}

/** A rename survives a power failure only once its folder is on the disk; not every file system can. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } catch {
  } finally {
    closeSync(descriptor);
  }
}

function asIo(error: unknown, message: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const remedy =
    code === 'EPERM' || code === 'EACCES' ? 'run it as the owner of the file' : 'mend the file and try again';
  return new BrokerError('ERR_IO', code === undefined ? message : `${message} (${code})`, { remedy, cause: error });
}
