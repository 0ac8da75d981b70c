import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { codeOf } from '../errors.ts';
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

/** undefined for whatever cannot be looked at: missing, unreachable, a loop of links. */
export function statQuietly(file: string): Stats | undefined {
  try {
    return statSync(file);
  } catch {
    return undefined;
  }
}

/** Where links lead; undefined where nothing is, or where it cannot be looked at. */
export function realPathQuietly(file: string): string | undefined {
  try {
    return realpathSync(file);
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
