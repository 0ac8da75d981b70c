import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { BrokerError, codeOf, shellWord } from '../errors.ts';
import { failpoint } from './failpoints.ts';
import { loadNative } from './native.ts';

export interface ReplaceOptions {
  /** Of the new file; `prepare` may set another. */
  readonly mode: number;
  /** Called before the bytes are synced, to set owner and mode of the replaced file, for example. */
  readonly prepare?: (descriptor: number) => void;
  /** Called when the bytes are on the disk and before the rename; false: nothing is changed. */
  readonly stillWanted?: () => boolean;
}

/**
 * Replaces a file by `content`, whole or not at all: a reader, also one after a crash, finds the old bytes or the new ones.
 * A symbolic link at `file` is replaced, not followed. Processes that replace one file at the same time need a lock of their
 * own. Throws the system's error.
 *
 * @returns false if `stillWanted` said so.
 */
export function replaceFile(file: string, content: string | Uint8Array, options: ReplaceOptions): boolean {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}${UNFINISHED}`);
  try {
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at);
      fchmodSync(fd, options.mode);
      options.prepare?.(fd);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (options.stillWanted?.() === false) return false;
    failpoint('file.written');
    renameSync(temporary, file);
    failpoint('file.renamed');
    syncFolder(dirname(file));
    return true;
  } finally {
    rmSync(temporary, { force: true });
  }
}

const UNFINISHED = '.broker-tmp';

/** What processes left that were killed while they replaced this file; for whoever has its lock. Never throws. */
export function removeUnfinished(file: string): void {
  const [folder, start] = [dirname(file), `.${basename(file)}.`];
  try {
    for (const name of readdirSync(folder)) {
      const pid =
        name.startsWith(start) && name.endsWith(UNFINISHED) ? name.slice(start.length, -UNFINISHED.length) : '';
      if (/^\d+$/.test(pid)) rmSync(join(folder, name));
    }
  } catch {
    // A folder that cannot be read or written: the next time.
  }
}

/** As replaceFile. @returns false if the file already had these bytes and this mode, and nothing was done. */
export function writeFileAtomically(file: string, content: string | Uint8Array, mode: number): boolean {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return !isJustSo(file, bytes, mode) && replaceFile(file, bytes, { mode });
}

function isJustSo(file: string, bytes: Uint8Array, mode: number): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || (stats.mode & 0o7777) !== mode || stats.size !== bytes.byteLength) return false;
  try {
    return readFileSync(file).equals(bytes);
  } catch {
    return false;
  }
}

/** A new name survives a power failure only once its folder is synced (fsync(2)); not every file system can do that. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } catch {
  } finally {
    closeSync(fd);
  }
}

/** What was wrong with a file, in words that follow its name: "is not a regular file", "cannot be read (EACCES)". */
export interface FileFault {
  readonly state: 'refused';
  readonly why: 'kind' | 'size' | 'link' | 'system';
  readonly fault: string;
  /** The system's code where it was the system that refused, else ''. */
  readonly code: string;
}

export type FileReading =
  | { readonly state: 'read'; readonly bytes: Buffer; readonly stats: Stats }
  | { readonly state: 'absent' }
  | FileFault;

export interface ReadOptions {
  /** A file with more bytes is refused. */
  readonly maxBytes: number;
  /** Default true; false: a symbolic link is refused. */
  readonly followLinks?: boolean;
}

/**
 * Reads a regular file of bounded size, without ever blocking: a named pipe, a device or a folder is refused without
 * waiting for it (open(2): O_NONBLOCK). `stats` are those of the opened file, so that nobody can exchange it between a check
 * of them and the reading. Never throws.
 */
export function readRegularFile(file: string, { maxBytes, followLinks = true }: ReadOptions): FileReading {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | (followLinks ? 0 : constants.O_NOFOLLOW));
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return { state: 'absent' };
    // open(2): O_NOFOLLOW on a link; a socket or a device without a driver.
    if (code === 'ELOOP' && !followLinks) return { state: 'refused', why: 'link', fault: 'is a symbolic link', code };
    if (code === 'ENXIO') return { state: 'refused', why: 'kind', fault: 'is not a regular file', code };
    return unreadable(code);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) {
      const fault = stats.isDirectory() ? 'is a folder' : 'is not a regular file';
      return { state: 'refused', why: 'kind', fault, code: '' };
    }
    if (stats.size > maxBytes) return tooLarge(maxBytes);
    const bytes = readUpTo(fd, maxBytes + 1);
    // It may have grown since.
    return bytes.length > maxBytes ? tooLarge(maxBytes) : { state: 'read', bytes, stats };
  } catch (error) {
    return unreadable(codeOf(error));
  } finally {
    closeSync(fd);
  }
}

/** The text of a small file; undefined for whatever cannot be read as one. */
export function readTextQuietly(file: string, maxBytes: number): string | undefined {
  const reading = readRegularFile(file, { maxBytes });
  return reading.state === 'read' ? reading.bytes.toString() : undefined;
}

function unreadable(code: string): FileFault {
  return { state: 'refused', why: 'system', fault: `cannot be read (${code})`, code };
}

function tooLarge(maxBytes: number): FileFault {
  const limit =
    maxBytes >= 1024 * 1024
      ? `${Math.floor(maxBytes / 1024 / 1024)} MiB`
      : maxBytes >= 1024
        ? `${Math.floor(maxBytes / 1024)} KiB`
        : `${maxBytes} bytes`;
  return { state: 'refused', why: 'size', fault: `is over ${limit}`, code: '' };
}

/** Reads on whatever the size says: files in /proc have size 0. */
function readUpTo(fd: number, limit: number): Buffer {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length < limit) {
    const chunk = Buffer.alloc(Math.min(limit - length, 65_536));
    const read = readSync(fd, chunk, 0, chunk.length, null);
    if (read === 0) break;
    chunks.push(chunk.subarray(0, read));
    length += read;
  }
  const only = chunks.length === 1 ? chunks[0] : undefined;
  if (only !== undefined) return only;
  const bytes = Buffer.concat(chunks);
  for (const chunk of chunks) chunk.fill(0);
  return bytes;
}

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

/** undefined for whatever cannot be looked at: missing, unreachable, a loop of links. */
export function statQuietly(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}

/** What is in a folder, sorted; nothing for whatever cannot be read. */
export function namesQuietly(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** A regular file that this user may run. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statQuietly(file)?.isFile() === true;
  } catch {
    return false;
  }
}

/** Every program of this name in the absolute folders of a PATH, the first one found first. */
export function programsOnPath(name: string, searched: string | undefined): string[] {
  const folders = (searched ?? '').split(':').filter((folder) => isAbsolute(folder));
  return folders.map((folder) => join(folder, name)).filter(isExecutable);
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

/**
 * Changes whenever a file or folder, behind links, or who may change it, may have changed; `-` where there is nothing. The
 * helper compares it with its own: native/start-daemon.c, `identity_of`.
 */
export function identityOf(path: string): string {
  try {
    // The time of the last change (ctime) is of content, owner and mode, and no program can set it.
    const { dev, ino, size, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, ctimeNs].join(':');
  } catch {
    return '-';
  }
}

/** The same as long as the very file, folder or link that lies at a path does, whatever is written to it. */
export function birthOf(path: string): string | undefined {
  try {
    const { dev, ino, birthtimeNs } = lstatSync(path, { bigint: true });
    // Inode numbers are given out again.
    return `${dev}:${ino}:${birthtimeNs}`;
  } catch {
    return undefined;
  }
}

/** Files of a folder that are included; the caches of command-line logins hold a handful. */
const MAX_ENTRIES = 64;

/** Changes whenever one of these files, or a file in one of these folders, does. Never throws; costs a stat each. */
export function fingerprintFiles(paths: readonly string[]): string {
  return paths.map(fingerprint).join('\n');
}

function fingerprint(path: string): string {
  try {
    const stats = statSync(path);
    const self = `${path} ${stats.dev}:${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
    if (!stats.isDirectory()) return self;
    const entries = readdirSync(path).sort().slice(0, MAX_ENTRIES);
    return [self, ...entries.map((entry) => fingerprintFile(join(path, entry)))].join('\n');
  } catch (error) {
    return `${path} ${codeOf(error)}`;
  }
}

function fingerprintFile(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${path} ${ino} ${size} ${mtimeMs}`;
  } catch {
    return path;
  }
}

/** `f_type` of statfs(2) on Linux: file systems whose locks and shared memory other machines do not see. */
const NETWORK_TYPES: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x5346414f, // AFS
  0x6b414653, // kAFS
  0x73757245, // Coda
  0x01021997, // 9p, as WSL mounts Windows folders
  0x00c36400, // Ceph
  0x0bd00bd0, // Lustre
  0x47504653, // GPFS
  0x19830326, // BeeGFS
]);

/** Whether an existing folder is on another machine; false where the system does not say. */
export function isOnNetwork(folder: string): boolean {
  try {
    if (process.platform === 'darwin') return loadNative()?.isOnNetwork(folder) ?? false;
    // A signed 32-bit number on some architectures.
    return NETWORK_TYPES.has(Number(BigInt.asUintN(32, BigInt(statfsSync(folder).type))));
  } catch {
    return false;
  }
}
