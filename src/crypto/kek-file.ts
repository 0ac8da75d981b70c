import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BrokerError, shellWord } from '../errors.ts';
import { KEY_BYTES, KeyEncryptionKey } from './envelope.ts';
import type { KekHome, KekReading, KekSlot, KekWriter } from './kek-store.ts';

/**
 * The key in a 0600 file beside the database: the honest default of a machine that has nothing better. It keeps other
 * users out, and whoever reads only the database; whoever gets the whole folder has both.
 */
export class KekFile implements KekHome {
  readonly kind = 'file';
  readonly configured: boolean;
  readonly description: string;
  readonly writer: KekWriter;
  readonly #paths: Readonly<Record<KekSlot, string>>;

  constructor(stateDir: string, configured = true) {
    this.configured = configured;
    this.#paths = { current: join(stateDir, 'kek'), next: join(stateDir, 'kek.next') };
    this.description = `file ${this.#paths.current}`;
    this.writer = {
      create: (slot) => this.#create(slot),
      promote: () => this.#attempt('replace', () => this.#move('next', this.#paths.current)),
      clear: (slot) => this.#attempt('remove', () => removePrivateFile(this.#paths[slot])),
      setAside: (stamp) => this.#setAside(stamp),
    };
  }

  read(slot: KekSlot): KekReading {
    const path = this.#paths[slot];
    const reading = readPrivateFile(path, KEY_BYTES);
    switch (reading.state) {
      case 'absent':
        return {
          state: 'missing',
          reason: `the key file ${path} is gone`,
          remedy: `Put it back from a backup, or give up what it sealed: broker rotate-key --discard`,
        };
      case 'refused':
        return { state: 'unreachable', reason: reading.reason, remedy: reading.remedy };
      case 'read':
        return fromFileBytes(path, reading.bytes);
    }
  }

  #create(slot: KekSlot): KeyEncryptionKey {
    const path = this.#paths[slot];
    const kek = KeyEncryptionKey.ephemeral();
    try {
      kek.lend((bytes) => createPrivateFile(path, bytes));
    } catch (error) {
      throw failed('create', path, error);
    }
    return kek;
  }

  #setAside(stamp: string): void {
    this.#attempt('set aside', () => {
      try {
        this.#move('current', `${this.#paths.current}.discarded-${stamp}`);
      } catch (error) {
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    });
  }

  #move(slot: KekSlot, target: string): void {
    renameSync(this.#paths[slot], target);
    syncFolder(dirname(target));
  }

  #attempt(verb: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      throw failed(verb, this.#paths.current, error);
    }
  }
}

export function fromFileBytes(path: string, bytes: Buffer): KekReading {
  if (bytes.length === KEY_BYTES) return { state: 'reachable', kek: KeyEncryptionKey.fromBytes(bytes) };
  const length = bytes.length > KEY_BYTES ? `more than ${KEY_BYTES}` : String(bytes.length);
  bytes.fill(0);
  return {
    state: 'unreachable',
    reason: `${path} holds ${length} bytes; a key has exactly ${KEY_BYTES}`,
    remedy: `Put the right file back from a backup, or give up what it sealed: broker rotate-key --discard`,
  };
}

function failed(verb: string, path: string, error: unknown): BrokerError {
  const reason = error instanceof Error ? error.message : 'unknown error';
  return new BrokerError('ERR_IO', `cannot ${verb} the key file ${path}: ${reason}`, {
    remedy: `Check space and permissions: df -h ${shellWord(dirname(path))}; ls -la ${shellWord(dirname(path))}`,
    cause: error,
  });
}

/** Why a file or folder must not be trusted as it is, and the command that mends it. */
export interface Flaw {
  readonly reason: string;
  readonly remedy: string;
}

/** Judges what lstat or fstat said of a file or folder that must belong to the caller and be closed to everybody else. */
export function privacyFlaw(path: string, stats: Stats): Flaw | undefined {
  if (stats.isSymbolicLink()) return symlinkFlaw(path);
  const uid = process.getuid?.();
  if (uid !== undefined && stats.uid !== uid) {
    return {
      reason: `${path} belongs to user ${stats.uid}, not to user ${uid}`,
      remedy: `If it is yours, run: sudo chown ${uid} ${shellWord(path)}`,
    };
  }
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(3, '0');
    const wanted = stats.isDirectory() ? '700' : '600';
    return {
      reason: `${path} is open to other users (mode ${mode})`,
      remedy: `Run: chmod ${wanted} ${shellWord(path)}`,
    };
  }
  return undefined;
}

type PrivateFileReading =
  | { readonly state: 'read'; readonly bytes: Buffer }
  | { readonly state: 'absent' }
  | ({ readonly state: 'refused' } & Flaw);

/**
 * Reads a small secret file that is the caller's own, no symbolic link and closed to others. What is checked is the
 * opened file, so that nothing can be exchanged in between. At most `maxBytes` + 1 bytes are read.
 */
export function readPrivateFile(
  path: string,
  maxBytes: number,
  judge: (path: string, stats: Stats) => Flaw | undefined = privacyFlaw,
): PrivateFileReading {
  let fd: number;
  try {
    // O_NONBLOCK: a named pipe put there must not hang the daemon.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { state: 'absent' };
    if (isErrno(error, 'ELOOP')) return { state: 'refused', ...symlinkFlaw(path) };
    return { state: 'refused', ...unreadable(path, error) };
  }
  try {
    const stats = fstatSync(fd);
    const flaw = stats.isFile() ? judge(path, stats) : { reason: `${path} is no regular file`, remedy: moveAway(path) };
    if (flaw !== undefined) return { state: 'refused', ...flaw };
    return { state: 'read', bytes: readUpTo(fd, maxBytes + 1) };
  } catch (error) {
    return { state: 'refused', ...unreadable(path, error) };
  } finally {
    closeSync(fd);
  }
}

/**
 * Creates a file 0600 that is there with all of its bytes, synced to disk, or not at all: a half-written key after a
 * crash would look like a damaged one. Throws EEXIST if the path is taken. Needs a folder that only one process writes.
 */
function createPrivateFile(path: string, bytes: Uint8Array): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) {
    throw Object.assign(new Error(`${path} exists`), { code: 'EEXIST' });
  }
  const temporary = partOf(path);
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(fd, bytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Removes a file and what a crash in the middle of its creation left. Neither there: nothing done. */
function removePrivateFile(path: string): void {
  for (const one of [path, partOf(path)]) rmSync(one, { force: true });
}

const partOf = (path: string): string => `${path}.part`;

/** Makes a rename or a new name durable (fsync(2): the folder has to be synced too). */
function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function readUpTo(fd: number, limit: number): Buffer {
  const buffer = Buffer.alloc(limit);
  let length = 0;
  while (length < limit) {
    const read = readSync(fd, buffer, length, limit - length, null);
    if (read === 0) break;
    length += read;
  }
  return buffer.subarray(0, length);
}

function symlinkFlaw(path: string): Flaw {
  const quoted = shellWord(path);
  return {
    reason: `${path} is a symbolic link`,
    remedy: `Put the real thing in its place: target=$(readlink -f ${quoted}) && rm ${quoted} && mv "$target" ${quoted}`,
  };
}

function unreadable(path: string, error: unknown): Flaw {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return {
    reason: `${path} cannot be read (${code})`,
    remedy: `Make it readable for yourself: ls -l ${shellWord(path)}`,
  };
}

function moveAway(path: string): string {
  return `Move it away: mv ${shellWord(path)} ${shellWord(`${path}.moved`)}`;
}
