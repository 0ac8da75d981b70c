import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import path, { dirname, join } from 'node:path';
import { BrokerError, shellWord } from '../errors.ts';

/**
 * Puts `content` in the place of a file, whole or not at all; readers never see a part. A symbolic link at its place
 * is replaced, not followed. Throws the system's error.
 *
 * @returns false if the file was just so already and nothing had to be done.
 */
export function writeFileAtomically(file: string, content: string | Uint8Array, mode: number): boolean {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  if (isJustSo(file, bytes, mode)) return false;
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
    return true;
  } finally {
    rmSync(temporary, { force: true });
  }
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

/**
 * Makes sure that `path` is a folder of ours that nobody else can reach, creating it (and missing parents) with mode
 * 0700. What is there already is judged, never changed: whoever loosened or planted it has to hear of it.
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
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || !parentToo || parent === path) throw error;
    make(parent);
    make(path, false);
  }
}

/** Judges a folder that must be there. Throws ERR_UNSAFE_FILE with the command that mends it. */
export function checkPrivateFolder(path: string, stats: Stats, uid: number): void {
  if (stats.isSymbolicLink()) {
    throw unsafe(`${path} is a symbolic link`, `rm ${shellWord(path)}`);
  }
  if (!stats.isDirectory())
    throw unsafe(`${path} is not a folder`, `mv ${shellWord(path)} ${shellWord(`${path}.old`)}`);
  if (stats.uid !== uid) {
    throw unsafe(
      `${path} belongs to uid ${stats.uid}, not to you (uid ${uid})`,
      `sudo chown ${uid} ${shellWord(path)}`,
    );
  }
  const mode = stats.mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw unsafe(
      `${path} has mode ${mode.toString(8).padStart(4, '0')}: others can reach it`,
      `chmod 700 ${shellWord(path)}`,
    );
  }
}

/** Whether `path` is a folder, no link to one, and belongs to `uid`; others may look into it. */
export function isOwnFolder(path: string, uid: number): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === uid;
}

function unsafe(message: string, command: string): BrokerError {
  return new BrokerError('ERR_UNSAFE_FILE', message, { remedy: `look at who made it so, then run: ${command}` });
}

/** So many files of a folder are looked at; the caches of command-line logins hold a handful. */
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
    return `${path} ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`;
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

/** Whether a folder that exists lies on another machine; false where the system does not say. */
export function isOnNetwork(folder: string): boolean {
  try {
    // A signed 32-bit number on some architectures.
    return NETWORK_TYPES.has(Number(BigInt.asUintN(32, BigInt(statfsSync(folder).type))));
  } catch {
    return false;
  }
}
