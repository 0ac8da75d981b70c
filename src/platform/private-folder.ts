import { lstatSync, mkdirSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { BrokerError, shellWord } from '../errors.ts';

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
