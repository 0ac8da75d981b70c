import { constants, readFileSync } from 'node:fs';
import { lstat, open, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { BrokerError, shellWord } from '../errors.ts';

/** A configuration is a few kilobytes; more is the wrong file. */
export const LARGEST_CONFIG_BYTES = 1024 * 1024;

interface SafeFile {
  readonly bytes: Buffer;
  /** Group or others may read it: harmless unless a secret stands in it. */
  readonly readableByOthers: boolean;
}

/**
 * Reads a file that decides what the daemon does, refusing one that somebody else could have written: group- or
 * world-writable, owned by neither the caller nor root, or in a folder where others can put another in its place.
 *
 * Symbolic links are followed, because dotfile managers install configurations as links; both the folder of the link
 * and the file and folder it leads to have to be safe. What is checked is what was opened.
 *
 * @throws BrokerError ERR_CONFIG with the command that mends it.
 */
export async function readSafeFile(file: string, uid: number): Promise<SafeFile> {
  const handle = await openRegular(file);
  try {
    const facts = await handle.stat();
    if (facts.isDirectory()) throw notAFile(file, 'a folder');
    if (!facts.isFile()) throw notAFile(file, 'no regular file');
    const hidden = hiddenOwners();
    // The opened file's own path where trust hangs on it, so that nothing can be exchanged in between.
    const real = await realpath(hidden === undefined ? file : `/proc/self/fd/${handle.fd}`);
    const judge = (place: Place) =>
      hidden?.nobody === place.facts.uid ? refuseUnknown(place) : refuseForeign(place, uid);
    judge({ what: 'the file', file, real, facts });
    for (const folder of new Set([path.dirname(file), path.dirname(real)])) judge(await folderAt(folder));
    if (facts.size > LARGEST_CONFIG_BYTES) throw tooLarge(file);
    // One byte more than allowed, in case it grew in between.
    const buffer = Buffer.alloc(LARGEST_CONFIG_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (length > LARGEST_CONFIG_BYTES) throw tooLarge(file);
      if (bytesRead === 0) break;
    }
    return { bytes: buffer.subarray(0, length), readableByOthers: (facts.mode & 0o044) !== 0 };
  } finally {
    await handle.close();
  }
}

async function openRegular(file: string) {
  try {
    // O_NONBLOCK: a FIFO must not hang the daemon; it is refused by its type.
    return await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw await explainOpen(file, error);
  }
}

async function explainOpen(file: string, error: unknown): Promise<BrokerError> {
  const code = codeOf(error);
  const quoted = shellWord(file);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const isLink = await lstat(file).then(
      (facts) => facts.isSymbolicLink(),
      () => false,
    );
    return isLink
      ? unreadable('the symbolic link leads nowhere', `let ${quoted} point to the configuration, or remove it`)
      : unreadable('there is no configuration file', `run broker setup, or write one: docs/configuration.md shows how`);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return unreadable('the file may not be read by this user', `run: chmod u+r ${quoted}`);
  }
  if (code === 'ELOOP') return unreadable('the symbolic links go in a circle', `remove the links: rm ${quoted}`);
  if (code === 'ENAMETOOLONG') return unreadable('the path is too long', 'use a shorter path');
  if (code === 'ENXIO') return notAFile(file, 'no regular file');
  return unreadable(`the file cannot be read (${code})`, 'check the disk and the path');
}

interface Place {
  readonly what: 'the file' | 'the folder';
  readonly file: string;
  /** Without links. */
  readonly real: string;
  readonly facts: { readonly uid: number; readonly mode: number };
}

async function folderAt(folder: string): Promise<Place> {
  const [real, { uid, mode }] = await Promise.all([realpath(folder), stat(folder)]);
  // In a sticky folder (/tmp) only the owner of a file, who has been checked, can replace it.
  const facts = { uid, mode: (mode & 0o1000) !== 0 ? mode & ~0o022 : mode };
  return { what: 'the folder', file: folder, real, facts };
}

function refuseForeign(place: Place, uid: number): void {
  const { what, file, facts } = place;
  if (facts.uid !== uid && facts.uid !== 0) {
    const message = `${what} ${file} belongs to another user (uid ${facts.uid}, not ${uid})`;
    throw unreadable(message, `run: sudo chown ${uid} ${shellWord(file)}`);
  }
  refuseWritable(place);
}

function refuseUnknown(place: Place): void {
  if (!isPlaceOfRoot(place.real)) {
    throw unreadable(
      `whose ${place.file} is cannot be told in the sandbox of the service, only that it is not this user's`,
      'let it lie under /etc, or make it your own, or run: broker service install --sandbox basic',
    );
  }
  refuseWritable(place);
}

function refuseWritable({ what, file, facts }: Place): void {
  if ((facts.mode & 0o022) === 0) return;
  const mode = (facts.mode & 0o7777).toString(8).padStart(4, '0');
  throw unreadable(`others can write ${what} ${file} (mode ${mode})`, `run: chmod go-w ${shellWord(file)}`);
}

function unreadable(message: string, remedy: string): BrokerError {
  return new BrokerError('ERR_CONFIG', message, { remedy });
}

function notAFile(file: string, kind: string): BrokerError {
  return unreadable(`this is ${kind}`, `name a file, such as ${shellWord(path.join(file, 'config.toml'))}`);
}

function tooLarge(file: string): BrokerError {
  return unreadable('the file is over 1 MiB', `check that ${shellWord(file)} is the right file`);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

/**
 * In a user namespace that has no root (a service with PrivateUsers=, some containers) the kernel shows the files of
 * root, as of everybody else outside, as nobody's. Whose they are cannot be told then; only that in some folders nobody
 * but root puts anything on any system.
 */
interface HiddenOwners {
  /** The uid that stands for everybody who has none in this namespace. */
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

/** Whether what lies at this path, which is free of links, can be nobody's but root's. */
export function isPlaceOfRoot(realPath: string): boolean {
  return OF_ROOT.some((folder) => realPath.startsWith(folder) || `${realPath}/` === folder);
}

function readText(file: string): string {
  return readFileSync(file, 'utf8');
}
